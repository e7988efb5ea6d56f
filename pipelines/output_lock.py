"""One writer at a time: an advisory lock on an output directory.

`lock.json` in the directory says which process on which host holds it. The lock itself is the
kernel's (`flock`), so that it ends with its process, however that ends: what a killed one left
behind holds nobody up. On NFS it holds between hosts too. Buckets have none: there, every file
appears whole and is the same whoever writes it, so that two writers waste work and harm nothing.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import time
from dataclasses import asdict, dataclass
from typing import Any

NAME = "lock.json"
_NOT_SUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)


@dataclass(frozen=True)
class Holder:
    """Who writes a directory.

    Args:
        pid: the number of the process.
        host: the machine it runs on.
        started: when it took the lock, in seconds since 1970.
    """

    pid: int
    host: str
    started: float

    @classmethod
    def this_process(cls) -> Holder:
        """Who calls."""
        return cls(os.getpid(), socket.gethostname(), time.time())

    @property
    def is_this_process(self) -> bool:
        """Whether it is who calls."""
        return (self.pid, self.host) == (os.getpid(), socket.gethostname())

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host or 'some host'}"


class OutputLock:
    """The lock of a local directory, held until `release` or the end of the process.

    Args:
        folder: is made if it isn't there.

    Raises:
        Held: another process has it.
        OSError: the directory can't be written.
    """

    def __init__(self, folder: str) -> None:
        os.makedirs(folder, exist_ok=True)
        self._path = os.path.join(folder, NAME)
        self._file: Any = None
        # Whoever asks for the holder has the lock for an instant.
        for patience in (0.1, 0.3, 0.0):
            if self._take():
                return
            time.sleep(patience)
        found = _read(self._path)
        if not found.is_this_process:
            raise Held(found)

    def release(self) -> None:
        """Lets others write; does nothing if it is not held."""
        if self._file is not None:
            os.unlink(self._path)
            self._file.close()
            self._file = None

    def _take(self) -> bool:
        while True:
            file = open(self._path, "a+", encoding="utf-8")  # noqa: SIM115
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.close()
                return False
            except OSError as error:
                if error.errno not in _NOT_SUPPORTED:
                    raise
            if _is_still(file, self._path):
                break
            # The one before removed it in between: this is a file that nobody else sees.
            file.close()
        file.truncate(0)
        file.write(json.dumps(asdict(Holder.this_process())) + "\n")
        file.flush()
        self._file = file
        return True


class Held(RuntimeError):
    """Another process has the lock; `holder` says which."""

    def __init__(self, holder: Holder) -> None:
        super().__init__(str(holder))
        self.holder = holder


def holder(folder: str) -> Holder | None:
    """The living process that writes a local directory, if there is one."""
    path = os.path.join(folder, NAME)
    try:
        with open(path, encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(path)
    except OSError:
        pass
    return None


def _read(path: str) -> Holder:
    try:
        with open(path, encoding="utf-8") as file:
            return Holder(**json.load(file))
    except (OSError, ValueError, TypeError):
        # It is being written, or was just removed.
        return Holder(0, "", 0.0)


def _is_still(file: Any, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False

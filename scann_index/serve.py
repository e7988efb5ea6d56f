"""python -m scann_index.serve: an index on the web, to search by typing or by speaking."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipelines import options as command_line
from pipelines import quiet  # noqa: F401  (before TensorFlow)
from pipelines.options import option
from pipelines.verb import verb
from scann_index.searcher import Searcher

if TYPE_CHECKING:
    from scann_index.serve_app import Settings

DESCRIPTION = """\
Serves an index: a page to type or to speak into, and POST /search for programs. Browsers open the
microphone only on this machine (http://localhost) or over https. Also /healthz, /metrics
(Prometheus) and /openapi.json. One process; needs the serve extra: pip install 'babelear[serve]'.

examples:
  python -m scann_index.serve --index demo/index
  curl localhost:8000/search --json '{"text": "pomme rouge", "k": 3}'
  curl localhost:8000/search -F audio=@question.mp3 -F languages=en,ja
"""


@dataclass(frozen=True)
class ServeOptions:
    """The options of `scann_index.serve`."""

    index: str = option(help="folder written by scann_index.build")
    model: str = option(
        "", help="run of model.train or a preset; left out, the one the index was built with"
    )
    host: str = option("127.0.0.1", help="address to listen at; 0.0.0.0 for all of the machine's")
    port: int = option(8000, help="port to listen at; 0 for any that is free")
    max_bytes: int = option(8_000_000, help="of a request; more is refused")
    max_seconds: float = option(30.0, help="of speech in a request; more is refused")
    max_characters: int = option(500, help="of text in a request; more is refused")
    max_batch: int = option(32, help="concurrent queries that the model gets at a time")
    batch_wait: float = option(0.005, help="seconds that a query waits for company")
    max_waiting: int = option(512, help="with so many queries waiting, more are refused")
    sound: bool = option(True, help="play the recordings of the index")
    dry_run: bool = option(False, help="open the index, print what would be served, then stop")

    def __post_init__(self) -> None:
        for name in ("max_bytes", "max_characters", "max_batch", "max_waiting"):
            if getattr(self, name) < 1:
                raise ValueError(f"--{name.replace('_', '-')} must be at least 1")
        if self.max_seconds <= 0 or self.batch_wait < 0:
            raise ValueError("--max-seconds must be above 0, --batch-wait at least 0")
        if not 0 <= self.port < 65_536:
            raise ValueError("--port is a number from 0 to 65535")

    def settings(self) -> Settings:
        """What the application is told."""
        from scann_index.queries import Limits
        from scann_index.serve_app import Settings

        return Settings(
            limits=Limits(self.max_bytes, self.max_seconds, self.max_characters),
            max_batch=self.max_batch,
            batch_wait=self.batch_wait,
            max_waiting=self.max_waiting,
            sound=self.sound,
        )


@verb("serve", extra="serve")
def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    options, _ = command_line.parse(
        ServeOptions, argv, prog="python -m scann_index.serve", description=DESCRIPTION
    )
    serve(options)


def serve(options: ServeOptions) -> None:
    """Serves until it is told to stop (Ctrl-C or SIGTERM), then answers what it has taken.

    Raises:
        OutputError: the index or its model can't be used.
        ModuleNotFoundError: the serve extra is not installed.
    """
    import uvicorn

    from scann_index.serve_app import create_app

    searcher = Searcher.open(options.index, options.model)
    rows = sum(len(shard) for shard in searcher.bundle.shards())
    languages = len(searcher.bundle.languages)
    print(f"{options.index}: {rows:,} rows in {languages} languages", flush=True)
    if options.dry_run:
        print(f"  would listen at http://{options.host}:{options.port}")
        return
    config = uvicorn.Config(
        create_app(searcher, options.settings()),
        host=options.host,
        port=options.port,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=10,
    )
    uvicorn.Server(config).run()


if __name__ == "__main__":
    sys.exit(main())

"""Concurrent requests put together: one call of the model serves all that wait.

A model takes little longer for 32 short queries than for one. So whatever arrives while the model
is busy is handed to it together, in one thread: TensorFlow has threads of its own, and calls from
many would only wait for each other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Overloaded(RuntimeError):
    """Too many requests wait already; the caller should come back later."""


class Batcher(Generic[Item, Result]):
    """Hands items to a function in batches.

    Args:
        handle: gets 1 to `max_batch` items, returns a result for each, in order; runs in a thread
            of its own. If it fails, each item of the batch is tried alone, so that a bad one harms
            no other.
        max_batch: how many items a batch has at most.
        max_wait: seconds that the first item of a batch waits for company while the thread is idle;
            while it is busy, all gather anyway.
        max_waiting: with so many items waiting, further ones are refused.
        on_batch: told the size of each batch.

    Example:
        >>> batcher = Batcher(lambda texts: [text.upper() for text in texts])
        >>> async with batcher:
        ...     await batcher.submit("hello")
    """

    def __init__(
        self,
        handle: Callable[[Sequence[Item]], Sequence[Result]],
        *,
        max_batch: int = 32,
        max_wait: float = 0.005,
        max_waiting: int = 512,
        on_batch: Callable[[int], object] = lambda size: None,
    ) -> None:
        self._handle = handle
        self._max_batch = max_batch
        self._max_wait = max_wait
        self._max_waiting = max_waiting
        self._on_batch = on_batch
        self._queue: asyncio.Queue[tuple[Item, asyncio.Future[Result]]] = asyncio.Queue()
        self._thread: ThreadPoolExecutor | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """How many items no batch has taken yet."""
        return self._queue.qsize()

    async def __aenter__(self) -> Batcher[Item, Result]:
        # A queue belongs to the event loop it is first used in.
        self._queue = asyncio.Queue()
        self._thread = ThreadPoolExecutor(1, "batch")
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None and self._thread is not None
        self._task.cancel()
        while not self._queue.empty():
            self._queue.get_nowait()[1].cancel()
        self._thread.shutdown(wait=False)

    async def submit(self, item: Item) -> Result:
        """The result for an item.

        Raises:
            Overloaded: too many wait.
            Exception: whatever the function raised for this item alone.
        """
        if self._task is None or self._task.done():
            raise RuntimeError("the batcher is not running: use it as `async with batcher:`")
        if self._queue.qsize() >= self._max_waiting:
            raise Overloaded(f"{self._queue.qsize()} requests wait already")
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait((item, future))
        return await future

    async def _run(self) -> None:
        while True:
            batch = await self._gather()
            # Who has gone away needs no answer.
            batch = [(item, future) for item, future in batch if not future.done()]
            if not batch:
                continue
            self._on_batch(len(batch))
            results = await self._results([item for item, _ in batch])
            for (_, future), result in zip(batch, results, strict=True):
                if future.done():
                    continue
                if isinstance(result, BaseException):
                    future.set_exception(result)
                else:
                    future.set_result(result)

    async def _gather(self) -> list[tuple[Item, asyncio.Future[Result]]]:
        batch = [await self._queue.get()]
        deadline = asyncio.get_running_loop().time() + self._max_wait
        while len(batch) < self._max_batch:
            if self._queue.empty():
                left = deadline - asyncio.get_running_loop().time()
                if left <= 0:
                    break
                try:
                    batch.append(await asyncio.wait_for(self._queue.get(), left))
                except asyncio.TimeoutError:
                    break
            else:
                batch.append(self._queue.get_nowait())
        return batch

    async def _results(self, items: list[Item]) -> list[Result | Exception]:
        loop = asyncio.get_running_loop()
        try:
            results = await loop.run_in_executor(self._thread, self._handle, items)
            if len(results) != len(items):
                raise RuntimeError(f"{len(results)} results for {len(items)} items")
            return list(results)
        except Exception as error:
            if len(items) == 1:
                return [error]
        return [(await self._results([item]))[0] for item in items]

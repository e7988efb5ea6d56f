from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from scann_index.batching import Batcher, Overloaded


def run(batcher: Batcher, use: Callable[[], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        async with batcher:
            return await use()

    return asyncio.run(main())


def test_requests_that_come_together_are_handled_together_and_in_order():
    batches: list[list[int]] = []

    def double(items):
        batches.append(list(items))
        return [2 * item for item in items]

    batcher = Batcher(double, max_batch=8, max_wait=0.2)
    results = run(batcher, lambda: asyncio.gather(*map(batcher.submit, range(20))))
    assert results == [2 * item for item in range(20)]
    assert [len(batch) for batch in batches] == [8, 8, 4]
    assert [item for batch in batches for item in batch] == list(range(20))


def test_what_comes_while_the_thread_is_busy_makes_the_next_batch():
    sizes: list[int] = []
    busy = threading.Event()

    def slow(items):
        sizes.append(len(items))
        if len(sizes) == 1:
            busy.wait(5)
        return items

    batcher = Batcher(slow, max_wait=0)

    async def use():
        first = asyncio.create_task(batcher.submit(0))
        await asyncio.sleep(0.05)
        others = [asyncio.create_task(batcher.submit(i)) for i in range(1, 6)]
        await asyncio.sleep(0.05)
        busy.set()
        return await asyncio.gather(first, *others)

    assert run(batcher, use) == [0, 1, 2, 3, 4, 5]
    assert sizes == [1, 5]


def test_a_lone_request_waits_no_longer_than_it_must():
    batcher = Batcher(lambda items: items, max_wait=0.05)
    started = time.monotonic()
    assert run(batcher, lambda: batcher.submit("one")) == "one"
    assert time.monotonic() - started < 1


def test_a_bad_request_harms_no_other_in_its_batch():
    def strict(items):
        if "bad" in items:
            raise ValueError("bad item")
        return [item.upper() for item in items]

    batcher = Batcher(strict, max_wait=0.1)
    items = ["a", "bad", "c"]
    results = run(
        batcher, lambda: asyncio.gather(*map(batcher.submit, items), return_exceptions=True)
    )
    assert results[0] == "A"
    assert isinstance(results[1], ValueError)
    assert results[2] == "C"


def test_too_few_results_are_an_error_and_not_somebody_elses_answer():
    batcher = Batcher(lambda items: list(items)[1:], max_wait=0.1)
    results = run(
        batcher, lambda: asyncio.gather(*map(batcher.submit, "ab"), return_exceptions=True)
    )
    assert all("0 results for 1 items" in str(result) for result in results)


def test_beyond_the_limit_a_request_is_refused_at_once():
    go = threading.Event()
    batcher = Batcher(lambda items: go.wait(5) and items, max_batch=1, max_wait=0, max_waiting=2)

    async def use():
        tasks = [asyncio.create_task(batcher.submit(0))]
        await asyncio.sleep(0.05)
        tasks += [asyncio.create_task(batcher.submit(i)) for i in (1, 2)]
        await asyncio.sleep(0.05)
        assert batcher.waiting == 2
        with pytest.raises(Overloaded, match="2 requests wait already"):
            await batcher.submit(3)
        go.set()
        return await asyncio.gather(*tasks)

    assert run(batcher, use) == [0, 1, 2]


def test_a_request_given_up_is_not_handled():
    handled: list[int] = []
    go = threading.Event()

    def handle(items):
        go.wait(5)
        handled.extend(items)
        return items

    batcher = Batcher(handle, max_batch=1, max_wait=0)

    async def use():
        first = asyncio.create_task(batcher.submit(1))
        await asyncio.sleep(0.05)
        second = asyncio.create_task(batcher.submit(2))
        await asyncio.sleep(0.05)
        second.cancel()
        go.set()
        await first
        return await batcher.submit(3)

    assert run(batcher, use) == 3
    assert handled == [1, 3]


def test_a_batcher_can_be_used_again_in_another_event_loop():
    batcher = Batcher(lambda items: items, max_wait=0)
    assert run(batcher, lambda: batcher.submit(1)) == 1
    assert run(batcher, lambda: batcher.submit(2)) == 2

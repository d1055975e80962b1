"""Run work ahead of its consumer in a thread pool, with bounded memory."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def map_ahead(
    pool: ThreadPoolExecutor, function: Callable[[T], R], items: Iterable[T], depth: int
) -> Iterator[R]:
    """Yield ``function(item)`` for each item, in order; the pool is at most ``depth`` items ahead.

    `Executor.map` would submit all items at once.
    """
    waiting: deque[Future[R]] = deque()
    for item in items:
        waiting.append(pool.submit(function, item))
        if len(waiting) > depth:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def chain_ahead(
    pool: ThreadPoolExecutor, iterables: Iterable[Iterable[T]], depth: int
) -> Iterator[T]:
    """Yield the items of each iterable, in order, while the pool is ahead.

    Each iterable is at most one item ahead, and ``depth`` iterables are. One thread at a time
    iterates over an iterable.
    """
    started = (_next(pool, iter(each)) for each in iterables)
    waiting = deque(islice(started, depth))
    while waiting:
        iterator, future = waiting.popleft()
        for item in future.result():
            waiting.appendleft(_next(pool, iterator))
            yield item
            break
        else:
            waiting.extend(islice(started, 1))


def _next(pool: ThreadPoolExecutor, iterator: Iterator[T]) -> tuple[Iterator[T], Future[list[T]]]:
    """Ask for the next item, as a list that is empty at the end."""
    return iterator, pool.submit(lambda: list(islice(iterator, 1)))

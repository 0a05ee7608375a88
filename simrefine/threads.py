"""Work that goes on beside the caller, or in pieces that fit into memory: in order, and never far ahead."""

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from typing import Any

import numpy as np


@contextmanager
def thread_pool(threads: int) -> Iterator[ThreadPoolExecutor]:
    """A pool for as long as the block runs. On an error or Ctrl-C, tasks that wait are dropped and those that run are
    finished."""
    pool = ThreadPoolExecutor(threads)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def run_ahead(pool: ThreadPoolExecutor, work: Callable, tasks: Iterable, ahead: int) -> Iterator[Any]:
    """The results of `work` on each task, in order; at most `ahead` tasks are begun before their turn."""
    waiting = deque()
    for task in tasks:
        waiting.append(pool.submit(work, task))
        while waiting and (len(waiting) > ahead or waiting[0].done()):
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def on_all_cores(work: Callable, tasks: Sequence) -> list[Any]:
    """The results of `work` on each task, in order. Worth it where the work leaves Python's lock alone, as NumPy and
    OpenCV do on large arrays."""
    cores = min(len(tasks), available_cores())
    if cores < 2:
        return [work(task) for task in tasks]
    with ThreadPoolExecutor(cores) as pool:
        return [*pool.map(work, tasks)]


def available_cores() -> int:
    """How many this process may use, which `taskset` or a container may hold to fewer than there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_batches(function: Callable[[np.ndarray], Any], items: np.ndarray, size: int) -> np.ndarray:
    """`function` of [n, ...], which keeps the first axis, on `size` items at a time: its results in one array."""
    return np.concatenate([np.asarray(function(items[start : start + size])) for start in range(0, len(items), size)])


class Prefetcher:
    """Makes the items of the steps to come in background threads and hands them out in order.

    `seconds_waited` is how long the consumer stood still for want of data: 0 when the threads keep up.
    """

    def __init__(self, make: Callable[[int], Any], steps: range, ahead: int = 4, threads: int = 2):
        self._make, self._steps, self._ahead, self._threads = make, steps, ahead, threads
        self.seconds_waited = 0.0

    def __iter__(self) -> Iterator[Any]:
        steps = iter(self._steps)
        with ThreadPoolExecutor(self._threads) as pool:
            waiting = deque(pool.submit(self._make, step) for step in islice(steps, self._ahead))
            try:
                while waiting:
                    began = time.perf_counter()
                    item = waiting.popleft().result()
                    self.seconds_waited += time.perf_counter() - began
                    waiting.extend(pool.submit(self._make, step) for step in islice(steps, 1))
                    yield item
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

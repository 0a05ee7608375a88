"""Work beside the caller comes in order, is never far ahead, and ends with its block."""

import os
import threading

import pytest

from simrefine.threads import on_all_cores, run_ahead, thread_pool


def test_results_come_in_order_and_tasks_are_taken_at_most_so_far_ahead():
    taken = []

    def tasks():
        for number in range(20):
            taken.append(number)
            yield number

    with thread_pool(2) as pool:
        for done, result in enumerate(run_ahead(pool, lambda number: number * number, tasks(), ahead=3)):
            assert result == done * done
            assert len(taken) <= done + 3 + 1


def test_an_error_drops_what_waits_and_leaves_no_thread():
    threads, hold, begun = threading.active_count(), threading.Event(), []
    timer = threading.Timer(0.05, hold.set)

    def work(number):
        begun.append(number)
        hold.wait(5)

    with pytest.raises(ZeroDivisionError), thread_pool(1) as pool:
        for number in range(5):
            pool.submit(work, number)
        timer.start()
        raise ZeroDivisionError
    timer.join()
    assert begun in ([], [0])
    assert threading.active_count() == threads


@pytest.mark.parametrize("cores", [1, 3])
def test_work_on_all_cores_comes_in_order_and_on_one_core_without_threads(monkeypatch, cores):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(cores), raising=False)
    met = threading.Barrier(cores, timeout=10)  # passed only by so many at once

    def work(number):
        met.wait()
        return number, threading.current_thread() is threading.main_thread()

    assert on_all_cores(work, range(6)) == [(number, cores == 1) for number in range(6)]
    assert on_all_cores(work, []) == []

"""Work beside the caller comes in order, is never far ahead, and ends with its block."""

import threading

import pytest

from simrefine.threads import run_ahead, thread_pool


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

"""Threads that work ahead."""

import threading
import time
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastfid.extraction.workers import ahead


@settings(max_examples=30, deadline=None)
@given(values=st.lists(st.floats(0, 0.003), max_size=12), count=st.integers(1, 5))
def test_results_come_in_order(values, count):
    def work(value):
        time.sleep(value)
        return value

    assert list(ahead(work, values, count)) == values


def test_no_more_than_asked_is_begun():
    begun, taken = [], []
    for value in ahead(lambda value: begun.append(value) or value, range(50), 3):
        taken.append(value)
        assert len(begun) <= len(taken) + 2
    assert taken == [*range(50)]


def test_an_error_comes_in_its_turn():
    def work(value):
        if value == 2:
            raise ValueError("the third")
        return value

    results = ahead(work, range(9), 4)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ValueError, match="the third"):
        next(results)


def test_threads_end_with_the_iterator():
    before = threading.active_count()
    with closing(ahead(time.sleep, [0.0] * 100, 4)) as results:
        next(results)
    end = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < end:
        time.sleep(0.01)
    assert threading.active_count() <= before

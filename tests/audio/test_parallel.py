from __future__ import annotations

import threading

import pytest

from espressivo.audio.parallel import map_recordings


def test_results_come_in_order_and_each_is_told():
    told = []
    one_is_done = threading.Event()

    def work(item):
        if item == 0:
            one_is_done.wait(0.2)  # later ones overtake it, where there are threads
        else:
            one_is_done.set()
        return item * item

    found = list(map_recordings(work, range(20), lambda *done: told.append(done)))

    assert found == [n * n for n in range(20)]
    assert told == [(n, 20) for n in range(1, 21)]


def test_an_error_is_raised_in_its_place_and_no_thread_stays():
    before = threading.active_count()

    def work(item):
        if item == 3:
            raise ValueError("three")
        return item

    results = map_recordings(work, [1, 2, 3, 4])
    assert [next(results), next(results)] == [1, 2]
    with pytest.raises(ValueError, match="three"):
        next(results)

    assert threading.active_count() == before


def test_nothing_is_nothing():
    assert list(map_recordings(str, [])) == []

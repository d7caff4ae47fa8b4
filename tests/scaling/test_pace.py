"""What the workers of a size have measured, as one."""

import dataclasses
import statistics

import pytest
from readings import TERMS, TRUTH, WAIT_S, make_pace

from lcseg.documents import format_document, parse_document
from lcseg.scaling.model import ReducePoint, forecast_step
from lcseg.scaling.pace import Pace, ReduceTime, join_paces, list_reduces


def test_paces_of_a_size_become_its_seconds_of_a_step():
    measured = join_paces([make_pace(2), make_pace(2)], cores=1, is_crowded=False)
    assert (measured.workers, measured.cores, measured.is_crowded) == (2, 1, False)
    expected_s = forecast_step(TERMS, 2, TRUTH).seconds + WAIT_S
    assert measured.step_s == pytest.approx(expected_s)
    assert measured.wait_s == pytest.approx(WAIT_S)
    assert measured.spread_s == pytest.approx(TERMS.spread_s)
    assert measured.reduce_s == TRUTH.ring_s(2, TERMS.gradient_bytes)
    assert measured.sum_s == TRUTH.ring_s(2, 1 << 10)
    assert (measured.load_s, measured.first_s) == (2.0, 8.0)


def test_the_slowest_worker_is_the_one_that_counts():
    quick = make_pace(2)
    slow = dataclasses.replace(
        quick,
        call_s=(3.0, 3.0, 1.5),
        wait_s=0.5,
        single_s=(0.1, 0.5),
        load_s=3.0,
        input_s=0.3,
        gradients=ReduceTime(TERMS.gradient_bytes, 9.0),
    )
    for paces in ([quick, slow], [slow, quick]):
        measured = join_paces(paces, 1, False)
        assert measured.step_s == pytest.approx(7.5 / 25)
        assert measured.wait_s == pytest.approx(0.5 / 25)
        assert measured.spread_s == pytest.approx(statistics.stdev((0.1, 0.5)))
        assert (measured.load_s, measured.input_s, measured.reduce_s) == (3.0, 0.3, 9.0)
        assert ReducePoint(2, TERMS.gradient_bytes, 9.0) in list_reduces(paces)


def test_one_worker_reduces_nothing():
    measured = join_paces([make_pace(1)], 1, False)
    assert (measured.reduce_s, measured.sum_s) == (0, 0)
    assert list_reduces([make_pace(1)]) == []


def test_all_reduces_are_those_of_the_gradients_and_of_the_probes():
    assert list_reduces([make_pace(2), make_pace(2)]) == [
        ReducePoint(2, size, TRUTH.ring_s(2, size))
        for size in (1 << 10, 1 << 24, TERMS.gradient_bytes)
    ]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_pace_is_read_as_it_was_written(workers):
    pace = make_pace(workers)
    assert parse_document(format_document(pace), Pace, "here") == pace

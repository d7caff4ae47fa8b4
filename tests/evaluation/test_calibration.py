"""Calibration, held against float64 numpy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcseg.evaluation.calibration import BINS, Reliability, draw_reliability
from lcseg.pictures import figure_png


def make_answers(count: int, seed: int, sureness: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Confidences, and whether each is right as often as its confidence to this power says."""
    random = np.random.default_rng(seed)
    confidence = random.uniform(0.25, 1, count).astype(np.float32)
    return confidence, random.random(count) < confidence.astype(np.float64) ** sureness


def measure_ece(confidence: np.ndarray, is_right: np.ndarray) -> float:
    """Guo et al. (2017), equation 3, term by term."""
    ece, confidence = 0.0, confidence.astype(np.float64)
    for m in range(1, BINS + 1):
        own = (confidence > (m - 1) / BINS) & (confidence <= m / BINS)
        if own.any():
            ece += own.sum() / len(own) * abs(is_right[own].mean() - confidence[own].mean())
    return ece


def test_confidence_is_compared_with_accuracy():
    confidence, is_right = make_answers(20_000, seed=0, sureness=2.0)
    found = Reliability.empty().add(confidence, is_right).calibration()
    assert found.ece == pytest.approx(measure_ece(confidence, is_right), abs=1e-7)
    assert found.ece > 0.1
    assert found.confidence == pytest.approx(confidence.astype(np.float64).mean(), abs=1e-7)
    assert found.accuracy == is_right.mean()
    assert len(found.bins) == BINS
    counts, edges = np.histogram(confidence, np.arange(BINS + 1) / BINS)
    assert [b.pixels for b in found.bins] == counts.tolist()
    assert [b.low for b in found.bins] == pytest.approx(edges[:-1])
    fullest = found.bins[8]
    own = (confidence > fullest.low) & (confidence <= fullest.high)
    assert fullest.accuracy == is_right[own].mean()
    assert fullest.confidence == pytest.approx(confidence[own].astype(np.float64).mean(), abs=1e-7)


def test_what_is_as_good_as_it_claims_has_hardly_an_error():
    found = Reliability.empty().add(*make_answers(200_000, seed=1)).calibration()
    assert found.ece < 0.01


@given(st.integers(0, 999), st.lists(st.integers(0, 300), max_size=4))
def test_parts_merge_in_any_order_to_the_whole(seed, cuts):
    confidence, is_right = make_answers(300, seed)
    parts = zip(np.split(confidence, sorted(cuts)), np.split(is_right, sorted(cuts)), strict=True)
    merged = Reliability.empty()
    for part in reversed(list(parts)):
        merged = Reliability.empty().add(*part).merge(merged)
    assert np.array_equal(merged.table, Reliability.empty().add(confidence, is_right).table)
    assert merged.table.dtype == np.int64


def test_none_and_all_of_the_confidence_fall_into_the_outer_bins():
    confidence = np.array([0, 0.2 - 1e-6, 0.2 + 1e-6, 1], np.float32)
    pixels = Reliability.empty().add(confidence, np.ones(4, bool)).table[0]
    assert np.flatnonzero(pixels).tolist() == [0, 2, 3, BINS - 1]


def test_no_pixels_have_no_calibration():
    none = np.zeros((0,), np.float32), np.zeros((0,), bool)
    assert Reliability.empty().add(*none).calibration() is None


@pytest.mark.parametrize("value", [-0.1, 1.1, np.nan, np.inf])
def test_what_is_no_share_is_refused(value):
    with pytest.raises(ValueError, match="not between 0 and 1"):
        Reliability.empty().add(np.array([0.5, value], np.float32), np.ones(2, bool))


def test_shapes_that_differ_are_refused():
    with pytest.raises(ValueError, match=r"confidence is \(2,\), is_right is \(3,\)"):
        Reliability.empty().add(np.ones(2, np.float32), np.ones(3, bool))


def test_a_diagram_is_drawn_of_any_calibration():
    for sureness in (0.0, 3.0):
        reliability = Reliability.empty().add(*make_answers(500, 0, sureness))
        png = figure_png(draw_reliability(reliability.calibration()))
        assert png.startswith(b"\x89PNG")
    above, below = draw_reliability(reliability.calibration()).axes
    assert sum(bar.get_height() for bar in below.patches) == pytest.approx(100)
    assert len(above.patches) == len(below.patches) > 10

"""Gains and losses from a sample of a map of change."""

import numpy as np
import pytest

from lcseg.classes import load_scheme
from lcseg.evaluation.area import estimate
from lcseg.evaluation.net_change import estimate_change, estimate_sum
from lcseg.transitions import transition_scheme

SCHEME = load_scheme("chesapeake-4")
TRANSITIONS = transition_scheme(SCHEME)
RANDOM = np.random.default_rng(0)
COUNTS = RANDOM.integers(0, 30, (16, 16)) + 40 * np.eye(16, dtype=np.int64)
HECTARES = RANDOM.uniform(1, 50, 16)


def test_gains_less_losses_are_the_net():
    change = estimate_change(COUNTS, HECTARES, TRANSITIONS)
    assert [flow.name for flow in change.classes] == list(SCHEME.names)
    for flow in change.classes:
        assert flow.net.value == pytest.approx(flow.gained.value - flow.lost.value)
        # They go with each other: the margins do not add up as if they were independent.
        assert flow.net.margin <= flow.gained.margin + flow.lost.margin
    assert sum(flow.net.value for flow in change.classes) == pytest.approx(0, abs=1e-9)
    assert change.changed.value == pytest.approx(sum(f.lost.value for f in change.classes))
    lines = change.table().splitlines()
    assert lines[2].startswith("water") and lines[-2].startswith("changed: ")


def test_an_area_is_the_sum_of_ones_and_never_surer_than_the_papers():
    areas = estimate(COUNTS, HECTARES, TRANSITIONS.names)
    many = estimate(1000 * COUNTS, HECTARES, TRANSITIONS.names)
    for k, land in enumerate(areas.classes):
        found = estimate_sum(COUNTS, HECTARES, np.arange(16) == k)
        assert found.value == pytest.approx(land.hectares.value)
        assert found.margin >= land.hectares.margin
        of_many = estimate_sum(1000 * COUNTS, HECTARES, np.arange(16) == k)
        assert of_many.margin == pytest.approx(many.classes[k].hectares.margin, rel=1e-3)


def test_the_margin_is_that_of_the_points_and_one_that_contradicts_them():
    values = RANDOM.normal(size=16)
    found = estimate_sum(COUNTS, HECTARES, values)
    total = variance = 0.0
    for row, hectares in zip(COUNTS, HECTARES, strict=True):
        points = np.repeat(values, row)
        total += hectares * points.mean()
        contrary = max(values, key=lambda value: abs(value - points.mean()))
        variance += hectares**2 * np.append(points, contrary).var(ddof=1) / (len(points) + 1)
    assert (found.value, found.margin) == pytest.approx((total, 1.96 * variance**0.5))


def test_where_no_error_was_seen_there_is_doubt_all_the_same():
    counts = np.diag(np.full(16, 100))
    found = estimate_sum(counts, np.full(16, 1000.0), np.arange(16) == 3)
    assert found.value == 1000 and 30 < found.margin < 100


def test_a_stratum_that_was_looked_at_whole_adds_no_doubt():
    values = RANDOM.normal(size=16)
    assert estimate_sum(COUNTS, HECTARES, values, np.ones(16, bool)).margin == 0
    some = np.arange(16) < 8
    found = estimate_sum(COUNTS, HECTARES, values, some)
    assert found.margin == pytest.approx(estimate_sum(COUNTS[8:], HECTARES[8:], values).margin)


def test_net_change_lies_in_its_interval_in_95_of_100_samples():
    # One class grew by 4 % of the ground; the map errs in one pixel of ten.
    shares = np.full(16, 0.01)
    shares[::5], shares[1], shares[4] = 0.2, 0.06, 0.02
    truth = RANDOM.choice(16, 200_000, p=shares / shares.sum())
    mapped = np.where(RANDOM.random(truth.size) < 0.1, RANDOM.permutation(truth), truth)
    hectares = np.bincount(mapped, minlength=16) / 1e2
    gain = np.bincount(truth, minlength=16)[[1, 9, 13]].sum() / 1e2
    loss = np.bincount(truth, minlength=16)[[4, 6, 7]].sum() / 1e2
    covered = 0
    for seed in range(100):
        random = np.random.default_rng(seed)
        counts = np.zeros((16, 16), np.int64)
        for stratum in range(16):
            drawn = random.choice(np.flatnonzero(mapped == stratum), 60, replace=False)
            np.add.at(counts[stratum], truth[drawn], 1)
        net = estimate_change(counts, hectares, TRANSITIONS).classes[1].net
        covered += abs(net.value - (gain - loss)) <= net.margin
    assert covered >= 90


def test_another_scheme_tells_of_no_change():
    assert estimate_change(np.eye(4, dtype=int), np.ones(4), SCHEME) is None

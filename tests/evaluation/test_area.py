"""Accuracies and areas from stratified samples, held against Olofsson et al. 2014 and the truth."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lcseg.evaluation.area import (
    NO_ESTIMATE,
    Z_95,
    AreaEstimates,
    Estimate,
    estimate,
    format_estimate,
)

# Section 5 of Olofsson et al. 2014, with pixels of 30 m.
NAMES = ("deforestation", "forest gain", "stable forest", "stable non-forest")
COUNTS = np.array([[66, 0, 5, 4], [0, 55, 8, 12], [1, 0, 153, 11], [2, 1, 9, 313]])
PIXELS = np.array([200_000, 150_000, 3_200_000, 6_450_000])


@pytest.fixture
def example() -> AreaEstimates:
    return estimate(COUNTS, PIXELS * 0.09, NAMES)


def test_the_worked_example_of_the_paper_comes_out(example):
    deforestation = example.classes[0]
    assert deforestation.hectares.value / 0.09 == pytest.approx(235_086, abs=0.5)
    assert deforestation.hectares.value == pytest.approx(21_158, abs=0.5)
    assert deforestation.hectares.margin == pytest.approx(6_158, abs=0.5)
    areas = [(round(c.hectares.value), round(c.hectares.margin)) for c in example.classes[1:]]
    assert areas == [(11_686, 3_756), (285_770, 15_510), (581_386, 16_282)]
    assert format_estimate(example.overall, ".2f") == "0.95 ± 0.02"
    users = [format_estimate(c.users, ".2f") for c in example.classes]
    assert users == ["0.88 ± 0.07", "0.73 ± 0.10", "0.93 ± 0.04", "0.96 ± 0.02"]
    producers = [format(c.producers.value, ".2f") for c in example.classes]
    assert producers == ["0.75", "0.85", "0.93", "0.96"]


def test_margins_of_producers_accuracy_are_those_of_the_papers_equation(example):
    # 0.23 and 0.01 are quoted for the second and the last; equation 7 gives these, and so does the
    # linearised ratio of two totals, below.
    margins = [format(c.producers.margin, ".2f") for c in example.classes]
    assert margins == ["0.21", "0.25", "0.03", "0.02"]
    for j, land in enumerate(example.classes):
        in_class, variance = PIXELS @ (COUNTS[:, j] / COUNTS.sum(axis=1)), 0.0
        for i in range(4):
            # A point is 1 in the denominator if it is of class j, in the numerator if right too.
            is_class = np.repeat([1.0, 0.0], [COUNTS[i, j], COUNTS[i].sum() - COUNTS[i, j]])
            residual = is_class * (i == j) - land.producers.value * is_class
            variance += PIXELS[i] ** 2 * residual.var(ddof=1) / len(residual)
        assert land.producers.margin == pytest.approx(1.96 * np.sqrt(variance) / in_class)


def test_shares_of_the_area_add_up(example):
    shares = np.array(example.shares)
    assert shares.sum() == pytest.approx(1)
    assert shares.sum(axis=1) == pytest.approx(PIXELS / PIXELS.sum())
    assert [c.share.value for c in example.classes] == pytest.approx(shares.sum(axis=0).tolist())
    assert example.overall.value == pytest.approx(np.trace(shares))


def test_the_table_shows_matrices_and_estimates(example):
    table = example.table()
    assert "21,158 ± 6,158" in table
    assert "overall accuracy 0.947 ± 0.018 by 640 points; 900,000 ha mapped" in table
    assert "0.0176" in table


@st.composite
def samples(draw) -> tuple[np.ndarray, np.ndarray]:
    """Points of up to five classes, at least two for each, and the areas of these."""
    n = draw(st.integers(2, 5))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    counts = random.integers(0, 30, (n, n)) * (random.random((n, n)) < 0.7)
    counts[np.diag_indices(n)] += 2
    return counts, random.random(n) * 1000 + 1


@settings(deadline=None, max_examples=100)
@given(samples())
def test_areas_and_their_errors_are_those_of_stratified_means(pair):
    counts, hectares = pair
    estimates = estimate(counts, hectares, [f"c{i}" for i in range(len(counts))])
    for j, land in enumerate(estimates.classes):
        value = variance = 0.0
        for row, area in zip(counts, hectares, strict=True):
            seen = np.repeat(np.arange(len(row)), row) == j
            value += area * seen.mean()
            variance += area**2 * seen.var(ddof=1) / len(seen)
        assert land.hectares.value == pytest.approx(value)
        assert land.hectares.margin == pytest.approx(Z_95 * np.sqrt(variance), abs=1e-9)


@settings(deadline=None, max_examples=50)
@given(samples(), st.randoms())
def test_the_order_of_the_classes_does_not_matter(pair, random):
    counts, hectares = pair
    names = [f"c{i}" for i in range(len(counts))]
    order = random.sample(range(len(counts)), len(counts))
    one = estimate(counts, hectares, names)
    other = estimate(counts[np.ix_(order, order)], hectares[order], [names[i] for i in order])
    for k, i in enumerate(order):
        assert other.classes[k].hectares.value == pytest.approx(one.classes[i].hectares.value)
        assert other.classes[k].producers.margin == pytest.approx(one.classes[i].producers.margin)


def test_a_class_that_the_map_lacks_is_found_all_the_same():
    counts = np.array([[8, 0, 2], [1, 9, 0], [0, 0, 0]])
    estimates = estimate(counts, np.array([100.0, 300.0, 0.0]), ["a", "b", "c"])
    c = estimates.classes[2]
    assert (c.users, c.producers.value, c.mapped_hectares) == (None, 0.0, 0.0)
    assert c.hectares.value == pytest.approx(20)
    assert format_estimate(c.users) == NO_ESTIMATE


def test_a_class_that_nobody_saw_has_no_producers_accuracy():
    estimates = estimate(np.array([[5, 0], [4, 0]]), np.array([10.0, 20.0]), ["a", "b"])
    assert estimates.classes[1].producers is None
    assert estimates.classes[1].users.value == 0


def test_a_class_with_one_point_is_refused_unless_it_has_one_pixel():
    counts, hectares = np.array([[5, 1], [0, 1]]), np.array([10.0, 0.01])
    with pytest.raises(ValueError, match="fewer than two points, which tell no error"):
        estimate(counts, hectares, ["a", "b"])
    whole = estimate(counts, hectares, ["a", "b"], np.array([False, True]))
    assert whole.classes[1].users.margin == 0


def test_the_interval_holds_the_truth_in_19_of_20_samples():
    random = np.random.default_rng(3)
    pixels, points = np.array([4_000, 10_000, 30_000]), np.array([60, 90, 250])
    # What is truly there in each stratum.
    truth = np.array([[3_200, 500, 300], [400, 9_000, 600], [900, 1_500, 27_600]])
    trials, holds = 1_500, np.zeros((2, 3))
    for _ in range(trials):
        drawn = zip(truth, points, strict=True)
        counts = np.stack([random.multivariate_hypergeometric(*stratum) for stratum in drawn])
        estimates = estimate(counts, pixels / 100, ["a", "b", "c"])
        for j, land in enumerate(estimates.classes):
            holds[0, j] += holds_truth(land.hectares, truth[:, j].sum() / 100)
            holds[1, j] += holds_truth(land.producers, truth[j, j] / truth[:, j].sum())
    assert (abs(holds[0] / trials - 0.95) < 0.015).all()
    # A share of few points is not quite normal.
    assert (abs(holds[1] / trials - 0.95) < 0.04).all()


def holds_truth(found: Estimate, true: float) -> bool:
    return abs(found.value - true) <= found.margin

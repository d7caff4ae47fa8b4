"""Counts of transitions, held against loops."""

import numpy as np
from changed import IGNORE, N, count_pairs, make_maps
from hypothesis import given
from hypothesis import strategies as st

from lcseg.change.tally import Tally, count


def test_a_tally_says_what_went_where():
    before_hw = np.array([[0, 0, 1], [2, IGNORE, 1]], np.uint8)
    after_hw = np.array([[0, 1, 1], [0, 0, IGNORE]], np.uint8)
    tally = count(before_hw, after_hw, np.array([1e4, 2e4]), 3)
    assert tally.pixels.tolist() == [[1, 1, 0, 0], [0, 1, 0, 1], [1, 0, 0, 0], [1, 0, 0, 0]]
    assert tally.hectares.tolist() == [[1, 1, 0], [0, 1, 0], [2, 0, 0]]
    assert tally.losses.tolist() == [1, 0, 2]
    assert tally.gains.tolist() == [2, 1, 0]
    assert tally.net.tolist() == [1, 1, -2]
    assert (tally.changed_pixels, tally.changed_hectares, tally.known_hectares) == (2, 3, 5)


@given(st.integers(0, 10**6), st.integers(1, 20), st.integers(1, 20), st.integers(1, 15))
def test_merged_parts_are_the_whole_in_any_order(seed, height, width, n):
    maps = make_maps([seed], height, width, n=n)
    random = np.random.default_rng(seed)
    row_m2 = random.choice([0.25, 1.0, 900.0, 1234.5], height)
    is_counted_hw = random.random((height, width)) < 0.8
    whole = count(maps.before_hw, maps.after_hw, row_m2, n, is_counted_hw)
    assert whole.n_classes == n
    rows = np.split(np.arange(height), np.sort(random.integers(0, height + 1, 3)))
    parts = [
        count(maps.before_hw[own], maps.after_hw[own], row_m2[own], n, is_counted_hw[own])
        for own in rows
    ]
    merged = Tally.empty(n)
    for i in random.permutation(len(parts)):
        merged = parts[i].merge(merged)
    assert (merged.pixels == whole.pixels).all()
    assert np.allclose(merged.m2, whole.m2)
    expected_m2 = np.zeros((n + 1, n + 1))
    for row, col in np.argwhere(is_counted_hw):
        cell = (
            n if label == IGNORE else label
            for label in (maps.before_hw[row, col], maps.after_hw[row, col])
        )
        expected_m2[tuple(cell)] += row_m2[row]
    assert np.allclose(whole.m2, expected_m2)


def test_all_pixels_count_where_none_are_chosen():
    maps = make_maps([1], 30, 20)
    tally = count(maps.before_hw, maps.after_hw, np.ones(30), N)
    assert (tally.pixels == count_pairs(maps.before_hw, maps.after_hw)).all()
    assert (tally.m2 == tally.pixels).all()
    assert abs(tally.gains.sum() - tally.losses.sum()) < 1e-12
    assert abs(tally.net.sum()) < 1e-12

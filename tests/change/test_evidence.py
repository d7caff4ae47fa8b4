"""What is believed of differences, held against loops over pixels."""

import numpy as np
import pytest
from changed import IGNORE, expect_believed, expect_core, make_maps
from hypothesis import given
from hypothesis import strategies as st

from lcseg.change.evidence import add_rim, change_probability, find_core


def believe(before_hw, after_hw, differing_hw, tolerance_px):
    """What no border explains, with its rim."""
    core_hw = find_core(before_hw, after_hw, differing_hw, tolerance_px)
    return add_rim(core_hw, differing_hw, tolerance_px)


def test_a_border_that_moves_is_no_change_but_a_new_thing_is():
    before_hw, after_hw = np.zeros((9, 12), np.uint8), np.zeros((9, 12), np.uint8)
    before_hw[:, 8:], after_hw[:, 9:] = 1, 1
    after_hw[3:6, 2:5] = 2
    differing_hw = before_hw != after_hw
    assert (believe(before_hw, after_hw, differing_hw, 0) == differing_hw).all()
    assert (believe(before_hw, after_hw, differing_hw, 1) == (after_hw == 2)).all()


@given(st.integers(0, 10**6), st.integers(1, 16), st.integers(1, 16), st.integers(0, 4))
def test_what_is_believed_is_what_its_definition_says(seed, height, width, tolerance_px):
    maps = make_maps([seed], height, width)
    before_hw, after_hw = maps.before_hw, maps.after_hw
    random = np.random.default_rng(seed)
    is_known_hw = (before_hw != IGNORE) & (after_hw != IGNORE)
    differing_hw = is_known_hw & (before_hw != after_hw) & (random.random((height, width)) < 0.9)
    copies = before_hw.copy(), after_hw.copy(), differing_hw.copy()
    core_hw = find_core(before_hw, after_hw, differing_hw, tolerance_px)
    assert (core_hw == expect_core(before_hw, after_hw, differing_hw, tolerance_px)).all()
    found_hw = believe(before_hw, after_hw, differing_hw, tolerance_px)
    assert (found_hw == expect_believed(core_hw, differing_hw, tolerance_px)).all()
    for given_hw, copy_hw in zip((before_hw, after_hw, differing_hw), copies, strict=True):
        assert (given_hw == copy_hw).all()


@given(st.integers(0, 10**6), st.integers(1, 3))
def test_it_depends_on_twice_the_tolerance_around_and_on_no_more(seed, tolerance_px):
    maps, reach = make_maps([seed], 24, 24), 2 * tolerance_px
    before_hw, after_hw = maps.before_hw, maps.after_hw
    differing_hw = (before_hw != after_hw) & (before_hw != IGNORE) & (after_hw != IGNORE)
    whole_hw = believe(before_hw, after_hw, differing_hw, tolerance_px)
    part = slice(9 - reach, 14 + reach), slice(10 - reach, 13 + reach)
    part_hw = believe(before_hw[part], after_hw[part], differing_hw[part], tolerance_px)
    assert (part_hw[reach:-reach, reach:-reach] == whole_hw[9:14, 10:13]).all()


def test_the_greatest_of_16_classes_has_a_bit_of_its_own():
    before_hw, after_hw = np.full((3, 8), 15, np.uint8), np.full((3, 8), 15, np.uint8)
    before_hw[:, 4:], after_hw[:, 5:] = 0, 0
    assert not believe(before_hw, after_hw, before_hw != after_hw, 1).any()


def test_probability_of_change_is_that_of_two_draws_that_differ():
    random = np.random.default_rng(0)
    before_hwk, after_hwk = (random.dirichlet(np.ones(5), (6, 7)) for _ in range(2))
    found_hw = change_probability(before_hwk.astype(np.float32), after_hwk.astype(np.float32))
    assert found_hw.dtype == np.float32 and found_hw.shape == (6, 7)
    for row in range(6):
        for col in range(7):
            differs = sum(
                p * q
                for i, p in enumerate(before_hwk[row, col])
                for j, q in enumerate(after_hwk[row, col])
                if i != j
            )
            assert found_hw[row, col] == pytest.approx(differs, abs=1e-6)


def test_probabilities_that_sum_to_more_than_1_by_rounding_stay_in_bounds():
    sure_hwk = np.full((1, 1, 3), 85 / 254, np.float32)
    sure_hwk[..., 0] = 255 / 254
    assert change_probability(sure_hwk, sure_hwk).tolist() == [[0.0]]

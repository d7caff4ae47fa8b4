"""Transitions as classes of a scheme."""

import numpy as np
import pytest
from changed import IGNORE, make_maps, make_scheme
from hypothesis import given
from hypothesis import strategies as st

from lcseg.classes import ClassScheme, LandClass, load_scheme
from lcseg.errors import LcsegError
from lcseg.transitions import classes_of, decode, encode, find_changed, transition_scheme

SCHEME = load_scheme("chesapeake-4")


def test_a_code_names_what_was_and_what_is():
    transitions = transition_scheme(SCHEME)
    assert transitions.n_classes == 16
    before_hw = np.array([[0, 1, IGNORE]], np.uint8)
    after_hw = np.array([[0, 3, 2]], np.uint8)
    code_hw = encode(before_hw, after_hw, 4)
    assert code_hw.tolist() == [[0, 7, IGNORE]]
    assert transitions.names[0] == "stable water"
    assert transitions.names[7] == "tree/forest to barren/impervious"
    assert find_changed(code_hw, 4).tolist() == [[False, True, False]]


@given(st.integers(0, 10**6), st.integers(1, 15))
def test_what_is_encoded_is_decoded_again(seed, n):
    maps = make_maps([seed], 12, 9, n=n)
    code_hw = encode(maps.before_hw, maps.after_hw, n)
    is_known_hw = (maps.before_hw != IGNORE) & (maps.after_hw != IGNORE)
    assert code_hw.dtype == np.uint8
    assert ((code_hw == IGNORE) == ~is_known_hw).all()
    assert (code_hw[is_known_hw] < n * n).all()
    before_hw, after_hw = decode(code_hw, n)
    assert (before_hw == np.where(is_known_hw, maps.before_hw, IGNORE)).all()
    assert (after_hw == np.where(is_known_hw, maps.after_hw, IGNORE)).all()
    is_changed_hw = is_known_hw & (maps.before_hw != maps.after_hw)
    assert (find_changed(code_hw, n) == is_changed_hw).all()


@pytest.mark.parametrize("n", [2, 4, 15])
def test_the_classes_are_found_again_in_the_names_of_their_transitions(n):
    scheme = make_scheme(n)
    assert classes_of(transition_scheme(scheme)) == scheme.names


def test_a_scheme_of_as_many_classes_is_not_taken_for_transitions():
    assert classes_of(SCHEME) is None
    assert classes_of(make_scheme(9)) is None
    assert classes_of(make_scheme(7)) is None


def test_colours_tell_what_stays_from_what_changes():
    palette = transition_scheme(SCHEME).palette.reshape(4, 4, 3).astype(float)
    own = SCHEME.palette.astype(float)
    for i in range(4):
        for j in range(4):
            expected = own[i] * 0.22 + 255 * 0.78 if i == j else 0.2 * own[i] + 0.8 * own[j]
            assert np.abs(palette[i, j] - expected).max() <= 0.5
    assert len({tuple(color) for color in palette.reshape(16, 3).tolist()}) == 16


def test_more_classes_than_a_byte_can_tell_of_are_refused():
    with pytest.raises(LcsegError, match=r"has 16 classes, and change is told between 15 at most"):
        transition_scheme(make_scheme(16))


def test_names_by_which_two_transitions_are_called_alike_are_refused():
    lands = (
        LandClass(name, "#102030", (i,)) for i, name in enumerate(("a", "b to c", "a to b", "c"))
    )
    scheme = ClassScheme("odd", tuple(lands))
    with pytest.raises(LcsegError, match="two transitions are called 'a to b to c'"):
        transition_scheme(scheme)

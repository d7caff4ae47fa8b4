"""Where labels are contradicted, pixel by pixel."""

import numpy as np

from lcseg.audit.marks import mark_places
from lcseg.classes import IGNORE

LEAST = np.array([100, 100, 100], np.uint8)


def test_a_place_reaches_as_far_around_as_borders_are_off():
    label_hw, probs_hwk = np.zeros((20, 20), np.uint8), np.zeros((20, 20, 3), np.uint8)
    probs_hwk[..., 0] = 254
    # The model is sure of the middle, and says the same, less surely, in a wide ring around it.
    probs_hwk[3:17, 3:17] = 70, 94, 90
    probs_hwk[7:13, 7:13] = 10, 244, 0
    label_hw[:, 14:] = IGNORE
    marks = mark_places(probs_hwk, label_hw, LEAST, 2)
    found_hw = np.zeros((16, 16), int)
    found_hw[3:13, 3:12] = 1 + 1
    assert marks.key_hw.tolist() == found_hw.tolist()
    assert [int(value.sum()) for value in marks.values] == [4, 36, 36 * 244, 36 * 10]
    assert marks.sure_hw.sum() == 36


def test_a_class_that_is_sure_of_itself_but_less_probable_is_what_is_suggested():
    # Class 1 is the most probable one, but reaches no threshold; class 2 does.
    probs_hwk = np.full((5, 5, 3), (44, 110, 100), np.uint8)
    least = np.array([100, 120, 90], np.uint8)
    marks = mark_places(probs_hwk, np.zeros((5, 5), np.uint8), least, 1)
    assert (marks.key_hw == 1 + 0 * 3 + 2).all() and marks.sure_hw.all()
    assert [int(value.sum()) for value in marks.values] == [9, 9, 900, 9 * 44]


def test_two_places_side_by_side_do_not_reach_into_each_other():
    probs_hwk = np.zeros((9, 16, 3), np.uint8)
    probs_hwk[:, :8], probs_hwk[:, 8:] = (0, 254, 0), (0, 0, 254)
    marks = mark_places(probs_hwk, np.zeros((9, 16), np.uint8), LEAST, 2)
    assert marks.key_hw.tolist() == [[2] * 6 + [3] * 6] * 5
    is_core_hw = marks.values[0]
    assert is_core_hw.tolist() == [[True] * 4 + [False] * 4 + [True] * 4] * 5

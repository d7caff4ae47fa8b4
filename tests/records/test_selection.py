"""Which chips are worth keeping."""

import numpy as np
import pytest

from lcseg.classes import load_scheme
from lcseg.errors import LcsegError
from lcseg.records.selection import COMMON, KEPT, REASONS, SCARCE, UNLABELLED, Selection

SCHEME = load_scheme("chesapeake-4")


def judge(counts: list[int], keep_below: str = "", least: float = 0.0, split: str = "train") -> str:
    return Selection.parse(keep_below, least, SCHEME).judge(np.array(counts), split)


def test_chip_is_kept_unless_a_rule_speaks_against_it():
    rule = "tree/forest:0.9,water:0.5"
    assert judge([40, 50, 5, 5, 100], rule) == KEPT
    assert judge([0, 90, 5, 5, 100], rule) == COMMON
    assert judge([50, 40, 5, 5, 0], rule) == COMMON
    assert judge([0, 0, 0, 0, 200], rule) == UNLABELLED
    assert judge([1, 0, 0, 0, 199], rule, least=0.01) == SCARCE
    assert set(REASONS) == {UNLABELLED, SCARCE, COMMON}


def test_shares_are_of_the_labelled_pixels_and_the_limit_itself_is_too_much():
    assert judge([89, 11, 0, 0, 10_000], "water:0.9") == KEPT
    assert judge([90, 10, 0, 0, 10_000], "water:0.9") == COMMON
    assert judge([99, 1, 0, 0, 0], "water:1") == KEPT
    assert judge([100, 0, 0, 0, 0], "water:1") == COMMON


def test_only_training_chips_are_thinned_out():
    for split in ("val", "test"):
        assert judge([100, 0, 0, 0, 0], "water:0.5", split=split) == KEPT
        assert judge([1, 0, 0, 0, 99], "water:0.5", least=0.5, split=split) == SCARCE


@pytest.mark.parametrize(("labelled", "fate"), [(24, SCARCE), (25, KEPT), (100, KEPT)])
def test_least_share_is_of_all_pixels_of_the_chip(labelled, fate):
    assert judge([labelled, 0, 0, 0, 100 - labelled], least=0.25) == fate


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("forest:0.9", "'forest:0.9' names no class of 'chesapeake-4'; expected CLASS:SHARE of wa"),
        ("water", "'water' names no class"),
        (":0.5", "':0.5' names no class"),
        ("water:", "'' is not a share above 0, up to 1"),
        ("water:half", "'half' is not a share"),
        ("water:0", "'0' is not a share"),
        ("water:1.1", "'1.1' is not a share"),
        ("water:nan", "'nan' is not a share"),
        ("water:-1", "'-1' is not a share"),
        ("water:0.5;tree/forest:0.5", "names no class"),
    ],
)
def test_rule_that_makes_no_sense_is_refused_by_its_flag(text, message):
    with pytest.raises(LcsegError) as error:
        Selection.parse(text, 0.0, SCHEME)
    assert str(error.value).startswith(f"--keep_below={text}: ")
    assert message in str(error.value)


def test_blanks_and_empty_rules_do_no_harm():
    parsed = Selection.parse(" water : 0.5 ,, barren/impervious:1,", 0.0, SCHEME)
    assert parsed.below == ((0, 0.5), (3, 1.0))
    assert Selection.parse("", 0.0, SCHEME).below == ()

"""What a reader of the figures is warned of."""

import re
from dataclasses import replace

import numpy as np
import pytest

from lcseg.change.advice import advise
from lcseg.change.comparison import Filtering
from lcseg.change.registration import Shift
from lcseg.change.report import DateInfo, Interval, Matrix
from lcseg.change.search import Rules
from lcseg.change.tally import Tally
from lcseg.prediction.fitness import BandFitness, Fitness
from lcseg.raster.fit import LabelFit

FIT = LabelFit("as it is", (0.0, 0.0), (0.0, 0.0), 1.0, "UTM", 1.0)
DATES = DateInfo("2013", "a.tif", "", None), DateInfo("2017", "b.tif", "", None)
RULES = Rules(0.85, 1)


def make_interval(pixels, shift=None, change=100) -> Interval:
    pixels = np.array(pixels)
    raw = Matrix.of(Tally(pixels, pixels.astype(float)), True)
    filtering = Filtering(raw.changed_pixels, change, change, change)
    return Interval("2013", "2017", raw, raw, filtering, FIT, shift, (), (), "")


QUIET = make_interval([[9000, 100, 0], [50, 850, 0], [0, 0, 0]])


def warn(interval=QUIET, dates=DATES, rules=RULES, has_probabilities=True) -> list[str]:
    found = list(advise([interval], dates, rules, has_probabilities))
    assert not any("\n" in warning or "  " in warning for warning in found)
    return found


def test_a_sound_comparison_has_no_warnings():
    assert warn() == []


def test_imagery_that_is_strange_to_the_model_is_named():
    bands = BandFitness("red", 100, 40, 100, 40), BandFitness("nir", 31, 40, 118, 36)
    strange = replace(DATES[1], fitness=Fitness(bands))
    (warning,) = warn(dates=(replace(DATES[0], fitness=Fitness(bands[:1])), strange))
    assert warning.startswith("2017: the model has not seen the like of its image (nir: mean 31 ")
    assert "-2.4 sd" in warning


@pytest.mark.parametrize(
    ("shift", "tolerance_px", "expected"),
    [
        (Shift(0.3, 0.3, 0.1, 9), 0, ""),
        (Shift(0.6, 0.0, 0.1, 9), 0, "0.6 px off each other, .*--edge_tolerance_px=1 "),
        (Shift(0.6, 0.0, 0.1, 9), 1, ""),
        (Shift(-3.0, 4.0, 0.1, 9), 2, "5.0 px off each other, .*--edge_tolerance_px=5 "),
        (Shift(-3.0, 4.1, 0.1, 9), 2, "5.1 px off each other, .*--edge_tolerance_px=6 "),
        (Shift(3.0, 0.0, 7.5, 9), 1, "is not known: 9 windows disagree by 7.5 px"),
        (Shift(3.0, 0.0, 0.0, 1), 1, "is not known: hardly anything in them could be compared"),
    ],
)
def test_images_that_lie_off_each_other_are_told_of(shift, tolerance_px, expected):
    found = warn(replace(QUIET, shift=shift), rules=Rules(0.85, tolerance_px))
    assert len(found) == bool(expected)
    if expected:
        assert re.search(expected, found[0])


def test_little_ground_that_both_maps_know_is_told_of():
    (warning,) = warn(make_interval([[1000, 10, 0], [0, 90, 500], [900, 100, 5000]]))
    assert "only 42 % of the ground has a class at both dates" in warning


def test_more_differences_than_land_changes_are_told_of():
    (warning,) = warn(make_interval([[500, 200, 0], [100, 200, 0], [0, 0, 0]], change=250))
    assert "the maps differ on 30 % of their area" in warning


def test_many_differences_of_which_none_is_sure_are_told_of():
    (warning,) = warn(make_interval([[800, 100, 0], [0, 100, 0], [0, 0, 0]], change=3))
    assert "the maps differ on 10 % of their area and hardly anywhere surely" in warning


def test_maps_without_probabilities_are_told_of():
    (warning,) = warn(has_probabilities=False)
    assert warning.startswith("there are no probabilities, so every difference counts")


def test_maps_that_know_nothing_in_common_are_told_of_and_divide_by_nothing():
    (warning,) = warn(make_interval([[0, 0, 5], [0, 0, 5], [4, 4, 0]], change=0))
    assert "only 0 % of the ground" in warning

"""The places where a map is worst, and their pictures."""

import io

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lcseg.classes import IGNORE
from lcseg.evaluation.spots import (
    Place,
    Spot,
    Worst,
    draw_confidence,
    draw_difference,
    draw_tiles,
    judge_spot,
)


def make_spot(number: int, accuracy: float) -> Spot:
    return Spot(Place("scene", number, 0, number), 100, accuracy)


def test_the_worst_spots_are_kept():
    label = np.zeros((4, 5), np.uint8)
    worst = Worst(limit=2)
    for wrong in (1, 7, 3, 0):
        prediction = np.zeros(20, np.uint8)
        prediction[:wrong] = 1
        worst = worst.add(judge_spot(Place("", wrong, 0), label, prediction.reshape(4, 5), 5))
    assert [spot.place.row for spot in worst.spots] == [7, 3]
    assert [spot.overall_accuracy for spot in worst.spots] == [0.65, 0.85]


def test_a_spot_with_too_few_pixels_is_passed_over():
    label = np.full((4, 4), IGNORE, np.uint8)
    label[0] = 1
    prediction = np.zeros((4, 4), np.uint8)
    prediction[0, 0] = IGNORE
    assert judge_spot(Place("", 0, 0), label, prediction, 4) is None
    assert judge_spot(Place("", 0, 0), label, prediction, 3) == Spot(Place("", 0, 0), 3, 0.0)
    assert judge_spot(Place("", 0, 0), label[1:], prediction[1:], 0) is None
    assert Worst(2).add(None) == Worst(2)


@given(st.lists(st.sampled_from([0.0, 0.25, 0.5]), max_size=9), st.integers(0, 9), st.randoms())
def test_parts_merge_in_any_order_to_the_worst_of_all(accuracies, cut, random):
    spots = [make_spot(number, accuracy) for number, accuracy in enumerate(accuracies)]
    expected = tuple(sorted(spots, key=lambda s: (s.overall_accuracy, s.place.row))[:3])
    random.shuffle(spots)
    parts = [Worst(3), Worst(3)]
    for i, spot in enumerate(spots):
        parts[i < cut] = parts[i < cut].add(spot)
    assert parts[0].merge(parts[1]).spots == expected


def test_differences_are_red_and_what_is_not_compared_is_black():
    label = np.array([[0, 1, IGNORE, 2]], np.uint8)
    prediction = np.array([[0, 2, 1, IGNORE]], np.uint8)
    same, other, *rest = draw_difference(label, prediction)[0].tolist()
    assert len(set(same)) > 1 or same[0] > 100
    assert other[0] > 2 * other[1]
    assert rest == [[0, 0, 0], [0, 0, 0]]


def test_confidence_is_grey():
    picture = draw_confidence(np.array([[0, 0.5, 1, np.nan]], np.float32))
    assert picture[0].tolist() == [[0] * 3, [128] * 3, [255] * 3, [0] * 3]


def test_tiles_are_pictures_with_titles():
    ((title, png),) = draw_tiles([("label", np.full((4, 6, 3), 9, np.uint8))])
    assert title == "label"
    assert np.array_equal(np.array(Image.open(io.BytesIO(png))), np.full((4, 6, 3), 9))

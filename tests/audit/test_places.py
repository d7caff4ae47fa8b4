"""Places where labels are contradicted, chosen and ordered."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcseg.audit.marks import mark_places
from lcseg.audit.places import NARROW, SMALL, Count, Harvest, Place, Rules
from lcseg.classes import IGNORE
from lcseg.raster.grid import Window
from lcseg.raster.patches import Patches, PatchTable

RULES = Rules(n_classes=3, min_area_m2=0)
ROW_M2 = np.full(40, 4.0)
LEAST = np.array([100, 100, 100], np.uint8)


def make_probs(guess_hw: np.ndarray, value: int = 254) -> np.ndarray:
    """A model that is so sure of these classes, and leaves the rest to the next ones."""
    probs_hwk = np.zeros((*guess_hw.shape, 3), np.uint8)
    for index in range(3):
        probs_hwk[guess_hw == index, index] = value
        probs_hwk[guess_hw == index, (index + 1) % 3] = 254 - value
    return probs_hwk


def find(guess_hw, label_hw, edge_px, limit=9, rules=RULES, value=254) -> Harvest:
    """What is found in arrays, with a margin of no labels around them."""
    pad = [(edge_px, edge_px)] * 2
    probs_hwk = make_probs(np.pad(guess_hw, pad), value)
    marks = mark_places(probs_hwk, np.pad(label_hw, pad, constant_values=IGNORE), LEAST, edge_px)
    patches = Patches()
    whole, _ = patches.add(Window(0, 0, *label_hw.shape), marks.key_hw, marks.values)
    table = PatchTable.join([whole, patches.finish()])
    return Harvest(limit).add(0, table, ROW_M2, rules)


def test_an_area_that_is_contradicted_is_a_place():
    label_hw, guess_hw = np.zeros((12, 12), np.uint8), np.zeros((12, 12), np.uint8)
    guess_hw[2:9, 3:8] = 2
    found = find(guess_hw, label_hw, edge_px=2, value=204)
    expected = Place(
        scene=0,
        label=0,
        suggested=2,
        pixels=35,
        area_m2=140.0,
        confidence=204 / 254,
        label_probability=50 / 254,
        score=154 / 254,
        first=(2, 3),
        window=Window(2, 3, 7, 5),
    )
    (place,) = found.places
    assert place == expected
    assert found.pairs == {(0, 2): Count(1, 35, 140.0, 35, 35 * 204)}
    assert found.total.confidence == pytest.approx(204 / 254)


@pytest.mark.parametrize(
    ("edge_px", "width", "is_found"), [(0, 1, 1), (1, 2, 0), (1, 3, 1), (3, 6, 0), (3, 7, 1)]
)
def test_what_is_nowhere_wider_than_borders_are_off_is_no_finding(edge_px, width, is_found):
    label_hw, guess_hw = np.zeros((30, 30), np.uint8), np.zeros((30, 30), np.uint8)
    guess_hw[5:25, 5 : 5 + width] = 1
    found = find(guess_hw, label_hw, edge_px)
    assert len(found.places) == is_found
    assert found.dropped[NARROW].places == 1 - is_found
    assert found.dropped[NARROW].pixels == (1 - is_found) * 20 * width


def test_a_place_of_two_labels_is_two_and_unlabelled_ground_is_none():
    label_hw, guess_hw = np.zeros((9, 20), np.uint8), np.full((9, 20), 2, np.uint8)
    label_hw[:, 9:], label_hw[:, 18:] = 1, IGNORE
    found = find(guess_hw, label_hw, edge_px=1)
    assert sorted((place.label, place.pixels) for place in found.places) == [(0, 81), (1, 81)]


def test_small_places_are_left_out_and_counted():
    label_hw, guess_hw = np.zeros((9, 20), np.uint8), np.zeros((9, 20), np.uint8)
    guess_hw[2:5, 2:5] = guess_hw[2:6, 10:14] = 1
    found = find(guess_hw, label_hw, 1, rules=Rules(3, min_area_m2=40))
    assert [place.pixels for place in found.places] == [16]
    assert found.dropped[SMALL] == Count(1, 9, 36.0, 9, 9 * 254)


def test_without_a_crs_areas_are_not_known_and_nothing_is_too_small():
    label_hw, guess_hw = np.zeros((9, 9), np.uint8), np.ones((9, 9), np.uint8)
    marks = mark_places(make_probs(guess_hw), label_hw, LEAST, 0)
    patches = Patches()
    patches.add(Window(0, 0, 9, 9), marks.key_hw, marks.values)
    found = Harvest(5).add(0, patches.finish(), np.full(9, np.nan), RULES)
    assert [place.pixels for place in found.places] == [81]
    assert np.isnan(found.places[0].area_m2)


def make_table(random, n: int) -> PatchTable:
    margins = random.sample(range(200), n)
    pixels = np.array([random.randrange(1, 30) for _ in range(n)])
    sure = np.array([random.randrange(4) for _ in range(n)])
    core = sure * (np.array(margins) % 5 > 0)
    sums = np.stack([core, sure, sure * (50 + np.array(margins)), 50 * sure], axis=1)
    keys = np.array([random.choice([2, 3, 4, 6]) for _ in range(n)])
    first = np.array([[random.randrange(40), index] for index in range(n)])
    return PatchTable(keys, pixels, sums.astype(float), first, first[:, 0], first[:, [1, 1]])


@given(st.integers(1, 40), st.integers(0, 40), st.integers(1, 12), st.randoms())
def test_harvests_merge_in_any_order_to_the_whole(n, cut, limit, random):
    table = make_table(random, n)
    order = np.array(random.sample(range(n), n))
    empty = Harvest(limit)
    parts = [empty.add(0, table.take(part), ROW_M2, RULES) for part in (order[:cut], order[cut:])]
    random.shuffle(parts)
    whole = empty.add(0, table, ROW_M2, RULES)
    assert parts[0].merge(parts[1]) == whole
    scores = sorted(((s[2] - s[3]) / s[1] / 254 for s in table.sums if s[0]), reverse=True)
    assert [place.score for place in whole.places] == pytest.approx(scores[:limit])
    assert whole.total.places == len(scores)

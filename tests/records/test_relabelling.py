"""Labels changed in places, held against shapely, pixel by pixel."""

from collections import Counter

import numpy as np
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from lcseg.classes import IGNORE
from lcseg.documents import format_document, parse_document
from lcseg.raster.grid import Grid, Window, cover
from lcseg.records.relabelling import Changes, Correction, Relabeller, Touching

GRID = Grid(40, 50, (1.0, 0.0, 0.0, 0.0, -1.0, 0.0), "EPSG:26918")


def correct(
    place: int, shape: shapely.Geometry, new: int | None, label: int | None = None
) -> Correction:
    return Correction(place, shapely.to_wkb(shape, hex=True), label, new)


def relabel_plainly(
    label_hw: np.ndarray, valid_hw: np.ndarray, corrections: list[Correction]
) -> np.ndarray:
    """The law, written out once more, one pixel after the other."""
    outlines = [shapely.from_wkb(correction.outline) for correction in corrections]
    new_hw = label_hw.copy()
    for row, col in zip(*np.nonzero(valid_hw), strict=True):
        old = int(label_hw[row, col])
        told = {
            old if correction.new is None else correction.new
            for correction, outline in zip(corrections, outlines, strict=True)
            if shapely.contains_xy(outline, col + 0.5, row + 0.5)
            and correction.label in (None, old)
        }
        if told:
            new_hw[row, col] = told.pop() if len(told) == 1 else IGNORE
    return new_hw


def test_place_changes_the_label_that_it_is_about():
    label_hw = np.full((40, 50), 1, np.uint8)
    label_hw[:, :20] = 2
    valid_hw = np.ones((40, 50), bool)
    valid_hw[12] = False
    relabeller = Relabeller([correct(7, shapely.box(15, 10, 25, 14), 0, label=2)], GRID)
    new_hw, changes = relabeller.relabel(label_hw, valid_hw, GRID.window)
    expected_hw = label_hw.copy()
    expected_hw[10:14, 15:20] = 0
    expected_hw[12] = label_hw[12]
    np.testing.assert_array_equal(new_hw, expected_hw)
    assert changes == Changes({2: Counter({0: 15})}, Counter({7: 15}), Counter())
    assert label_hw[10, 15] == 2


places = st.lists(
    st.tuples(
        st.floats(-5, 50),
        st.floats(-5, 40),
        st.floats(1, 30),
        st.floats(1, 30),
        st.floats(0, 90),
        st.sampled_from([0, 1, 2, IGNORE, None]),
        st.sampled_from([None, None, 0, 1]),
    ),
    max_size=5,
)


@settings(deadline=None, max_examples=60)
@given(places, st.integers(0, 99), st.integers(7, 50))
def test_windows_change_what_the_law_says_whatever_their_size(told, seed, side_px):
    random = np.random.default_rng(seed)
    label_hw = random.choice([0, 1, 2, IGNORE], (40, 50)).astype(np.uint8)
    valid_hw = random.random((40, 50)) < 0.9
    label_hw[~valid_hw] = IGNORE
    corrections = [
        correct(
            number,
            shapely.affinity.rotate(shapely.box(x, y, x + wide, y + tall), angle),
            new,
            label,
        )
        for number, (x, y, wide, tall, angle, new, label) in enumerate(told)
    ]
    expected_hw = relabel_plainly(label_hw, valid_hw, corrections)
    for order in (corrections, corrections[::-1]):
        found_hw, total = label_hw.copy(), Changes()
        for window in cover(40, 50, side_px):
            part = window.clip(40, 50).slices
            inside = window.clip(40, 50)
            touching = Touching(order).find(np.array([[*vars(inside).values()]]))
            relabeller = Relabeller(touching, GRID)
            found_hw[part], changes = relabeller.relabel(label_hw[part], valid_hw[part], inside)
            total = total.merge(changes)
        # On an outline itself, rounding decides.
        centers = shapely.points(*(np.mgrid[:40, :50][::-1] + 0.5))
        outlines = [shapely.from_wkb(correction.outline).boundary for correction in corrections]
        is_near = np.zeros((40, 50), bool)
        for outline in outlines:
            is_near |= shapely.distance(outline, centers) < 1e-6
        np.testing.assert_array_equal(found_hw[~is_near], expected_hw[~is_near])
        counted = sum(sum(news.values()) for news in total.pixels.values())
        assert counted == (found_hw != label_hw).sum()


def test_places_that_say_different_things_make_a_pixel_ignored_in_any_order():
    label_hw, valid_hw = np.full((40, 50), 1, np.uint8), np.ones((40, 50), bool)
    told = [
        correct(1, shapely.box(0, 0, 10, 10), 0),
        correct(2, shapely.box(5, 0, 15, 10), 2),
        correct(3, shapely.box(12, 0, 20, 10), None),
        correct(4, shapely.box(0, 0, 3, 10), 0),
    ]
    for order in (told, told[::-1]):
        new_hw, changes = Relabeller(order, GRID).relabel(label_hw, valid_hw, GRID.window)
        row = [0] * 5 + [IGNORE] * 5 + [2] * 2 + [IGNORE] * 3 + [1] * 35
        assert new_hw[5].tolist() == row
        assert set(changes.contested) == {1, 2, 3}
        assert changes.contested == Counter({1: 50, 2: 80, 3: 30})
        assert changes.pixels == {1: Counter({0: 50, 2: 20, IGNORE: 80})}


def test_pixel_without_a_label_may_be_given_one_but_not_without_an_image():
    label_hw = np.full((40, 50), IGNORE, np.uint8)
    valid_hw = np.ones((40, 50), bool)
    valid_hw[:, 10:] = False
    relabeller = Relabeller([correct(1, shapely.box(0, 0, 20, 20), 3)], GRID)
    new_hw, _ = relabeller.relabel(label_hw, valid_hw, GRID.window)
    assert (new_hw[:20, :10] == 3).all()
    assert (new_hw == 3).sum() == 200


def test_windows_far_from_all_places_keep_their_labels():
    label_hw = np.full((10, 10), 1, np.uint8)
    relabeller = Relabeller([correct(1, shapely.box(0, 0, 5, 5), 3)], GRID)
    new_hw, changes = relabeller.relabel(label_hw, label_hw > 0, Window(20, 20, 10, 10))
    assert new_hw is label_hw
    assert changes == Changes()


def test_place_that_reaches_beyond_its_scene_changes_what_is_in_it():
    label_hw = np.full((40, 50), 1, np.uint8)
    for shape in (shapely.box(-99, -99, 99, 99), shapely.box(-9, 0, 0, 40)):
        relabeller = Relabeller([correct(1, shape, 0)], GRID)
        new_hw, _ = relabeller.relabel(label_hw, label_hw > 0, GRID.window)
        assert (new_hw == 0).all() == (shape.bounds[2] > 0)
        assert (new_hw == 1).all() == (shape.bounds[2] == 0)


def test_changes_are_a_document_and_merge_in_any_order():
    one = Changes({1: Counter({0: 3})}, Counter({7: 3}), Counter())
    other = Changes({1: Counter({0: 2, 255: 1}), 255: Counter({2: 4})}, Counter({7: 1, 8: 6}))
    assert parse_document(format_document(other), Changes, "changes") == other
    both = Changes({1: Counter({0: 5, 255: 1}), 255: Counter({2: 4})}, Counter({7: 4, 8: 6}))
    assert one.merge(other) == other.merge(one) == both
    assert isinstance(parse_document(format_document(one), Changes, "").places, Counter)

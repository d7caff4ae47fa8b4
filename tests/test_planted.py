"""Changes that are planted, and nothing else."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage
from skimage.measure import label

from lcseg.planted import Dates, make_dates, shift_image
from lcseg.synthetic import BARREN, GRASS, IMPERVIOUS, TREES, WATER, Landscape, make_landscape

LAND = Landscape(256, 7)
QUIET = Dates(LAND, 0, 0.0, 0.0, False, 0.0)


def test_two_dates_of_a_landscape_differ_where_changes_were_planted():
    pair = make_dates(Dates(LAND))
    before_hw, after_hw = pair.before.truth_hw, pair.after.truth_hw
    changed_hw = before_hw != after_hw
    assert 0 < changed_hw.mean() < 0.2
    kinds = set(zip(before_hw[changed_hw].tolist(), after_hw[changed_hw].tolist(), strict=True))
    assert kinds <= {(TREES, BARREN), (GRASS, IMPERVIOUS), (WATER, GRASS)}
    assert (TREES, BARREN) in kinds
    assert pair.after.image_hwc.dtype == np.uint8 and (pair.after.image_hwc > 0).all()


def test_the_first_date_is_the_landscape_itself():
    scene, pair = make_landscape(LAND), make_dates(Dates(LAND))
    assert (pair.before.truth_hw == scene.truth_hw).all()
    assert (pair.before.image_hwc == scene.image_hwc).all()


def test_the_same_choice_gives_the_same_bytes():
    config = Dates(LAND, shift_px=(0.3, -0.6))
    one, other = make_dates(config), make_dates(config)
    for date in ("before", "after"):
        for what in ("image_hwc", "truth_hw"):
            values = [getattr(getattr(pair, date), what) for pair in (one, other)]
            assert values[0].tobytes() == values[1].tobytes()
    assert make_dates(replace(config, season=2)).after.image_hwc.tobytes() != values[0].tobytes()


def test_nothing_changes_where_nothing_is_planted():
    # Without a season, either: what differs is the sensor's noise.
    pair = make_dates(replace(QUIET, landscape=replace(LAND, noise=0)))
    assert (pair.before.truth_hw == pair.after.truth_hw).all()
    assert (pair.before.image_hwc == pair.after.image_hwc).all()
    seasonal = make_dates(replace(QUIET, season=1))
    assert (seasonal.before.truth_hw == seasonal.after.truth_hw).all()
    off = np.abs(seasonal.before.image_hwc.astype(int) - seasonal.after.image_hwc)
    assert off.mean() > 3


@pytest.mark.parametrize("seed", range(4))
def test_woods_are_felled_up_to_their_share(seed):
    config = replace(QUIET, landscape=Landscape(256, seed), felled_share=0.05)
    pair = make_dates(config)
    changed_hw = pair.before.truth_hw != pair.after.truth_hw
    assert 0 < changed_hw.sum() <= 1 + 0.05 * changed_hw.size
    assert (pair.before.truth_hw[changed_hw] == TREES).all()
    assert (pair.after.truth_hw[changed_hw] == BARREN).all()


def test_houses_come_onto_grass_of_villages():
    counts = []
    for share in (0.0, 0.3, 1.0):
        pair = make_dates(replace(QUIET, landscape=Landscape(512, 3), built_share=share))
        changed_hw = pair.before.truth_hw != pair.after.truth_hw
        assert (pair.before.truth_hw[changed_hw] == GRASS).all()
        assert (pair.after.truth_hw[changed_hw] == IMPERVIOUS).all()
        counts.append(int(changed_hw.sum()))
    assert counts[0] == 0 < counts[1] < counts[2]


def test_the_largest_lake_falls_dry_and_a_river_stays():
    n_drained = 0
    for seed in range(6):
        pair = make_dates(replace(QUIET, landscape=Landscape(384, seed), drains_lake=True))
        changed_hw = pair.before.truth_hw != pair.after.truth_hw
        part_hw = label(pair.before.truth_hw == WATER, connectivity=1)
        edge = {*part_hw[0], *part_hw[-1], *part_hw[:, 0], *part_hw[:, -1]}
        sizes = {k: (part_hw == k).sum() for k in range(1, part_hw.max() + 1) if k not in edge}
        assert changed_hw.sum() == max(sizes.values(), default=0)
        if sizes:
            n_drained += 1
            assert len(set(part_hw[changed_hw].tolist())) == 1
            assert (pair.after.truth_hw[changed_hw] == GRASS).all()
    assert n_drained > 2


@pytest.mark.parametrize("shift", [(0, 0), (0.5, 0), (0, -0.25), (-1, 1), (0.3, 0.8)])
def test_an_image_is_moved_as_scipy_moves_it(shift):
    image_hwc = np.random.default_rng(0).integers(0, 256, (20, 30, 2)).astype(np.uint8)
    moved_hwc = shift_image(image_hwc, *shift)
    expected_hwc = ndimage.shift(image_hwc.astype(float), (*shift, 0), order=1, mode="nearest")
    assert moved_hwc.dtype == np.float32
    assert np.abs(moved_hwc - expected_hwc).max() < 1e-3


def test_a_thing_that_moves_down_and_right_has_a_greater_row_and_column():
    image_hwc = np.zeros((9, 9, 1), np.uint8)
    image_hwc[4, 4] = 100
    rows, cols = np.nonzero(shift_image(image_hwc, 1, 1)[..., 0])
    assert (rows.tolist(), cols.tolist()) == ([5], [5])


@pytest.mark.parametrize("shift", [(1.5, 0), (0, -2)])
def test_more_than_a_pixel_is_refused(shift):
    with pytest.raises(ValueError, match="shift_px"):
        Dates(LAND, shift_px=shift)

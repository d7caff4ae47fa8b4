"""Pictures of two maps and of the change between them."""

import numpy as np
import pytest
from changed import CRS, IGNORE, SCHEME, TRANSFORM, N, make_maps

from lcseg.change.overview import SIDE_PX, Overview
from lcseg.raster.grid import Grid, Window, cover


def draw(before_hw, after_hw, is_change_hw, block_px=64):
    height, width = before_hw.shape
    overview = Overview(Grid(height, width, TRANSFORM, CRS), N)
    for window in cover(height, width, block_px):
        own = window.clip(height, width)
        part = own.slices
        overview.add(own, before_hw[part], after_hw[part], is_change_hw[part])
    return overview.draw(SCHEME)


def test_small_maps_are_drawn_pixel_by_pixel():
    before_hw = np.array([[0, 1], [IGNORE, 2]], np.uint8)
    after_hw = np.array([[0, 3], [1, 2]], np.uint8)
    overview = Overview(Grid(2, 2, TRANSFORM, CRS), N)
    overview.add(Window(0, 0, 2, 2), before_hw, after_hw, before_hw < (after_hw == 3) * 9)
    before, after, change = overview.draw(SCHEME)
    palette = SCHEME.palette
    assert (before[0] == palette[:2]).all() and (before[1, 0] == 255).all()
    assert (after[0, 1] == palette[3]).all()
    assert (change[0, 1] == palette[3]).all()
    assert (change[1, 0] == 255).all()
    assert change[0, 0].tolist() == change[1, 1].tolist() != [255, 255, 255]


@pytest.mark.parametrize("shape", [(1, 1), (721, 40), (1500, 1000), (7, 2161)])
def test_blocks_change_nothing_and_no_picture_is_large(shape):
    maps = make_maps([5], *shape)
    is_change_hw = (
        (maps.before_hw != maps.after_hw) & (maps.before_hw != IGNORE) & (maps.after_hw != IGNORE)
    )
    whole = draw(maps.before_hw, maps.after_hw, is_change_hw, 4096)
    step = -(-max(shape) // SIDE_PX)
    for block_px in (100, 37):
        parts = draw(maps.before_hw, maps.after_hw, is_change_hw, block_px)
        for one, other in zip(whole, parts, strict=True):
            assert (one == other).all()
    table = np.full((256, 3), 255)
    table[:N] = SCHEME.palette
    for picture, label_hw in zip(whole, (maps.before_hw, maps.after_hw), strict=False):
        assert max(picture.shape) <= SIDE_PX and picture.dtype == np.uint8
        assert (picture == table[label_hw[::step, ::step]]).all()


def test_a_single_pixel_that_changed_is_seen_and_more_of_it_more():
    label_hw, after_hw = np.zeros((1440, 1440), np.uint8), np.zeros((1440, 1440), np.uint8)
    after_hw[11, 11] = 1
    after_hw[40:42, 40:42] = 1
    *_, change = draw(label_hw, after_hw, after_hw == 1)
    ground = change[100, 100].astype(int)
    few, all_of_it = (abs(change[at, at].astype(int) - ground).sum() for at in (5, 20))
    assert few > 50 and all_of_it > 1.3 * few
    assert (change[20, 20] == SCHEME.palette[1]).all()

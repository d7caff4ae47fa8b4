import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from skimage.measure import label, regionprops

from lcseg.raster.grid import Grid, Window, cover
from lcseg.raster.patches import Patches, PatchTable, choose_all, trace


def add_all(key_hw, side_px, values=(), order=None, choose=choose_all):
    """The areas of an array by blocks, and which pixels are of chosen ones."""
    patches, tables, kept = Patches(choose), [], {}
    windows = [window.clip(*key_hw.shape) for window in cover(*key_hw.shape, side_px)]
    for window in [windows[i] for i in order] if order is not None else windows:
        own = [value_hw[window.slices] for value_hw in values]
        whole, kept[window] = patches.add(window, key_hw[window.slices], own)
        tables.append(whole)
    table = PatchTable.join([*tables, patches.finish()])
    is_chosen_hw = np.zeros(key_hw.shape, bool)
    for window in windows:
        is_chosen_hw[window.slices] = patches.settle(window, kept[window])
    return table, is_chosen_hw


def as_rows(table):
    columns = table.keys, table.pixels, table.first, table.last_row, table.cols, table.sums
    return sorted(np.column_stack(columns).tolist())


def test_an_area_that_crosses_blocks_is_one():
    key_hw = np.array([[1, 1, 1, 1], [0, 0, 0, 1], [2, 2, 0, 1], [0, 0, 0, 0]], np.uint8)
    table, is_chosen_hw = add_all(key_hw, 2, [np.full((4, 4), 0.5)])
    assert sorted(zip(table.keys.tolist(), table.pixels.tolist(), strict=True)) == [(1, 6), (2, 2)]
    largest = int(np.argmax(table.pixels))
    assert table.window(largest) == Window(0, 0, 3, 4)
    assert table.sums[largest].tolist() == [3.0]
    assert (is_chosen_hw == (key_hw > 0)).all()
    table, is_chosen_hw = add_all(key_hw, 2, choose=lambda table: table.pixels > 2)
    assert table.pixels.tolist() == [6] and (is_chosen_hw == (key_hw == 1)).all()


@given(st.integers(1, 14), st.integers(1, 14), st.integers(1, 6), st.integers(0, 3), st.randoms())
def test_blocks_change_nothing(height, width, side_px, n_keys, random):
    least_px = random.choice([1, 2, 5])
    keys = random.choices(range(n_keys + 1), k=height * width)
    key_hw = np.array(keys, np.uint8).reshape(height, width)
    value_hw = np.array(random.choices(range(9), k=height * width)).reshape(height, width)
    blocks = -(-height // side_px) * -(-width // side_px)
    order = random.sample(range(blocks), blocks)
    table, is_chosen_hw = add_all(
        key_hw, side_px, [value_hw], order, lambda table: table.pixels >= least_px
    )
    part_hw = label(key_hw, background=0, connectivity=1)
    expected, expected_hw = [], np.zeros_like(is_chosen_hw)
    for region in regionprops(part_hw, value_hw):
        _, left, bottom, right = region.bbox
        row, col = min(map(tuple, region.coords.tolist()))
        total = value_hw[part_hw == region.label].sum()
        size = int(region.num_pixels)
        if size < least_px:
            continue
        expected_hw[part_hw == region.label] = True
        expected.append([key_hw[row, col], size, row, col, bottom - 1, left, right - 1, total])
    assert as_rows(table) == sorted(expected)
    assert (is_chosen_hw == expected_hw).all()


def test_an_area_does_not_grow_over_corners_or_other_keys():
    table, _ = add_all(np.array([[1, 0], [0, 1]]), 1)
    assert table.pixels.tolist() == [1, 1]
    table, _ = add_all(np.array([[1, 2]]), 1)
    assert sorted(table.keys.tolist()) == [1, 2]


def test_memory_does_not_hold_what_ends_within_a_block():
    patches, key_hw = Patches(), np.zeros((64, 64), np.uint8)
    key_hw[1:-1:2, 1:-1:2] = 1
    whole, _ = patches.add(Window(0, 0, 64, 64), key_hw)
    assert len(whole) == 31 * 31 and len(patches.finish()) == 0


@pytest.mark.parametrize("transform", [(2, 0, 10, 0, -2, 50), (0, 2, 10, 2, 0, 50)])
def test_outline_runs_along_pixels(transform):
    key_hw = np.zeros((9, 9), np.uint8)
    key_hw[3:7, 2:8], key_hw[4, 4], key_hw[0, 0] = 1, 0, 1
    grid = Grid(9, 9, transform, "EPSG:26918")
    window = Window(3, 2, 4, 6)
    outline = trace(key_hw[window.slices], window, (3, 2), grid)
    assert outline.area == 23 * 4 and len(outline.interiors) == 1
    x, y = grid.affine @ (5, 5)
    assert shapely.intersects_xy(outline, x, y)

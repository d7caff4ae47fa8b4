"""Blocks with a halo are windows of the scene's mirrored plane, which numpy can pad."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lcseg.prediction.blocks import mirror_indices, plan_blocks, read_padded
from lcseg.raster.cog import CogProfile, write_cog
from lcseg.raster.grid import Grid, Window
from lcseg.raster.source import open_image

SIZES = [(1, 1), (1, 7), (2, 2), (5, 1), (9, 2), (37, 53)]


def make_values(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """An image of two bands in which about every fifth pixel is missing, and which are not."""
    random = np.random.default_rng([height, width])
    valid_hw = random.random((height, width)) > 0.2
    values_hwc = random.integers(1, 200, (height, width, 2), np.uint8) * valid_hw[..., None]
    return values_hwc.astype(np.uint8), valid_hw


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> dict[tuple[int, int], str]:
    folder = tmp_path_factory.mktemp("images")
    paths = {(height, width): folder / f"{height}x{width}.tif" for height, width in SIZES}
    for (height, width), path in paths.items():
        grid = Grid(height, width, (1, 0, 4e5, 0, -1, 4.3e6), "EPSG:26918")
        with write_cog(path, grid, CogProfile("uint8", ("red", "nir"), nodata=0)) as writer:
            writer.write(Window(0, 0, height, width), make_values(height, width)[0])
    return {size: str(path) for size, path in paths.items()}


def test_a_block_is_read_with_its_halo_and_says_which_of_its_pixels_are_valid(images):
    values_hwc, valid_hw = make_values(37, 53)
    with open_image(images[37, 53]) as image:
        blocks = list(plan_blocks(image.grid.window, block_px=20, stride_px=8))
        padded_hwc, own_hw = read_padded(image, blocks[-1], halo_px=4)
    assert len(blocks) == 2 * 3
    assert blocks[-1] == Window(24, 48, 24, 24)
    assert padded_hwc.shape == (32, 32, 2)
    assert padded_hwc.dtype == np.uint8
    assert np.array_equal(padded_hwc[:17, :9], values_hwc[20:, 44:])
    assert np.array_equal(own_hw[:13, :5], valid_hw[24:, 48:])
    assert not own_hw[13:].any()
    assert not own_hw[:, 5:].any()


@given(st.integers(1, 40), st.integers(-300, 300), st.integers(1, 200))
def test_mirror_indices_are_those_of_numpy_for_any_width(size, start, count):
    before, after = max(-start, 0), max(start + count - size, 0)
    plane = np.pad(np.arange(size), (before, after), mode="reflect")
    assert np.array_equal(
        mirror_indices(start, count, size), plane[start + before : start + before + count]
    )


@pytest.mark.parametrize(("size", "expected"), [(1, [0] * 7), (2, [1, 0, 1, 0, 1, 0, 1])])
def test_the_shortest_axes_are_mirrored_too(size, expected):
    assert mirror_indices(-3, 7, size).tolist() == expected


@given(st.integers(1, 150), st.integers(1, 150), st.integers(1, 200), st.integers(0, 5))
def test_blocks_cover_the_grid_once_on_multiples_of_the_stride(height, width, block_px, depth):
    stride_px = 2**depth
    times_hw = np.zeros((height, width), int)
    blocks = list(plan_blocks(Window(0, 0, height, width), block_px, stride_px))
    for block in blocks:
        times_hw[block.slices] += 1
        assert block.height == block.width
        assert not any(n % stride_px for n in (block.row, block.col, block.height))
        assert block.height < max(min(block_px, max(height, width)), 1) + stride_px
    assert (times_hw == 1).all()
    assert len({(block.row, block.col) for block in blocks}) == len(blocks)


@settings(deadline=None)
@given(
    st.sampled_from(SIZES),
    st.integers(0, 60),
    st.integers(0, 60),
    st.integers(1, 40),
    st.integers(0, 90),
)
def test_a_padded_block_is_a_window_of_the_whole_image_padded(images, size, row, col, side, halo):
    height, width = size
    values_hwc, valid_hw = make_values(height, width)
    block = Window(min(row, height - 1), min(col, width - 1), side, side)
    with open_image(images[size]) as image:
        padded_hwc, own_hw = read_padded(image, block, halo)

    far = halo + side
    plane_hwc = np.pad(values_hwc, [(halo, far), (halo, far), (0, 0)], mode="reflect")
    window = Window(block.row, block.col, side + 2 * halo, side + 2 * halo)
    assert np.array_equal(padded_hwc, plane_hwc[window.slices])
    assert np.array_equal(own_hw, np.pad(valid_hw, [(0, side), (0, side)])[block.slices])

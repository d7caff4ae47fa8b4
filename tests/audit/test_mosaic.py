"""Chips put together on the grids of their scenes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lcseg.audit.mosaic import Mosaic
from lcseg.raster.grid import Grid, Window


def make_grid(height: int, width: int) -> Grid:
    return Grid(height, width, (1.0, 0.0, 0.0, 0.0, -1.0, 0.0), None)


def test_chips_are_put_together_and_elsewhere_all_is_0(tmp_path):
    mosaic, grid = Mosaic(tmp_path, 2, block_px=4), make_grid(6, 9)
    chip_hwb = np.arange(1, 19, dtype=np.uint8).reshape(3, 3, 2)
    mosaic.write("a/b", grid, 0, 6, chip_hwb)
    mosaic.write("a/b", grid, 0, 3, chip_hwb + 20)
    found_hwb = mosaic.read("a/b", grid, Window(-1, 2, 5, 8))
    expected_hwb = np.zeros((5, 8, 2), np.uint8)
    expected_hwb[1:4, 1:4], expected_hwb[1:4, 4:7] = chip_hwb + 20, chip_hwb
    assert (found_hwb == expected_hwb).all()
    assert mosaic.scenes == ("a/b",)
    assert list(mosaic.blocks("a/b", grid)) == [
        Window(0, 0, 4, 4),
        Window(0, 4, 4, 4),
        Window(0, 8, 4, 1),
    ]


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 5), st.randoms())
def test_any_chips_are_read_as_an_array_would_hold_them(
    tmp_path_factory, height, width, side, random
):
    mosaic, grid = Mosaic(tmp_path_factory.mktemp("mosaic"), 3, 4), make_grid(height, width)
    expected_hwb = np.zeros((height + 20, width + 20, 3), np.uint8)
    reached = np.zeros((height, width), bool)
    for value in range(1, 6):
        row, col = random.randrange(-side, height + 1), random.randrange(-side, width + 1)
        mosaic.write("scene", grid, row, col, np.full((side, side, 3), value, np.uint8))
        inside = Window(row, col, side, side).clip(height, width)
        reached[inside.slices] = True
        expected_hwb[10 + inside.row :, 10 + inside.col :][: inside.height, : inside.width] = value
    if not reached.any():
        assert mosaic.scenes == ()
        return
    found_hwb = mosaic.read("scene", grid, Window(-10, -10, height + 20, width + 20))
    assert (found_hwb == expected_hwb).all()
    covered = np.zeros_like(reached)
    for window in mosaic.blocks("scene", grid):
        assert reached[window.slices].any() or window.height == 0
        assert not covered[window.slices].any()
        covered[window.slices] = True
    assert (covered | ~reached).all()


def test_a_large_scene_takes_only_the_room_of_its_chips(tmp_path):
    mosaic, grid = Mosaic(tmp_path, 5, 1024), make_grid(40_000, 40_000)
    mosaic.write("scene", grid, 39_000, 39_000, np.ones((256, 256, 5), np.uint8))
    (file,) = tmp_path.iterdir()
    assert file.stat().st_size == 8_000_000_000
    assert file.stat().st_blocks * 512 < 10_000_000
    assert mosaic.read("scene", grid, Window(39_100, 39_100, 9, 9)).min() == 1
    assert not mosaic.read("scene", grid, Window(0, 0, 9, 9)).any()


def test_a_full_disk_is_an_error(tmp_path, monkeypatch):
    path = tmp_path / "full"
    path.symlink_to("/dev/full")
    mosaic = Mosaic(tmp_path, 1, 4)
    monkeypatch.setattr(mosaic, "_path", lambda scene: path)
    with pytest.raises(OSError):
        mosaic.write("scene", make_grid(4, 4), 0, 0, np.ones((4, 4, 1), np.uint8))

"""Rasters made in pieces are the same file as those made in one."""

import numpy as np
import pytest
import rasterio

from lcseg.classes import load_scheme
from lcseg.raster.cog import CogProfile, class_map_profile, replace_cog, write_cog
from lcseg.raster.grid import Grid, Window, cover
from lcseg.raster.pieces import join_pieces, write_piece

GRID = Grid(700, 900, (1.0, 0.2, 400_000.0, 0.1, -1.0, 4_300_000.0), "EPSG:26918")
PROFILES = {
    "classes": class_map_profile(load_scheme("chesapeake-4"), {"lcseg_model": "abc"}),
    "shares": CogProfile("uint8", ("a", "b", "c"), 255, scale=1 / 254),
}


@pytest.mark.parametrize("name", PROFILES)
def test_pieces_are_joined_into_the_raster_that_one_file_would_be(tmp_path, name):
    profile = PROFILES[name]
    random = np.random.default_rng(0)
    values = random.integers(0, 4, (700, 900, len(profile.bands)), np.uint8)
    values[512:, 512:] = 255
    pieces = []
    for window in cover(700, 900, 512):
        inside = window.clip(700, 900)
        if inside.row and inside.col:
            continue
        path = tmp_path / f"{inside.row}-{inside.col}.tif"
        with write_piece(path, GRID, inside, profile) as writer:
            for block in cover(700, 900, 128):
                if block.row // 512 == inside.row // 512 and block.col // 512 == inside.col // 512:
                    padded = np.zeros((128, 128, len(profile.bands)), np.uint8)
                    part = values[block.slices]
                    padded[: part.shape[0], : part.shape[1]] = part
                    writer.write(block, padded)
        pieces.append((path, inside))
    join_pieces(tmp_path / "all.vrt", pieces, GRID, profile)
    replace_cog(tmp_path / "all.vrt", tmp_path / "all.tif", profile)
    with write_cog(tmp_path / "one.tif", GRID, profile) as writer:
        writer.write(Window(0, 0, 700, 900), values)
    with rasterio.open(tmp_path / "all.tif") as found, rasterio.open(tmp_path / "one.tif") as one:
        assert np.array_equal(found.read(), np.moveaxis(values, -1, 0))
        assert found.profile == one.profile
        assert (found.tags(), found.tags(1)) == (one.tags(), one.tags(1))
        assert (found.descriptions, found.scales) == (one.descriptions, one.scales)
        assert found.overviews(1) == one.overviews(1)
        if profile.scheme:
            assert found.colormap(1) == one.colormap(1)


def test_a_piece_that_fails_leaves_nothing(tmp_path):
    with (
        pytest.raises(ValueError, match="midway"),
        write_piece(tmp_path / "a.tif", GRID, Window(0, 0, 64, 64), PROFILES["classes"]),
    ):
        raise ValueError("midway")
    assert not list(tmp_path.iterdir())

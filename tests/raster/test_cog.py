import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio.enums import ColorInterp
from rio_cogeo.cogeo import cog_validate

from lcseg.classes import IGNORE, load_scheme
from lcseg.errors import LcsegError
from lcseg.raster.cog import CogProfile, class_map_profile, read_class_names, write_cog
from lcseg.raster.grid import Grid, Window, cover
from lcseg.raster.source import grid_of, open_raster

SCHEME = load_scheme("chesapeake-4")
RANDOM = np.random.default_rng(0)


def grid_at(height: int, width: int) -> Grid:
    return Grid(height, width, (1.0, 0.0, 400_000.0, 0.0, -1.0, 4_300_000.0), "EPSG:26918")


def write_whole(
    path: Path, values: np.ndarray, profile: CogProfile, size_px: int = 256, order: int = 1
) -> None:
    """Write values by windows; order -1 is from the last window to the first."""
    height, width = values.shape[:2]
    beyond = [(0, size_px), (0, size_px)] + [(0, 0)] * (values.ndim - 2)
    padded = np.pad(values, beyond)
    with write_cog(path, grid_at(height, width), profile) as writer:
        for window in list(cover(height, width, size_px))[::order]:
            writer.write(window, padded[window.slices])


def read_whole(path: Path) -> np.ndarray:
    with rasterio.open(path) as dataset:
        return dataset.read(1)


def random_labels(height: int, width: int) -> np.ndarray:
    return RANDOM.choice([0, 1, 2, 3, IGNORE], (height, width)).astype(np.uint8)


def test_class_map_is_written_by_windows_and_appears_at_the_end(tmp_path):
    path, grid = tmp_path / "maps" / "map.tif", grid_at(300, 200)
    label_hw = random_labels(300, 200)
    with write_cog(path, grid, class_map_profile(SCHEME)) as writer:
        writer.write(Window(0, 0, 256, 200), label_hw[:256])
        writer.write(Window(256, 0, 44, 200), label_hw[256:])
        assert not path.exists()
    np.testing.assert_array_equal(read_whole(path), label_hw)
    with open_raster(str(path)) as dataset:
        assert grid_of(dataset) == grid
    assert read_class_names(str(path)) == SCHEME.names


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.integers(1, 700), st.integers(1, 700), st.integers(60, 300), st.randoms())
def test_windows_of_any_size_in_any_order_give_the_same_map(tmp_path, height, width, size, random):
    label_hw = random_labels(height, width)
    padded_hw = np.pad(label_hw, ((0, size), (0, size)))
    windows = list(cover(height, width, size))
    random.shuffle(windows)
    with write_cog(tmp_path / "map.tif", grid_at(height, width), class_map_profile(SCHEME)) as out:
        for window in windows:
            out.write(window, padded_hw[window.slices])
    np.testing.assert_array_equal(read_whole(tmp_path / "map.tif"), label_hw)


@pytest.mark.parametrize("shape", [(1, 1), (200, 300), (512, 512), (513, 40), (1100, 1300)])
def test_map_is_a_valid_cog_by_the_strict_judgement_of_rio_cogeo(tmp_path, shape):
    path = tmp_path / "map.tif"
    write_whole(path, random_labels(*shape), class_map_profile(SCHEME))
    is_valid, errors, warnings = cog_validate(path, strict=True)
    assert (is_valid, errors, warnings) == (True, [], [])
    with rasterio.open(path) as dataset:
        assert bool(dataset.overviews(1)) == (max(shape) > 512)


def test_overview_pixel_is_the_mode_of_its_block(tmp_path):
    path = tmp_path / "map.tif"
    label_hw = RANDOM.choice(4, (1024, 1024), p=[0.1, 0.2, 0.3, 0.4]).astype(np.uint8)
    write_whole(path, label_hw, class_map_profile(SCHEME))
    with rasterio.open(path, overview_level=0) as overview:
        half_hw = overview.read(1)
    blocks = label_hw.reshape(512, 2, 512, 2).swapaxes(1, 2).reshape(512, 512, 4)
    votes = np.stack([(blocks == k).sum(axis=-1) for k in range(4)], axis=-1)
    won = np.sort(votes, axis=-1)
    is_clear = won[..., -1] > won[..., -2]
    assert is_clear.mean() > 0.5
    np.testing.assert_array_equal(half_hw[is_clear], votes.argmax(axis=-1)[is_clear])
    votes_for_chosen = np.take_along_axis(votes, half_hw[..., None].astype(int), axis=-1)
    assert (votes_for_chosen[..., 0] == won[..., -1]).all()


def test_overview_of_other_rasters_is_the_average_of_what_has_data(tmp_path):
    path = tmp_path / "probabilities.tif"
    values = RANDOM.integers(0, 255, (1024, 600, 2)).astype(np.uint8)
    values[:100] = 255
    profile = CogProfile("uint8", ("a", "b"), nodata=255)
    write_whole(path, values, profile)
    with rasterio.open(path, overview_level=0) as overview:
        half_hwc = np.moveaxis(overview.read(), 0, -1)
    expected = values.reshape(512, 2, 300, 2, 2).mean(axis=(1, 3), dtype=float)
    assert (half_hwc[:50] == 255).all()
    assert np.abs(half_hwc[50:] - expected[50:]).max() <= 1


def test_map_carries_palette_names_nodata_and_tags(tmp_path):
    path = tmp_path / "map.tif"
    profile = class_map_profile(SCHEME, {"lcseg_model": "abc"})
    write_whole(path, random_labels(600, 300), profile)
    with rasterio.open(path) as dataset:
        colors = dataset.colormap(1)
        assert [colors[i][:3] for i in range(4)] == [tuple(rgb) for rgb in SCHEME.palette.tolist()]
        assert [colors[i][3] for i in (0, 3, IGNORE)] == [255, 255, 0]
        assert dataset.colorinterp == (ColorInterp.palette,)
        assert (dataset.nodata, dataset.descriptions) == (IGNORE, ("class",))
        assert dataset.tags()["lcseg_model"] == "abc"
        assert dataset.tags(ns="IMAGE_STRUCTURE")["COMPRESSION"] == "DEFLATE"
    assert read_class_names(str(path)) == SCHEME.names


def test_bands_scale_and_type_are_read_back(tmp_path):
    path = tmp_path / "heights.tif"
    values = RANDOM.normal(size=(70, 60, 2)).astype(np.float32)
    profile = CogProfile("float32", ("mean", "spread"), nodata=-1, scale=0.25)
    write_whole(path, values, profile)
    with rasterio.open(path) as dataset:
        np.testing.assert_array_equal(np.moveaxis(dataset.read(), 0, -1), values)
        assert dataset.descriptions == ("mean", "spread")
        assert dataset.scales == (0.25, 0.25)
        assert dataset.nodatavals == (-1, -1)
    assert read_class_names(str(path)) == ()
    assert [p.name for p in tmp_path.iterdir()] == ["heights.tif"]


@pytest.mark.skipif(shutil.which("gdalinfo") is None, reason="gdalinfo is not installed")
def test_gdalinfo_shows_class_names_and_nodata(tmp_path):
    path = tmp_path / "map.tif"
    write_whole(path, random_labels(600, 300), class_map_profile(SCHEME))
    told = subprocess.run(["gdalinfo", "-json", path], capture_output=True, check=True).stdout
    (band,) = json.loads(told)["bands"]
    assert band["noDataValue"] == IGNORE
    text = subprocess.run(["gdalinfo", path], capture_output=True, check=True, text=True).stdout
    listed = text.split("Categories:")[1].splitlines()[1:5]
    assert [line.strip() for line in listed] == [f"{i}: {n}" for i, n in enumerate(SCHEME.names)]


def test_error_in_the_block_leaves_no_file(tmp_path):
    with (
        pytest.raises(ZeroDivisionError),
        write_cog(tmp_path / "map.tif", grid_at(600, 600), class_map_profile(SCHEME)) as out,
    ):
        out.write(Window(0, 0, 512, 512), random_labels(512, 512))
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_error_in_the_block_leaves_the_earlier_map(tmp_path):
    path, label_hw = tmp_path / "map.tif", random_labels(50, 50)
    write_whole(path, label_hw, class_map_profile(SCHEME))
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    with (
        pytest.raises(KeyboardInterrupt),
        write_cog(path, grid_at(90, 90), class_map_profile(SCHEME)),
    ):
        raise KeyboardInterrupt
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_pixels_that_were_not_written_are_nodata(tmp_path):
    path = tmp_path / "map.tif"
    with write_cog(path, grid_at(600, 600), class_map_profile(SCHEME)) as out:
        out.write(Window(0, 0, 64, 64), np.zeros((64, 64), np.uint8))
    label_hw = read_whole(path)
    assert (label_hw[:64, :64] == 0).all()
    assert (label_hw == IGNORE).sum() == 600 * 600 - 64 * 64


def test_unusable_crs_is_an_error_that_names_the_file(tmp_path):
    grid = replace(grid_at(8, 8), crs="EPSG:999999")
    with (
        pytest.raises(LcsegError, match=r"map\.tif: cannot be written"),
        write_cog(tmp_path / "map.tif", grid, class_map_profile(SCHEME)),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def mount_small(tmp_path):
    """A function that gives a fresh disk of some KiB; skipped where mounting is not permitted."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = []

    def unmount() -> None:
        if mounted:
            subprocess.run(["umount", mounted.pop()], check=True)

    def mount(size_kib: int) -> Path:
        unmount()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size_kib}k", "tmpfs", str(place)]
        if shutil.which("mount") is None or subprocess.run(command, check=False).returncode:
            pytest.skip("mounting a small disk is not permitted")
        mounted.append(str(place))
        return place

    yield mount
    unmount()


def needed_kib(profile: CogProfile, label_hw: np.ndarray, folder: Path) -> int:
    """The space that scratch and COG take together, whole pages of 4 KiB each."""
    write_whole(folder / "roomy.tif", label_hw, profile)
    size = (folder / "roomy.tif").stat().st_size
    height, width = (-(-n // 512) * 512 for n in label_hw.shape)
    return (size + height * width) // 1024


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root may mount")
def test_full_disk_leaves_the_whole_map_or_nothing(tmp_path, mount_small):
    label_hw, profile = random_labels(1100, 1030), class_map_profile(SCHEME)
    needed = needed_kib(profile, label_hw, tmp_path)
    with rasterio.open(tmp_path / "roomy.tif") as roomy:
        overviews = roomy.overviews(1)
    # GDAL keeps its overviews aside too. Where only its last writes fail, they fail unheard.
    sizes_kib = [64, needed // 3, needed - 600, *range(needed + 64, needed + 192, 16)]
    outcomes = []
    for size_kib in sizes_kib:
        disk = mount_small(size_kib)
        try:
            write_whole(disk / "map.tif", label_hw, profile)
        except (OSError, LcsegError) as error:
            outcomes.append("error")
            assert "\n" not in str(error)
            assert list(disk.iterdir()) == [], f"{size_kib} KiB"
            continue
        outcomes.append("whole")
        assert {p.name for p in disk.iterdir()} == {"map.tif", "map.tif.aux.xml"}
        np.testing.assert_array_equal(read_whole(disk / "map.tif"), label_hw)
        with rasterio.open(disk / "map.tif") as dataset:
            assert dataset.overviews(1) == overviews
        assert cog_validate(disk / "map.tif", strict=True)[0]
    assert outcomes[0] == "error"
    assert outcomes[-1] == "whole"
    assert outcomes == sorted(outcomes)

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil

from lcseg.errors import LcsegError
from lcseg.raster.dataset import (
    bounded_cache,
    find_masks,
    grid_of,
    open_raster,
    read_bands,
    source_files,
)
from lcseg.raster.grid import Window

RANDOM = np.random.default_rng(0)


def noise(height: int, width: int, bands: int) -> np.ndarray:
    return RANDOM.integers(1, 200, (height, width, bands)).astype("uint8")


def test_raster_is_opened_placed_and_read_in_bounded_memory(make_raster):
    values = noise(20, 30, 3)
    path = make_raster("scene.tif", values)
    with bounded_cache(), open_raster(path) as dataset:
        grid = grid_of(dataset)
        bands_chw = read_bands(dataset, [3, 1], Window(2, 4, 8, 9), path)
    assert (grid.height, grid.width, grid.crs) == (20, 30, "EPSG:26918")
    np.testing.assert_array_equal(bands_chw, values[2:10, 4:13, [2, 0]].transpose(2, 0, 1))


def test_bands_are_read_into_an_array_of_any_strides(make_raster):
    values = noise(20, 30, 3)
    path = make_raster("scene.tif", values)
    around_hwc = np.zeros((12, 40, 5), "uint8")
    part_hwc = around_hwc[2:10, 30:39, 1:4]
    with open_raster(path) as dataset:
        read_bands(dataset, [1, 2, 3], Window(2, 4, 8, 9), path, out=part_hwc.transpose(2, 0, 1))
    np.testing.assert_array_equal(part_hwc, values[2:10, 4:13])
    assert around_hwc.sum() == part_hwc.sum()


def test_files_of_a_raster_are_itself_its_sidecars_and_the_sources_of_a_vrt(make_raster, tmp_path):
    path = make_raster("scene.tif", noise(8, 8, 1))
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False), rasterio.open(path, "r+") as dataset:
        dataset.write_mask(np.ones((8, 8), bool))
        rasterio.shutil.copy(dataset, tmp_path / "scene.vrt", driver="VRT")
    assert source_files(path) == (path, f"{path}.msk")
    assert {Path(file).name for file in source_files(str(tmp_path / "scene.vrt"))} >= {
        "scene.vrt",
        "scene.tif",
    }
    with open_raster(path) as dataset:
        assert source_files(dataset) == source_files(path)


def test_nodata_transparency_and_no_mask_at_all_need_no_mask_read(make_raster):
    def masks_of(**options: object) -> list[int]:
        with open_raster(make_raster("scene.tif", noise(8, 8, 4), **options)) as dataset:
            return find_masks(dataset, [1, 2, 3])

    assert masks_of() == masks_of(nodata=0) == masks_of(photometric="RGB", alpha="YES") == []


def test_mask_of_the_whole_raster_is_read_once(make_raster):
    path = make_raster("scene.tif", noise(8, 8, 3))
    with rasterio.open(path, "r+") as dataset:
        dataset.write_mask(np.zeros((8, 8), bool))
    with open_raster(path) as dataset:
        assert find_masks(dataset, [2, 3]) == [2]


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_crs_without_a_geotransform_places_nothing(make_raster):
    with open_raster(make_raster("scene.tif", noise(4, 4, 1), transform=None)) as dataset:
        assert dataset.crs
        assert grid_of(dataset).crs is None


def test_reason_why_a_raster_cannot_be_opened_does_not_repeat_its_path(tmp_path):
    path = tmp_path / "cut.tif"
    path.write_bytes(b"II*\0")
    expected = r"cut\.tif: is not a raster that can be opened"
    with pytest.raises(LcsegError, match=expected) as caught, open_raster(str(path)):
        pass
    assert str(caught.value).count("cut.tif") == 1


READ_ALL = """
import sys
from pathlib import Path
from lcseg.raster.dataset import bounded_cache
from lcseg.raster.grid import cover
from lcseg.raster.source import open_image

with bounded_cache(int(sys.argv[2])), open_image(sys.argv[1]) as image:
    for window in cover(image.grid.height, image.grid.width, 1024):
        image.read(window)
# Not getrusage: its peak includes that of the process which started this one.
print(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
"""


def peak_mb(path: str, megabytes: int) -> float:
    """The most memory that a process takes in reading a whole image by windows."""
    command = [sys.executable, "-c", READ_ALL, path, str(megabytes)]
    told = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    return int(told) / 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is told by /proc")
def test_memory_does_not_grow_with_the_scene_that_is_read(make_raster):
    tiles = {"tiled": True, "blockxsize": 512, "blockysize": 512, "interleave": "pixel"}
    small = make_raster("small.tif", np.ones((1024, 1024, 4), "uint8"), compress="deflate", **tiles)
    large = make_raster("large.tif", np.ones((8192, 4096, 4), "uint8"), compress="deflate", **tiles)
    bounded_mb, free_mb = peak_mb(large, 16), peak_mb(large, 2048)
    assert free_mb > bounded_mb + 80
    assert bounded_mb < peak_mb(small, 16) + 30

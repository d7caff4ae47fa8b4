"""Headers that claim too much are made by hand: no library would write them."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from rasterio.transform import Affine

from lcseg.classes import load_scheme
from lcseg.errors import LcsegError
from lcseg.raster.dataset import open_raster
from lcseg.raster.grid import Grid, Window
from lcseg.raster.label import open_label
from lcseg.raster.source import open_image

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")

NONE, DEFLATE = 1, 8


def write_tiff(path: Path, side: int, compression: int, tile_px: int = 0) -> str:
    """A TIFF of some hundred bytes that claims to hold side x side pixels in one strip or tile."""
    data = zlib.compress(bytes(998)).ljust(998, b"\0")
    tags = [(256, side), (257, side), (258, 8), (259, compression), (262, 1), (277, 1)]
    if tile_px:
        tags += [(322, tile_px), (323, tile_px), (324, 8), (325, len(data))]
    else:
        tags += [(273, 8), (278, side), (279, len(data))]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(tags))
    header = b"II*\0" + struct.pack("<I", 8 + len(data))
    path.write_bytes(header + data + struct.pack("<H", len(tags)) + entries + bytes(4))
    return str(path)


def write_png(path: Path, side: int) -> str:
    """A PNG of some hundred bytes that claims to hold side x side pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + parts)
    return str(path)


def write_sparse(path: Path, side: int, bands: int = 4, **options: object) -> str:
    """A tiled GeoTIFF of which no block was ever written."""
    place = {"crs": "EPSG:26918", "transform": Affine(1, 0, 400_000, 0, -1, 4_300_000)}
    tiles = {"tiled": True, "blockxsize": 512, "blockysize": 512, "photometric": "RGB", **place}
    size = {"width": side, "height": side, "count": bands, "dtype": "uint8"}
    with rasterio.open(path, "w", "GTiff", SPARSE_OK=True, **{**size, **tiles, **options}):
        pass
    return str(path)


def test_file_of_a_few_bytes_that_claims_gigabytes_is_refused_and_a_sparse_one_is_read(tmp_path):
    path = write_png(tmp_path / "bomb.png", 100_000)
    with pytest.raises(LcsegError) as caught, open_image(path):
        pass
    assert str(caught.value) == (
        f"{path}: holds 27.9 GiB that can only be read from its beginning, expected at most "
        "2.0 GiB; convert it to a tiled GeoTIFF (gdal_translate -co TILED=YES)"
    )
    with open_image(write_sparse(tmp_path / "sparse.tif", 40_000)) as image:
        image_hwc, _ = image.read(Window(39_990, 39_990, 64, 64))
    assert image_hwc.shape == (64, 64, 4)


def test_labels_are_refused_like_images(tmp_path):
    path = write_png(tmp_path / "bomb.png", 100_000)
    grid = Grid(9, 9, (1, 0, 0, 0, -1, 0), None)
    with (
        pytest.raises(LcsegError, match=r"bomb\.png: holds 27\.9 GiB that can only"),
        open_label(path, grid, load_scheme("chesapeake-4"), allow_ungeoreferenced=True),
    ):
        pass


def test_one_strip_that_claims_40_gigabytes_is_refused(tmp_path):
    path = write_tiff(tmp_path / "packed.tif", 200_000, DEFLATE)
    expected = r"packed\.tif: holds 37\.3 GiB that can only be read"
    with pytest.raises(LcsegError, match=expected), open_raster(path):
        pass
    path = write_tiff(tmp_path / "raw.tif", 200_000, NONE)
    expected = r"raw\.tif: claims 37\.3 GiB of pixels, but the file ends after 1,1\d\d bytes; .*get"
    with pytest.raises(LcsegError, match=expected), open_raster(path):
        pass


def test_block_larger_than_memory_allows_is_refused(tmp_path):
    path = write_tiff(tmp_path / "tile.tif", 60_000, DEFLATE, tile_px=65_536)
    expected = r"tile\.tif: one block of it takes 4\.0 GiB, expected at most 0\.5 GiB; convert"
    with pytest.raises(LcsegError, match=expected), open_raster(path):
        pass


def test_bands_count_into_a_block_only_where_they_are_interleaved(tmp_path):
    wide = {"blockxsize": 16_384, "blockysize": 16_384}
    pixel = write_sparse(tmp_path / "pixel.tif", 20_000, 3, interleave="pixel", **wide)
    with pytest.raises(LcsegError, match=r"of it takes 0\.8 GiB"), open_raster(pixel):
        pass
    apart = write_sparse(tmp_path / "band.tif", 20_000, 3, interleave="band", **wide)
    with open_raster(apart) as dataset:
        assert dataset.block_shapes[0] == (16_384, 16_384)


def test_size_that_no_raster_has_is_refused(tmp_path):
    path = write_tiff(tmp_path / "absurd.tif", 2**31 - 1, NONE)
    expected = r"claims to be 2147483647 x 2147483647 px; its header"
    with pytest.raises(LcsegError, match=expected), open_raster(path):
        pass


def test_raster_of_no_pixels_is_refused(tmp_path):
    for path in (write_png(tmp_path / "0.png", 0), write_tiff(tmp_path / "0.tif", 0, NONE)):
        expected = "is not a raster that can be opened: "
        with pytest.raises(LcsegError, match=expected) as caught, open_raster(path):
            pass
        assert "\n" not in str(caught.value)


def test_large_sparse_raster_and_its_vrt_are_read(tmp_path):
    path = write_sparse(tmp_path / "sparse.tif", 40_000)
    with open_raster(path) as dataset:
        rasterio.shutil.copy(dataset, tmp_path / "sparse.vrt", driver="VRT")
    for name in ("sparse.tif", "sparse.vrt"):
        with open_image(str(tmp_path / name)) as image:
            assert image.read(Window(20_000, 20_000, 600, 600))[0].shape == (600, 600, 4)


def test_small_raster_of_one_strip_and_large_one_of_many_are_read(make_raster, tmp_path):
    values = np.ones((3000, 300, 3), "uint8")
    with open_image(make_raster("one.tif", values, blockysize=3000, compress="deflate")) as image:
        assert image.read(Window(2999, 0, 1, 300))[0].all()
    rows = {"tiled": False, "blockxsize": None, "blockysize": 16, "compress": "deflate"}
    many = write_sparse(tmp_path / "many.tif", 40_000, **rows)
    with rasterio.open(many, "r+") as dataset:
        dataset.write(np.ones((4, 1, 40_000), "uint8"), window=((0, 1), (0, 40_000)))
    with open_image(many) as image:
        assert image.read(Window(0, 0, 2, 9))[0].any(axis=(1, 2)).tolist() == [True, False]


def test_complex_integers_which_numpy_lacks_have_a_size_too(tmp_path):
    path = write_sparse(tmp_path / "radar.tif", 600, 1, dtype="complex_int16", photometric=None)
    with pytest.raises(LcsegError, match="has pixels of type complex_int16"), open_image(path):
        pass


def test_pixels_without_area_are_refused(make_raster):
    path = make_raster("flat.tif", np.ones((4, 4), "uint8"), transform=(1, 1, 4e5, 1, 1, 4.3e6))
    expected = r"flat\.tif: its pixels have no area: geotransform 1, 1, 400000, 1, 1, 4\.3e\+06"
    with pytest.raises(LcsegError, match=expected), open_raster(path):
        pass

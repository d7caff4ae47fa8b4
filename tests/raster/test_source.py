from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lcseg.errors import LcsegError
from lcseg.raster.grid import Window, cover
from lcseg.raster.placing import require_crs
from lcseg.raster.source import open_image, open_raster

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")

X, Y = 400_000.0, 4_300_000.0
NOT_GEOREFERENCED = {"crs": None, "transform": None}
TILES = {"tiled": True, "blockxsize": 64, "blockysize": 64, "compress": "deflate"}
RANDOM = np.random.default_rng(0)


def read_all(path: str) -> tuple[np.ndarray, np.ndarray]:
    with open_image(path) as image:
        return image.read(Window(0, 0, image.grid.height, image.grid.width))


def noise(height: int, width: int, bands: int, dtype: str = "uint8") -> np.ndarray:
    return RANDOM.integers(1, 200, (height, width, bands)).astype(dtype)


def damage_block(path: str, row: int, col: int, subdataset: str = "") -> None:
    """Overwrite the head of a compressed block."""
    with rasterio.open(f"{subdataset}{path}") as dataset:
        offset = dataset.get_tag_item(f"BLOCK_OFFSET_{col}_{row}", "TIFF", bidx=1)
    with Path(path).open("r+b") as file:
        file.seek(int(offset))
        file.write(b"\xff" * 32)


def test_image_is_read_by_windows_with_what_is_missing_in_it(make_raster):
    values = noise(40, 50, 3)
    values[5, 6] = 0
    path = make_raster("scene.tif", values, nodata=0)
    with open_image(path) as image:
        image_hwc, valid_hw = image.read(Window(0, 0, 16, 16))
        assert (image.grid.height, image.grid.width, image.grid.crs) == (40, 50, "EPSG:26918")
        assert image.grid.transform == (1, 0, 400_000, 0, -1, 4_300_000)
        assert (image.bands, image.dtype) == (("red", "green", "blue"), "uint8")
    np.testing.assert_array_equal(image_hwc, values[:16, :16])
    assert np.argwhere(~valid_hw).tolist() == [[5, 6]]


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.integers(-30, 60), st.integers(-30, 60), st.integers(1, 70), st.integers(1, 70))
def test_window_that_overhangs_any_side_is_zero_and_invalid_there(
    make_raster, row, col, height, width
):
    values = np.arange(1, 40 * 50 + 1, dtype="uint16").reshape(40, 50, 1)
    path = make_raster("scene.tif", values)
    padded = np.pad(values, ((100, 100), (100, 100), (0, 0)))
    with open_image(path) as image:
        image_hwc, valid_hw = image.read(Window(row, col, height, width))
    expected = padded[row + 100 : row + 100 + height, col + 100 : col + 100 + width]
    np.testing.assert_array_equal(image_hwc, expected)
    np.testing.assert_array_equal(valid_hw, expected[..., 0] > 0)


@pytest.mark.parametrize("interleave", ["pixel", "band"])
@pytest.mark.parametrize("window", [Window(3, 4, 20, 30), Window(-2, 33, 60, 30)])
def test_pixels_are_contiguous_whatever_the_layout_of_the_file(make_raster, interleave, window):
    values = noise(40, 50, 4, "uint16")
    with open_image(make_raster("scene.tif", values, interleave=interleave)) as image:
        image_hwc, valid_hw = image.read(window)
    assert image_hwc.flags.c_contiguous
    assert valid_hw.flags.c_contiguous
    padded = np.pad(values, ((60, 60), (60, 60), (0, 0)))
    rows, cols = Window(window.row + 60, window.col + 60, window.height, window.width).slices
    np.testing.assert_array_equal(image_hwc, padded[rows, cols])
    np.testing.assert_array_equal(valid_hw, padded[rows, cols, 0] > 0)


def test_integer_pixel_is_missing_only_where_all_bands_are_nodata(make_raster):
    values = np.full((2, 2, 3), 7, "uint8")
    values[0, 0], values[0, 1, :2] = 9, 9
    image_hwc, valid_hw = read_all(make_raster("scene.tif", values, nodata=9))
    assert valid_hw.tolist() == [[False, True], [True, True]]
    assert image_hwc[0].tolist() == [[0, 0, 0], [9, 9, 7]]


def test_float_pixel_is_missing_where_any_band_is_nodata_or_not_finite(make_raster):
    values = np.ones((1, 6, 2), "float32")
    values[0, 1, 0] = -9999
    values[0, 2] = -9999
    values[0, 3, 1] = np.nan
    values[0, 4, 0] = -np.inf
    image_hwc, valid_hw = read_all(make_raster("scene.tif", values, nodata=-9999))
    assert valid_hw.tolist() == [[True, False, False, False, False, True]]
    assert (image_hwc[~valid_hw] == 0).all()


def test_nan_as_nodata_is_missing(make_raster):
    values = np.ones((1, 3, 1), "float32")
    values[0, 1] = np.nan
    image_hwc, valid_hw = read_all(make_raster("scene.tif", values, nodata=np.nan))
    assert valid_hw.tolist() == [[True, False, True]]
    assert image_hwc[..., 0].tolist() == [[1, 0, 1]]


def test_nodata_that_the_type_cannot_hold_masks_nothing(make_raster):
    path = make_raster("scene.tif", np.zeros((4, 4, 1), "uint8"))
    vrt = Path(path).with_suffix(".vrt")
    with rasterio.open(path) as dataset:
        rasterio.shutil.copy(dataset, vrt, driver="VRT")
    vrt.write_text(
        vrt.read_text().replace("<ColorInterp>", "<NoDataValue>-9999</NoDataValue><ColorInterp>")
    )
    assert read_all(str(vrt))[1].all()


VRT = """<VRTDataset rasterXSize="8" rasterYSize="6"><SRS>EPSG:26918</SRS>
<GeoTransform>400000, 1, 0, 4300000, 0, -1</GeoTransform>{}</VRTDataset>"""
VRT_BAND = """<VRTRasterBand dataType="{dtype}" band="{band}">{nodata}<SimpleSource>
<SourceFilename relativeToVRT="1">{file}</SourceFilename><SourceBand>{band}</SourceBand>
</SimpleSource>{mask}</VRTRasterBand>"""
VRT_MASK = """<MaskBand><VRTRasterBand dataType="Byte"><SimpleSource>
<SourceFilename relativeToVRT="1">mask.tif</SourceFilename><SourceBand>{}</SourceBand>
</SimpleSource></VRTRasterBand></MaskBand>"""


def make_vrt(path: str, nodata: list[float | None], masks: list[int | None] | None = None) -> str:
    """A VRT of a raster [6, 8, C] in which every band has a nodata value and a mask of its own."""
    with rasterio.open(path) as dataset:
        dtype = "Byte" if dataset.dtypes[0] == "uint8" else "Float32"
    bands = [
        VRT_BAND.format(
            dtype=dtype,
            band=i,
            file=Path(path).name,
            nodata="" if value is None else f"<NoDataValue>{value}</NoDataValue>",
            mask="" if mask is None else VRT_MASK.format(mask),
        )
        for i, (value, mask) in enumerate(
            zip(nodata, masks or [None] * len(nodata), strict=True), start=1
        )
    ]
    vrt = Path(path).with_suffix(".vrt")
    vrt.write_text(VRT.format("".join(bands)))
    return str(vrt)


def test_integer_pixel_is_missing_where_all_bands_that_have_a_nodata_value_hold_it(make_raster):
    values = noise(6, 8, 3) % 3
    path = make_vrt(make_raster("scene.tif", values), [0, None, 2])
    with rasterio.open(path) as dataset:
        assert dataset.nodatavals == (0, None, 2)
    image_hwc, valid_hw = read_all(path)
    expected_hw = ~((values[..., 0] == 0) & (values[..., 2] == 2))
    assert 0 < expected_hw.sum() < expected_hw.size
    np.testing.assert_array_equal(valid_hw, expected_hw)
    np.testing.assert_array_equal(image_hwc, values * expected_hw[..., None])


def test_float_pixel_is_missing_where_any_band_holds_its_own_nodata(make_raster):
    values = (noise(6, 8, 3) % 3).astype("float32")
    values[0, 0, 1] = np.nan
    path = make_vrt(make_raster("scene.tif", values), [0, None, "nan"])
    with rasterio.open(path) as dataset:
        assert np.isnan(dataset.nodatavals[2])
    _, valid_hw = read_all(path)
    np.testing.assert_array_equal(valid_hw, (values[..., 0] != 0) & ~np.isnan(values[..., 1]))


@pytest.mark.parametrize("nodata", [None, 250])
def test_masks_of_single_bands_say_what_is_missing(make_raster, nodata):
    values, masks_hwc = noise(6, 8, 3), RANDOM.choice([0, 255], (6, 8, 2)).astype("uint8")
    values[5, 7] = 250
    make_raster("mask.tif", masks_hwc)
    path = make_vrt(make_raster("scene.tif", values), [nodata] * 3, [1, None, 2])
    with rasterio.open(path) as dataset:
        assert dataset.mask_flag_enums[0] == dataset.mask_flag_enums[2] == []
    expected_hw = (masks_hwc > 0).all(axis=-1)
    expected_hw[5, 7] &= nodata is None
    image_hwc, valid_hw = read_all(path)
    np.testing.assert_array_equal(valid_hw, expected_hw)
    assert (image_hwc[~valid_hw] == 0).all()


def test_internal_mask_says_what_is_missing(make_raster):
    values, mask_hw = noise(8, 8, 3), np.ones((8, 8), bool)
    mask_hw[2:4, 5:] = False
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        path = make_raster("scene.tif", values)
        with rasterio.open(path, "r+") as dataset:
            dataset.write_mask(mask_hw)
    assert not Path(path + ".msk").exists()
    image_hwc, valid_hw = read_all(path)
    np.testing.assert_array_equal(valid_hw, mask_hw)
    np.testing.assert_array_equal(image_hwc, values * mask_hw[..., None])


def test_transparency_is_a_mask_and_no_band(make_raster):
    values = noise(64, 64, 4)
    values[..., 3] = 255
    values[:20, :, 3] = 0
    with open_image(make_raster("rgba.tif", values, photometric="RGB", alpha="YES")) as image:
        image_hwc, valid_hw = image.read(Window(0, 0, 64, 64))
    assert image.bands == ("red", "green", "blue")
    np.testing.assert_array_equal(valid_hw, values[..., 3] > 0)
    np.testing.assert_array_equal(image_hwc, values[..., :3] * valid_hw[..., None])


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_near_infrared_that_is_tagged_as_alpha_is_a_band(make_raster, dtype):
    values = noise(64, 64, 4, dtype)
    values[:3, :, 3] = 0
    path = make_raster("naip.tif", values, photometric="RGB", alpha="YES")
    with rasterio.open(path) as dataset:
        assert dataset.colorinterp[3].name == "alpha"
    with open_image(path) as image:
        image_hwc, valid_hw = image.read(Window(0, 0, 64, 64))
    assert image.bands == ("red", "green", "blue", "band_4")
    assert valid_hw.all()
    np.testing.assert_array_equal(image_hwc, values)


def test_near_infrared_stays_a_band_where_a_collar_of_nodata_is_nearly_all_of_the_scene(
    make_raster,
):
    values = np.zeros((300, 300, 4), "uint8")
    values[140:160, 140:160] = noise(20, 20, 4)
    path = make_raster("naip.tif", values, photometric="RGB", alpha="YES", nodata=0)
    with open_image(path) as image:
        assert len(image.bands) == 4
        assert image.read(Window(140, 140, 20, 20))[1].all()


def test_opening_a_large_image_looks_at_a_few_of_its_blocks_only(make_raster):
    values = noise(1536, 1536, 4)
    path = make_raster("naip.tif", values, photometric="RGB", alpha="YES", **TILES)
    damage_block(path, row=3, col=3)
    with open_image(path) as image:
        assert len(image.bands) == 4
        with pytest.raises(LcsegError, match="at row 192, column 192"):
            image.read(Window(192, 192, 64, 64))


def test_bands_are_named_by_description_then_colour_then_number(make_raster):
    path = make_raster("scene.tif", noise(8, 8, 4), photometric="RGB")
    with rasterio.open(path, "r+") as dataset:
        dataset.set_band_description(2, "G8")
    with open_image(path) as image:
        assert image.bands == ("red", "G8", "blue", "band_4")


@pytest.mark.parametrize("dtype", ["float64", "int32", "uint32", "complex64"])
def test_pixel_type_that_is_not_supported_is_named_with_those_that_are(make_raster, dtype):
    path = make_raster("scene.tif", np.ones((4, 4, 1), dtype))
    expected = f"scene.tif: has pixels of type {dtype}; convert it to one of uint8, uint16"
    with pytest.raises(LcsegError, match=expected), open_image(path):
        pass


def test_web_page_that_was_saved_as_tif_is_not_a_raster(tmp_path):
    path = tmp_path / "error.tif"
    path.write_text("<html><body>404 Not Found</body></html>")
    with pytest.raises(LcsegError, match=r"error\.tif: is not a raster that can be opened"):
        read_all(str(path))


@pytest.mark.parametrize("name", ["empty.tif", "missing.tif", "a folder"])
def test_empty_missing_and_folder_are_refused_in_one_line(tmp_path, name):
    (tmp_path / "empty.tif").touch()
    (tmp_path / "a folder").mkdir()
    with pytest.raises(LcsegError, match=f"{name}: is not a raster that can be opened") as caught:
        read_all(str(tmp_path / name))
    assert "\n" not in str(caught.value)


def test_container_without_bands_of_its_own_is_refused(make_raster):
    values = noise(300, 300, 3)
    path = make_raster("two.gpkg", values, driver="GPKG", raster_table="a")
    make_raster("two.gpkg", values, driver="GPKG", raster_table="b", append_subdataset="YES")
    with pytest.raises(LcsegError, match=r"two\.gpkg: has no bands of its own; name one of its"):
        read_all(path)


def test_truncated_image_is_told_with_the_place_where_it_broke(make_raster):
    path = make_raster("scene.tif", noise(256, 256, 1), tiled=True, blockxsize=64, blockysize=64)
    size = Path(path).stat().st_size
    with Path(path).open("r+b") as file:
        file.truncate(size * 3 // 4)
    with open_image(path) as image:
        image.read(Window(0, 0, 64, 64))
        with pytest.raises(LcsegError, match=r"at row 192, column 128; .*truncated or damaged"):
            image.read(Window(192, 128, 64, 64))


def test_damaged_mask_is_told_like_a_damaged_band(make_raster):
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        path = make_raster("scene.tif", noise(128, 128, 1), **TILES)
        with rasterio.open(path, "r+") as dataset:
            dataset.write_mask(RANDOM.random((128, 128)) > 0.5)
    damage_block(path, row=1, col=0, subdataset="GTIFF_DIR:2:")
    with open_image(path) as image:
        image.read(Window(0, 0, 64, 64))
        with pytest.raises(LcsegError, match=r"at row 64, column 0; .*truncated or damaged"):
            image.read(Window(64, 0, 64, 64))


@pytest.mark.parametrize(
    ("told", "date"),
    [
        ("2018-07-05 17:29:51", "2018-07-05T17:29:51"),
        ("2018-07-05T17:29:51Z", "2018-07-05T17:29:51+00:00"),
        ("2018-07-05", "2018-07-05"),
        ("last summer", ""),
    ],
)
def test_date_is_when_the_image_was_taken(make_raster, told, date):
    path = make_raster("scene.tif", noise(8, 8, 3))
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(TIFFTAG_DATETIME="2020:01:01 00:00:00")
    with open_image(path) as image:
        assert image.date == ""
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(ns="IMAGERY", ACQUISITIONDATETIME=told)
    with open_image(path) as image:
        assert image.date == date


def test_png_is_read_as_it_is(make_raster):
    values = noise(30, 20, 3)
    path = make_raster("scene.png", values, driver="PNG", **NOT_GEOREFERENCED)
    image_hwc, valid_hw = read_all(path)
    np.testing.assert_array_equal(image_hwc, values)
    assert valid_hw.all()


def test_jpeg_is_read_nearly_as_it_was_written(make_raster):
    rows, cols = np.mgrid[:64, :64]
    values = np.stack([rows * 2, cols * 2, rows + cols], axis=-1).astype("uint8")
    path = make_raster("scene.jpg", values, driver="JPEG", quality=95, **NOT_GEOREFERENCED)
    image_hwc, valid_hw = read_all(path)
    assert np.abs(image_hwc.astype(int) - values).mean() < 3
    assert valid_hw.all()


def test_thirteen_bands_of_uint16_keep_their_values(make_raster):
    values = RANDOM.integers(0, 65536, (20, 30, 13)).astype("uint16")
    path = make_raster("sentinel2.tif", values)
    image_hwc, _ = read_all(path)
    assert image_hwc.dtype == np.uint16
    np.testing.assert_array_equal(image_hwc, values)


def test_missing_georeferencing_is_no_warning(make_raster, recwarn):
    path = make_raster("scene.tif", noise(4, 4, 1), **NOT_GEOREFERENCED)
    recwarn.clear()
    with open_raster(path):
        pass
    assert not recwarn.list


@pytest.mark.real
def test_odd_tiffs_work_or_are_refused_in_one_line(real_data):
    files = [path for path in sorted((real_data / "odd-tiffs").rglob("*")) if path.is_file()]
    paths = [path for path in files if path.suffix != ".csv"]
    outcomes = {path.name: open_or_refuse(str(path)) for path in paths}
    assert len(outcomes) > 30
    for name, text in outcomes.items():
        assert "\n" not in text, name
    refused = {name for name, text in outcomes.items() if text}
    assert {"html_error_page.tif", "zero_bytes.tif", "naip_truncated_half.tif"} <= refused
    assert "has no coordinate reference system" in outcomes["naip_no_crs.tif"]
    assert "placed by ground control points only" in outcomes["cog_gcps_ovr.tif"]
    assert "no degrees, but its CRS is WGS 84" in outcomes["naip_wrong_crs_4326.tif"]
    assert len(refused) < len(outcomes) / 3


def open_or_refuse(path: str) -> str:
    """Read an image as a whole; the text of the error, if any."""
    try:
        with open_image(path) as image:
            require_crs(path, image.grid, allow_ungeoreferenced=False)
            for window in cover(image.grid.height, image.grid.width, 256):
                image_hwc, valid_hw = image.read(window)
                assert image_hwc.dtype == image.dtype
                assert (image_hwc[~valid_hw] == 0).all()
    except LcsegError as error:
        return str(error)
    return ""


def test_alpha_of_16_bits_may_be_opaque_at_255(make_raster):
    values = np.full((40, 40, 4), 700, np.uint16)
    values[..., 3] = 255
    values[:10, :, 3] = 0
    with open_image(make_raster("rgba.tif", values, photometric="RGB", alpha="YES")) as image:
        assert len(image.bands) == 3
        _, valid_hw = image.read(Window(0, 0, 40, 40))
    assert not valid_hw[:10].any()
    assert valid_hw[10:].all()

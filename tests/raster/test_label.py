import time
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.warp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from rasterio.enums import Resampling
from rasterio.transform import Affine

from lcseg.classes import IGNORE, SCHEMES, ClassScheme, LandClass, load_scheme
from lcseg.errors import LcsegError, UnknownCodesError
from lcseg.raster.grid import Grid, Window, cover
from lcseg.raster.label import open_label
from lcseg.raster.source import open_image

UTM = "EPSG:26918"
X, Y = 400_000.0, 4_300_000.0
FLIP = Affine.scale(1, -1)
SCHEME = load_scheme("chesapeake-4")
COLORS = ClassScheme(
    "colours",
    (LandClass("water", "#0000FF", ("#E2A929",)), LandClass("land", "#00FF00", ("#8429F6",))),
    ignore=("#9B9B9B",),
)
RANDOM = np.random.default_rng(0)


def grid_of(height: int, width: int, transform: Affine | None = None, crs: str = UTM) -> Grid:
    affine = transform or Affine(1, 0, X, 0, -1, Y)
    return Grid(height, width, tuple(affine)[:6], crs)


def read_all(path: str, grid: Grid, scheme: ClassScheme = SCHEME, **options: object) -> np.ndarray:
    with open_label(path, grid, scheme, **options) as label:
        return label.read(Window(0, 0, grid.height, grid.width))


def random_codes(height: int, width: int, dtype: str = "uint8") -> np.ndarray:
    return RANDOM.choice([0, 1, 2, 3, 4, 5, 6, 15], (height, width)).astype(dtype)


def label_by_pixel(codes_hw: np.ndarray, own: Grid, image: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Labels found pixel by pixel without interpolation, and which are no ties."""
    cols, rows = np.meshgrid(np.arange(image.width) + 0.5, np.arange(image.height) + 0.5)
    x, y = image.affine @ (cols.ravel(), rows.ravel())
    x, y = map(np.array, rasterio.warp.transform(image.crs, own.crs, x, y))
    own_cols, own_rows = ~own.affine @ (x, y)
    places = np.stack([own_rows, own_cols])
    is_clear = (np.abs(places - np.rint(places)) > 0.01).all(axis=0)
    row, col = np.floor(places).astype(int)
    inside = (row >= 0) & (row < own.height) & (col >= 0) & (col < own.width)
    label = np.full(row.shape, IGNORE, np.uint8)
    label[inside] = SCHEME.encode(codes_hw[row[inside], col[inside]])
    shape = image.height, image.width
    return label.reshape(shape), is_clear.reshape(shape)


def vote_by_block(label_hw: np.ndarray, rows: int, cols: int) -> np.ndarray:
    """The most frequent label of each block, the lowest of those that are equally frequent."""
    height, width = label_hw.shape[0] // rows, label_hw.shape[1] // cols
    blocks = label_hw.reshape(height, rows, width, cols).swapaxes(1, 2).reshape(height, width, -1)
    return np.array([[np.bincount(b).argmax() for b in row] for row in blocks], np.uint8)


def test_label_is_read_on_the_grid_of_its_image_with_255_where_there_is_none(make_raster):
    codes_hw = random_codes(20, 30)
    codes_hw[0, :2] = 0, 15
    path = make_raster("lc.tif", codes_hw)
    with open_label(path, grid_of(20, 30), SCHEME) as label:
        label_hw = label.read(Window(0, 0, 24, 24))
    assert label_hw.dtype == np.uint8
    assert label_hw[0, :2].tolist() == [255, 255]
    np.testing.assert_array_equal(label_hw[:20], SCHEME.encode(codes_hw[:, :24]))
    assert (label_hw[20:] == IGNORE).all()


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.integers(-25, 25), st.integers(-25, 25), st.integers(1, 40), st.integers(1, 40), st.data()
)
def test_label_of_other_extent_is_shifted_by_whole_pixels(
    make_raster, down, right, height, width, data
):
    codes_hw = random_codes(height, width)
    place = (1.0, 0.0, X + right, 0.0, -1.0, Y - down)
    path = make_raster("lc.tif", codes_hw, transform=place)
    image = grid_of(20, 20)
    expected = np.full((200, 200), IGNORE, np.uint8)
    expected[100 + down : 100 + down + height, 100 + right : 100 + right + width] = SCHEME.encode(
        codes_hw
    )
    image_hw = expected[100:120, 100:120]
    overlaps = -height < down < 20 and -width < right < 20
    if not overlaps:
        with pytest.raises(LcsegError, match="does not overlap its image"):
            read_all(path, image)
        return
    np.testing.assert_array_equal(read_all(path, image), image_hw)
    row, col = data.draw(st.tuples(st.integers(-5, 19), st.integers(-5, 19)))
    with open_label(path, image, SCHEME) as label:
        part_hw = label.read(Window(row, col, 9, 7))
    padded_hw = np.pad(image_hw, 30, constant_values=IGNORE)
    np.testing.assert_array_equal(part_hw, padded_hw[row + 30 : row + 39, col + 30 : col + 37])


@pytest.mark.parametrize("pixel_m", [1.0, 0.6, 0.3, 0.15])
@pytest.mark.parametrize(("shift", "first"), [(0.4, 0), (0.5, 0), (0.6, 1), (-0.4, 0), (-0.5, -1)])
def test_label_shifted_by_a_part_of_a_pixel_is_the_pixel_at_the_centre(
    make_raster, shift, first, pixel_m
):
    codes_hw = random_codes(12, 12)
    place = (pixel_m, 0, X + shift * pixel_m, 0, -pixel_m, Y)
    path = make_raster("lc.tif", codes_hw, transform=place)
    label_hw = read_all(path, grid_of(12, 12, Affine(pixel_m, 0, X, 0, -pixel_m, Y)))
    padded_hw = np.pad(SCHEME.encode(codes_hw), ((0, 0), (1, 1)), constant_values=IGNORE)
    np.testing.assert_array_equal(label_hw, padded_hw[:, 1 - first : 13 - first])


def test_grids_that_are_equal_but_for_rounding_do_not_flip_between_pixels(make_raster):
    codes_hw = random_codes(500, 500)
    size, lon, lat = 1e-5 / 3, -75.1234567, 38.7654321
    path = make_raster("lc.tif", codes_hw, crs="EPSG:4326", transform=(size, 0, lon, 0, -size, lat))
    nearly = Affine(np.nextafter(size, 1), 0, np.nextafter(lon, 0), 0, -size, np.nextafter(lat, 0))
    label_hw = read_all(path, grid_of(500, 500, nearly, "EPSG:4326"))
    np.testing.assert_array_equal(label_hw, SCHEME.encode(codes_hw))


def test_coarser_label_is_repeated_and_finer_label_is_the_most_frequent(make_raster):
    codes_hw = random_codes(10, 10)
    coarse = make_raster("coarse.tif", codes_hw, transform=(3, 0, X, 0, -3, Y))
    np.testing.assert_array_equal(
        read_all(coarse, grid_of(30, 30)), SCHEME.encode(codes_hw.repeat(3, 0).repeat(3, 1))
    )
    codes_hw = random_codes(30, 30)
    fine = make_raster("fine.tif", codes_hw, transform=(1, 0, X, 0, -1, Y))
    label_hw = read_all(fine, grid_of(10, 10, Affine(3, 0, X, 0, -3, Y)))
    np.testing.assert_array_equal(label_hw, vote_by_block(SCHEME.encode(codes_hw), 3, 3))


@pytest.mark.parametrize(
    "own",
    [
        grid_of(200, 200, Affine(1, 0, X - 20, 0, 1, Y - 180)),
        grid_of(150, 150, Affine(1.002, 0, X + 0.4, 0, -1.002, Y - 0.4)),
        grid_of(90, 110, Affine(1.7, 0, X + 3.3, 0, -1.9, Y + 5.2)),
        grid_of(300, 300, Affine.translation(X - 40, Y + 20) @ Affine.rotation(25) @ FLIP),
    ],
    ids=["south-up", "nearly equal", "other resolution", "rotated"],
)
@pytest.mark.parametrize(
    "image",
    [grid_of(150, 140), grid_of(120, 130, Affine.translation(X, Y) @ Affine.rotation(-17) @ FLIP)],
    ids=["upright image", "rotated image"],
)
def test_label_on_another_grid_is_that_of_each_pixels_centre(make_raster, own, image):
    codes_hw = random_codes(own.height, own.width)
    path = make_raster("lc.tif", codes_hw, transform=own.transform)
    expected_hw, is_clear = label_by_pixel(codes_hw, own, image)
    assert (expected_hw != IGNORE).mean() > 0.2
    label_hw = np.full((image.height + 32, image.width + 32), IGNORE, np.uint8)
    with open_label(path, image, SCHEME) as label:
        for window in cover(image.height, image.width, 32):
            label_hw[window.slices] = label.read(window)
    label_hw = label_hw[: image.height, : image.width]
    np.testing.assert_array_equal(label_hw[is_clear], expected_hw[is_clear])


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3857", "EPSG:5070", "EPSG:2248"])
def test_label_in_another_crs_is_that_of_each_pixels_centre(make_raster, crs):
    image = grid_of(400, 300)
    left, bottom, right, top = rasterio.warp.transform_bounds(UTM, crs, *image.bounds())
    affine = Affine((right - left) / 350, 0, left, 0, (bottom - top) / 420, top)
    own = grid_of(420, 350, affine, crs)
    codes_hw = random_codes(420, 350)
    path = make_raster("lc.tif", codes_hw, crs=crs, transform=own.transform)
    expected_hw, is_clear = label_by_pixel(codes_hw, own, image)
    label_hw = read_all(path, image)
    assert is_clear.mean() > 0.95
    np.testing.assert_array_equal(label_hw[is_clear], expected_hw[is_clear])
    warped_hw = np.zeros(label_hw.shape, np.uint8)
    rasterio.warp.reproject(
        codes_hw,
        warped_hw,
        src_transform=affine,
        src_crs=crs,
        dst_transform=image.affine,
        dst_crs=UTM,
        resampling=Resampling.nearest,
        tolerance=0,
    )
    assert (label_hw == SCHEME.encode(warped_hw)).mean() > 0.999


def patches(height: int, width: int, size_px: int) -> np.ndarray:
    """Codes in patches of about this size, as land has them."""
    centers = RANDOM.random((2, height * width // size_px**2)) * [[height], [width]]
    rows, cols = np.mgrid[:height, :width]
    nearest = np.zeros((height, width), int)
    best = np.full((height, width), np.inf)
    for i, (row, col) in enumerate(centers.T):
        distance = (rows - row) ** 2 + (cols - col) ** 2
        nearest[distance < best] = i
        best = np.minimum(best, distance)
    return RANDOM.choice([1, 2, 3, 4], centers.shape[1]).astype("uint8")[nearest]


def mode_by_gdal(codes_hw: np.ndarray, own: Grid, image: Grid) -> np.ndarray:
    """The labels that GDAL's warper finds by its own mode."""
    warped_hw = np.zeros((image.height, image.width), np.uint8)
    rasterio.warp.reproject(
        codes_hw,
        warped_hw,
        src_transform=own.affine,
        src_crs=own.crs,
        dst_transform=image.affine,
        dst_crs=image.crs,
        resampling=Resampling.mode,
        tolerance=0,
    )
    return SCHEME.encode(warped_hw)


def test_label_of_a_tenth_of_the_pixel_is_the_most_frequent_by_numpy_and_by_gdal(make_raster):
    codes_hw = patches(600, 500, 15)
    own = grid_of(600, 500, Affine(0.1, 0, X, 0, -0.1, Y))
    path = make_raster("lc.tif", codes_hw, transform=own.transform)
    image = grid_of(60, 50)
    label_hw = read_all(path, image)
    np.testing.assert_array_equal(label_hw, vote_by_block(SCHEME.encode(codes_hw), 10, 10))
    # GDAL decides ties in its own way.
    blocks = SCHEME.encode(codes_hw).reshape(60, 10, 50, 10)
    votes = np.sort([(blocks == k).sum(axis=(1, 3)) for k in range(4)], axis=0)
    is_clear = votes[-1] > votes[-2]
    assert is_clear.mean() > 0.97
    np.testing.assert_array_equal(label_hw[is_clear], mode_by_gdal(codes_hw, own, image)[is_clear])
    assert (label_hw == SCHEME.encode(codes_hw[5::10, 5::10])).mean() < 0.95


@pytest.mark.parametrize(("down", "right"), [(5, 5), (-15, 23), (0, -5)])
def test_finer_label_off_by_half_a_pixel_votes_where_it_lies(make_raster, down, right):
    codes_hw = random_codes(300, 300)
    place = (0.1, 0, X + right * 0.1, 0, -0.1, Y - down * 0.1)
    path = make_raster("lc.tif", codes_hw, transform=place)
    placed_hw = np.full((500, 500), IGNORE, np.uint8)
    placed_hw[100 + down : 400 + down, 100 + right : 400 + right] = SCHEME.encode(codes_hw)
    expected_hw = vote_by_block(placed_hw, 10, 10)[10:40, 10:40]
    with open_label(path, grid_of(30, 30), SCHEME) as label:
        label_hw = label.read(Window(-4, -3, 40, 40))
    np.testing.assert_array_equal(label_hw[4:34, 3:33], expected_hw)
    label_hw[4:34, 3:33] = IGNORE
    assert (label_hw == IGNORE).all()


def test_finer_label_along_one_side_only_votes_along_that_side(make_raster):
    codes_hw = random_codes(120, 30)
    path = make_raster("lc.tif", codes_hw, transform=(1, 0, X, 0, -0.25, Y))
    label_hw = read_all(path, grid_of(30, 30))
    np.testing.assert_array_equal(label_hw, vote_by_block(SCHEME.encode(codes_hw), 4, 1))


@pytest.mark.parametrize(
    ("crs", "degrees"), [("EPSG:4326", 0), ("EPSG:3857", 0), ("EPSG:5070", 0), (UTM, 30)]
)
def test_finer_label_in_another_crs_or_rotated_is_the_most_frequent_in_each_pixel(
    make_raster, crs, degrees
):
    image = grid_of(60, 50)
    left, bottom, right, top = rasterio.warp.transform_bounds(UTM, crs, *image.bounds())
    width, height = right - left, top - bottom
    affine = Affine(width / 500, 0, left, 0, -height / 600, top)
    affine = Affine.rotation(degrees, (left + width / 2, top - height / 2)) @ affine
    own = grid_of(600, 500, affine, crs)
    codes_hw = patches(600, 500, 15)
    path = make_raster("lc.tif", codes_hw, crs=crs, transform=own.transform)
    label_hw = read_all(path, image)
    # Twenty samples along each side of a pixel, every one projected by itself.
    inner = Window(15, 15, 30, 20)
    fine_affine = Affine(*image.transform_of(inner)) @ Affine.scale(1 / 20)
    fine_hw, _ = label_by_pixel(codes_hw, own, grid_of(600, 400, fine_affine))
    blocks = fine_hw.reshape(30, 20, 20, 20)
    votes = np.array([(blocks == k).sum(axis=(1, 3)) for k in range(4)])
    ranked = np.sort(votes, axis=0)
    is_clear = ranked[-1] - ranked[-2] > 0.1 * 20**2
    assert is_clear.mean() > 0.85
    assert (label_hw[inner.slices] == votes.argmax(axis=0))[is_clear].mean() > 0.995
    # GDAL takes what lies about a pixel in the label's own rows and columns, rotated or not.
    warped_hw = mode_by_gdal(codes_hw, own, image)
    assert (label_hw == warped_hw)[inner.slices].mean() > 0.92


def test_finer_label_is_the_same_by_windows_as_in_one_go(make_raster, monkeypatch):
    codes_hw = random_codes(400, 400)
    path = make_raster("lc.tif", codes_hw, transform=(0.25, 0, X + 0.1, 0, -0.25, Y))
    image = grid_of(100, 100, Affine.translation(X, Y) @ Affine.rotation(-10) @ FLIP)
    whole_hw = read_all(path, image)
    monkeypatch.setattr("lcseg.raster.label._MAX_SAMPLES", 500)
    parts_hw = np.zeros((128, 128), np.uint8)
    with open_label(path, image, SCHEME) as label:
        for window in cover(100, 100, 64):
            parts_hw[window.slices] = label.read(window)
    np.testing.assert_array_equal(parts_hw[:100, :100], whole_hw)


def test_memory_of_a_finer_label_is_bounded_however_fine_it_is(make_raster):
    codes_hw = np.ones((5000, 5000), "uint8")
    path = make_raster("lc.tif", codes_hw, transform=(0.01, 0, X, 0, -0.01, Y), compress="deflate")
    with open_label(path, grid_of(50, 50), SCHEME) as label:
        tracemalloc.start()
        label_hw = label.read(Window(0, 0, 50, 50))
        peak_bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert (label_hw == 0).all()
    assert peak_bytes < codes_hw.size / 2


def test_windows_of_any_size_agree_with_the_whole_in_another_crs(make_raster):
    image = grid_of(100, 90)
    left, bottom, right, top = rasterio.warp.transform_bounds(UTM, "EPSG:4326", *image.bounds())
    affine = (right - left) / 90, 0, left, 0, (bottom - top) / 100, top
    path = make_raster("lc.tif", random_codes(100, 90), crs="EPSG:4326", transform=affine)
    whole_hw = read_all(path, image)
    with open_label(path, image, SCHEME) as label:
        for size_px in (1, 2, 17, 33, 64):
            for window in list(cover(100, 90, size_px))[:: max(1, 400 // size_px**2)]:
                inside = window.clip(100, 90)
                np.testing.assert_array_equal(label.read(inside), whole_hw[inside.slices])


def test_nodata_of_the_label_is_no_label_and_need_not_be_in_the_scheme(make_raster):
    codes_hw = random_codes(9, 9)
    codes_hw[2] = 99
    label_hw = read_all(make_raster("lc.tif", codes_hw, nodata=99), grid_of(9, 9))
    assert (label_hw[2] == IGNORE).all()
    np.testing.assert_array_equal(label_hw[3:], SCHEME.encode(codes_hw[3:]))


def test_internal_mask_of_the_label_is_no_label(make_raster):
    codes_hw, mask_hw = random_codes(9, 9), np.ones((9, 9), bool)
    codes_hw[4, 4], mask_hw[4, 4] = 77, False
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        path = make_raster("lc.tif", codes_hw)
        with rasterio.open(path, "r+") as dataset:
            dataset.write_mask(mask_hw)
    label_hw = read_all(path, grid_of(9, 9))
    codes_hw[4, 4] = 0
    np.testing.assert_array_equal(label_hw, SCHEME.encode(codes_hw))


def test_mask_of_the_band_of_codes_alone_is_no_label(make_raster, tmp_path):
    codes_hw, mask_hw = random_codes(9, 9), np.full((9, 9), 255, "uint8")
    codes_hw[4, 4], mask_hw[4, 4] = 77, 0
    make_raster("lc.tif", np.dstack([codes_hw, mask_hw]))
    source = """<SimpleSource><SourceFilename relativeToVRT="1">lc.tif</SourceFilename>
    <SourceBand>{}</SourceBand></SimpleSource>"""
    vrt = tmp_path / "lc.vrt"
    vrt.write_text(
        f"""<VRTDataset rasterXSize="9" rasterYSize="9"><SRS>{UTM}</SRS>
        <GeoTransform>{X}, 1, 0, {Y}, 0, -1</GeoTransform>
        <VRTRasterBand dataType="Byte" band="1">{source.format(1)}
        <MaskBand><VRTRasterBand dataType="Byte">{source.format(2)}</VRTRasterBand></MaskBand>
        </VRTRasterBand></VRTDataset>"""
    )
    codes_hw[4, 4] = 0
    np.testing.assert_array_equal(read_all(str(vrt), grid_of(9, 9)), SCHEME.encode(codes_hw))


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "float32", "float64"])
def test_codes_of_any_number_type_are_the_same_labels(make_raster, dtype):
    codes_hw = random_codes(9, 9)
    path = make_raster("lc.tif", codes_hw.astype(dtype))
    np.testing.assert_array_equal(read_all(path, grid_of(9, 9)), SCHEME.encode(codes_hw))


def test_codes_that_are_no_whole_numbers_are_refused(make_raster):
    path = make_raster("lc.tif", np.array([[1, 2.5]], "float32"))
    with pytest.raises(LcsegError, match=r"lc\.tif: holds 2\.5, expected whole numbers"):
        read_all(path, grid_of(1, 2))


def test_missing_codes_of_float_labels_are_no_label(make_raster):
    path = make_raster(
        "lc.tif", np.array([[1, np.nan, np.inf, -9999.5]], "float32"), nodata=-9999.5
    )
    assert read_all(path, grid_of(1, 4)).tolist() == [[0, 255, 255, 255]]


def color_picture() -> tuple[np.ndarray, np.ndarray]:
    """RGB values of the colour scheme, and their labels."""
    label_hw = RANDOM.choice([0, 1, 255], (8, 9))
    by_label = {0: (0xE2, 0xA9, 0x29), 1: (0x84, 0x29, 0xF6), 255: (0x9B, 0x9B, 0x9B)}
    rgb_hwc = np.array([by_label[i] for i in label_hw.ravel()], "uint8").reshape(8, 9, 3)
    return rgb_hwc, label_hw


def test_colours_are_read_as_codes(make_raster):
    rgb_hwc, label_hw = color_picture()
    found_hw = read_all(make_raster("lc.tif", rgb_hwc), grid_of(8, 9), COLORS)
    np.testing.assert_array_equal(found_hw, label_hw)


def test_colours_with_opaque_transparency_are_read_as_codes(make_raster):
    rgb_hwc, label_hw = color_picture()
    rgba_hwc = np.dstack([rgb_hwc, np.full((8, 9), 255, "uint8")])
    path = make_raster("lc.tif", rgba_hwc, photometric="RGB", alpha="YES")
    np.testing.assert_array_equal(read_all(path, grid_of(8, 9), COLORS), label_hw)


def test_palette_of_a_png_gives_the_colours(tmp_path):
    rgb_hwc, label_hw = color_picture()
    path = tmp_path / "lc.png"
    Image.fromarray(rgb_hwc).quantize(3).save(path)
    with Image.open(path) as picture:
        assert picture.mode == "P"
    grid = replace(grid_of(8, 9), crs=None)
    found_hw = read_all(str(path), grid, COLORS, allow_ungeoreferenced=True)
    np.testing.assert_array_equal(found_hw, label_hw)


def test_palette_of_a_geotiff_gives_the_colours(make_raster):
    _, label_hw = color_picture()
    index_hw = np.select([label_hw == 0, label_hw == 1], [7, 3], 200).astype("uint8")
    colors = {7: (0xE2, 0xA9, 0x29, 255), 3: (0x84, 0x29, 0xF6, 255), 200: (155, 155, 155, 255)}
    path = make_raster("lc.tif", index_hw, colormap=colors)
    np.testing.assert_array_equal(read_all(path, grid_of(8, 9), COLORS), label_hw)


def test_palette_does_not_matter_where_the_scheme_names_numbers(make_raster):
    codes_hw = random_codes(8, 9)
    path = make_raster("lc.tif", codes_hw, colormap={1: (9, 9, 9, 255)})
    np.testing.assert_array_equal(read_all(path, grid_of(8, 9)), SCHEME.encode(codes_hw))


def test_grey_label_is_refused_where_the_scheme_names_colours(make_raster):
    path = make_raster("lc.tif", random_codes(8, 9))
    with pytest.raises(LcsegError, match="neither three bands nor a palette, but the scheme's"):
        read_all(path, grid_of(8, 9), COLORS)


def test_unknown_codes_are_listed_with_their_pixels_in_the_whole_raster(make_raster):
    codes_hw = np.full((2000, 1200), 2, "uint8")
    codes_hw[:, :3], codes_hw[0, 1000], codes_hw[1999, 7], codes_hw[-1, -9:] = 3, 77, 77, 88
    path = make_raster("lc.tif", codes_hw)
    with open_label(path, grid_of(2000, 1200), SCHEME) as label:
        assert (label.read(Window(100, 0, 64, 64)) < 3).all()
        with pytest.raises(UnknownCodesError) as caught:
            label.read(Window(0, 980, 64, 64))
    assert str(caught.value) == (
        f"{path}: codes that 'chesapeake-4' does not name: 88 (9 px), 77 (2 px); "
        "known ones: 2 (2,393,989 px), 3 (6,000 px); "
        "add them to a class or to the ignored codes of the scheme"
    )


def test_unknown_colours_are_listed_as_colours(make_raster):
    path = make_raster("lc.tif", np.full((2, 2, 3), (1, 2, 255), "uint8"))
    with pytest.raises(
        UnknownCodesError, match=r"'colours' .*: #0102FF \(4 px\); known ones: none"
    ):
        read_all(path, grid_of(2, 2), COLORS)


def test_a_long_list_of_unknown_codes_is_cut(make_raster):
    path = make_raster("dem.tif", np.arange(1000, 2000, dtype="int16").reshape(20, 50))
    with pytest.raises(
        UnknownCodesError, match=r"1011 \(1 px\), 988 more; known ones: none"
    ) as caught:
        read_all(path, grid_of(20, 50))
    assert len(str(caught.value)) < 600


def test_unknown_codes_are_found_on_another_grid_too(make_raster):
    path = make_raster("lc.tif", np.full((9, 9), 77, "uint8"), transform=(2.5, 0, X, 0, -2.5, Y))
    with pytest.raises(UnknownCodesError, match=r"77 \(81 px\)"):
        read_all(path, grid_of(9, 9))


def test_band_of_the_codes_is_chosen_by_its_number(make_raster):
    codes_hw = random_codes(8, 9)
    path = make_raster("lc.tif", np.dstack([np.full((8, 9), 200, "uint8"), codes_hw]))
    np.testing.assert_array_equal(read_all(path, grid_of(8, 9), band=2), SCHEME.encode(codes_hw))
    with pytest.raises(
        LcsegError, match="has 2 bands; say which holds the codes with --label_band"
    ):
        read_all(path, grid_of(8, 9))
    with pytest.raises(LcsegError, match="has 2 bands, --label_band=3 asks for more"):
        read_all(path, grid_of(8, 9), band=3)


def test_band_of_four_that_gdal_takes_for_transparency_can_hold_the_codes(make_raster):
    codes_hw = random_codes(8, 9)
    others_hwc = np.full((8, 9, 3), 200, "uint8")
    path = make_raster("lc.tif", np.dstack([others_hwc, codes_hw]), photometric="RGB", alpha="YES")
    np.testing.assert_array_equal(read_all(path, grid_of(8, 9), band=4), SCHEME.encode(codes_hw))


def test_label_beside_its_image_is_refused_with_both_places(make_raster):
    path = make_raster("lc.tif", random_codes(8, 9), transform=(1, 0, X + 9, 0, -1, Y))
    expected = r"spans x 400009 to 400018, .* in NAD83 / UTM zone 18N, the image x 400000 to 40"
    with pytest.raises(LcsegError, match=expected):
        read_all(path, grid_of(8, 9))


@pytest.mark.parametrize(
    ("crs", "name"),
    [
        ('LOCAL_CS["site",UNIT["metre",1]]', "site"),
        ("IAU_2015:49900", r"Mars \(2015\) - Sphere / Ocentric"),
        ("+proj=eqc +a=3396190 +b=3396190 +units=m", "unknown"),
    ],
)
def test_crs_that_cannot_be_reached_is_named_in_a_short_line(make_raster, crs, name):
    place = (0.001, 0, -77, 0, -0.001, 39)
    path = make_raster("lc.tif", random_codes(8, 9), crs=crs, transform=place)
    expected = (
        rf"lc\.tif: its CRS {name} cannot be reached from the image's NAD83 / UTM zone 18N; r"
    )
    with pytest.raises(LcsegError, match=expected) as caught:
        read_all(path, grid_of(8, 9))
    assert len(str(caught.value)) < 200 + len(path)


def test_equal_local_crs_of_image_and_label_needs_no_transformation(make_raster):
    codes_hw = random_codes(8, 9)
    path = make_raster("lc.tif", codes_hw, crs='LOCAL_CS["site",UNIT["metre",1]]')
    with open_image(path) as image:
        np.testing.assert_array_equal(read_all(path, image.grid), SCHEME.encode(codes_hw))


def test_crs_of_other_spelling_is_the_same_crs(make_raster):
    codes_hw = random_codes(8, 9)
    grid = replace(grid_of(8, 9), crs=rasterio.crs.CRS.from_epsg(26918).to_wkt())
    label_hw = read_all(make_raster("lc.tif", codes_hw), grid)
    np.testing.assert_array_equal(label_hw, SCHEME.encode(codes_hw))


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_label_without_crs_is_refused_or_laid_pixel_on_pixel(make_raster):
    codes_hw = random_codes(8, 9)
    path = make_raster("lc.png", codes_hw, crs=None, transform=None, driver="PNG")
    with pytest.raises(LcsegError, match=r"lc\.png: has no coordinate reference system"):
        read_all(path, grid_of(8, 9))
    label_hw = read_all(path, grid_of(8, 9), allow_ungeoreferenced=True)
    np.testing.assert_array_equal(label_hw, SCHEME.encode(codes_hw))
    with pytest.raises(LcsegError, match="is 8 x 9 px, its image 9 x 9; without a CRS on both"):
        read_all(path, grid_of(9, 9), allow_ungeoreferenced=True)


def test_truncated_label_is_told_with_the_place_where_it_broke(make_raster):
    path = make_raster("lc.tif", random_codes(256, 256))
    with Path(path).open("r+b") as file:
        file.truncate(40_000)
    with pytest.raises(
        LcsegError, match=r"lc\.tif: cannot be read at row 0, column 0; .*truncated"
    ):
        read_all(path, grid_of(256, 256))


def test_label_on_the_grid_of_its_image_takes_about_the_time_of_the_image(make_raster):
    tiles = {"tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "deflate"}
    values = RANDOM.integers(0, 255, (256, 256, 4), "uint8").repeat(4, 0).repeat(4, 1)
    image_path = make_raster("image.tif", values, **tiles)
    label_path = make_raster("lc.tif", random_codes(64, 64).repeat(16, 0).repeat(16, 1), **tiles)
    windows = list(cover(1024, 1024, 256))

    def seconds(read) -> float:
        started_s = time.perf_counter()
        for window in windows:
            read(window)
        return time.perf_counter() - started_s

    with (
        open_image(image_path) as image,
        open_label(label_path, image.grid, SCHEMES["chesapeake-4"]) as label,
    ):
        image_s = min(seconds(image.read) for _ in range(5))
        label_s = min(seconds(label.read) for _ in range(5))
    assert label_s < 3 * image_s


def test_label_of_an_older_datum_lies_where_that_datum_puts_it(make_raster):
    """NAD27 lies some 30 m off NAD83 in Maryland: taken for it, a label would be 30 px off."""
    lon, lat = rasterio.warp.transform(UTM, "EPSG:4267", [X + 50, X + 50], [Y - 50, Y - 150])
    assert abs(lon[0] - rasterio.warp.transform(UTM, "EPSG:4269", [X + 50], [Y - 50])[0][0]) > 2e-4
    size_deg = 1e-5
    codes_hw = np.ones((100, 400), "uint8")
    codes_hw[:, 200:] = 2
    place = (size_deg, 0, lon[0] - 200 * size_deg, 0, -size_deg, lat[0] + 20 * size_deg)
    path = make_raster("lc.tif", codes_hw, crs="EPSG:4267", transform=place)
    label_hw = read_all(path, grid_of(100, 100))
    assert (label_hw[40:60, 40:48] == 0).all()
    assert (label_hw[40:60, 53:60] == 1).all()


def test_image_of_mars_and_a_label_on_its_grid_go_together(make_raster):
    mars = "+proj=eqc +a=3396190 +b=3396190 +units=m"
    codes_hw = random_codes(20, 20)
    path = make_raster("lc.tif", codes_hw, crs=mars, transform=(0.5, 0, 7, 0, -0.5, 9))
    grid = grid_of(10, 20, Affine(0.5, 0, 7, 0, -0.5, 9), mars)
    np.testing.assert_array_equal(read_all(path, grid), SCHEME.encode(codes_hw[:10]))


def test_bigtiff_south_up_and_pixels_that_are_not_square_are_read_where_they_lie(make_raster):
    codes_hw = random_codes(30, 20)
    place = (2.0, 0, X, 0, 3.0, Y - 90)
    path = make_raster("lc.tif", codes_hw, transform=place, BIGTIFF="YES")
    south_up = grid_of(30, 20, Affine(*place))
    np.testing.assert_array_equal(read_all(path, south_up), SCHEME.encode(codes_hw))
    upright = grid_of(30, 20, Affine(2, 0, X, 0, -3, Y))
    np.testing.assert_array_equal(read_all(path, upright), SCHEME.encode(codes_hw[::-1]))
    coarse = grid_of(15, 10, Affine(4, 0, X, 0, -6, Y))
    expected_hw = vote_by_block(SCHEME.encode(codes_hw[::-1]), 2, 2)
    np.testing.assert_array_equal(read_all(path, coarse), expected_hw)


def test_palette_of_a_finer_label_votes_by_colour_and_not_by_index(make_raster):
    colors = {7: (0xE2, 0xA9, 0x29, 255), 3: (0x84, 0x29, 0xF6, 255), 8: (0xE2, 0xA9, 0x29, 255)}
    index_hw = np.array([[3, 3], [7, 8]] * 4, "uint8")
    index_hw[2:4] = [[3, 3], [3, 7]]
    path = make_raster("lc.tif", index_hw, colormap=colors, transform=(0.5, 0, X, 0, -0.5, Y))
    label_hw = read_all(path, grid_of(4, 1), COLORS)
    assert label_hw[:, 0].tolist() == [0, 1, 0, 0]


def test_missing_codes_of_a_finer_float_label_vote_for_no_label(make_raster):
    codes_hw = np.array([[1, np.nan, np.nan, np.nan], [1, np.nan, np.nan, 2]], "float32")
    path = make_raster("lc.tif", codes_hw, transform=(0.5, 0, X, 0, -0.5, Y))
    assert read_all(path, grid_of(1, 2)).tolist() == [[0, IGNORE]]


def test_labels_across_the_antimeridian_are_those_of_their_place(make_raster):
    """Where longitude jumps from 180 to -180 nothing may be interpolated."""
    utm = (100.0, 0.0, 630_000.0, 0.0, -100.0, 6_660_000.0)
    codes_hw = np.full((180, 3600), 3, np.uint8)
    codes_hw[:, :1800], codes_hw[:, :40], codes_hw[:, -40:] = 4, 1, 2
    label = make_raster(
        "world.tif", codes_hw, crs="EPSG:4326", transform=(0.1, 0, -180.0, 0, -0.1, 69.0)
    )
    grid = Grid(256, 768, utm, "EPSG:32660")
    with open_label(label, grid, load_scheme("chesapeake-6")) as source:
        found_hw = source.read(Window(0, 0, 256, 768))
    rows, cols = np.mgrid[:256, :768] + 0.5
    x, y = grid.affine @ (cols, rows)
    lon, _ = rasterio.warp.transform("EPSG:32660", "EPSG:4326", x.ravel(), y.ravel())
    lon = np.reshape(lon, x.shape)
    expected_hw = np.where(lon > 0, 1, 0)  # Code 2 is class 1 in the east, code 1 class 0.
    assert {0, 1} == set(np.unique(expected_hw)), "the scene does not straddle the antimeridian"
    assert np.mean(found_hw == expected_hw) > 0.9999


def test_transparent_pixels_of_colour_labels_have_no_label(make_raster):
    scheme = ClassScheme(
        "two",
        (LandClass("night", "#000000", ("#000000",)), LandClass("day", "#FFFFFF", ("#FFFFFF",))),
    )
    rgba_hwc = np.zeros((8, 8, 4), np.uint8)
    rgba_hwc[4:] = 255
    rgba_hwc[:2, :, 3] = 255
    path = make_raster("rgba.tif", rgba_hwc, photometric="RGB", alpha="YES")
    indexed = make_raster(
        "indexed.png",
        np.repeat(np.arange(4, dtype=np.uint8), 16).reshape(8, 8) % 3,
        driver="PNG",
        colormap={0: (0, 0, 0, 255), 1: (0, 0, 0, 0), 2: (255, 255, 255, 255)},
    )
    grid = Grid(8, 8, (1.0, 0.0, 400_000.0, 0.0, -1.0, 4_300_000.0), "EPSG:26918")
    with open_label(path, grid, scheme) as source:
        found_hw = source.read(Window(0, 0, 8, 8))
    assert [set(np.unique(part)) for part in (found_hw[:2], found_hw[2:4], found_hw[4:])] == [
        {0},
        {255},
        {1},
    ]
    with open_label(indexed, grid, scheme, allow_ungeoreferenced=True) as source:
        rows = source.read(Window(0, 0, 8, 8))[::2, 0]
    assert rows.tolist() == [0, 255, 1, 0]

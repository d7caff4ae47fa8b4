"""Two maps on one grid, held against GDAL's coordinates of every pixel."""

import numpy as np
import pytest
import rasterio.warp
from changed import (
    CRS,
    IGNORE,
    ONE,
    SCHEME,
    TRANSFORM,
    N,
    make_maps,
    make_scheme,
    write_map,
    write_probabilities,
)
from rasterio.transform import Affine

from lcseg.change.config import Dated
from lcseg.change.pair import open_pair
from lcseg.classes import ClassScheme, LandClass
from lcseg.errors import LcsegError
from lcseg.raster.grid import Window

HEIGHT, WIDTH = 40, 50
WHOLE = Window(0, 0, HEIGHT, WIDTH)
LEFT, TOP = TRANSFORM[2], TRANSFORM[5]


def make_labels(height=HEIGHT, width=WIDTH, seed=0, n=N) -> np.ndarray:
    label_hw = np.random.default_rng(seed).integers(0, n + 1, (height, width)).astype(np.uint8)
    return np.where(label_hw == n, np.uint8(IGNORE), label_hw)


def read_after(tmp_path, label_hw, **where) -> np.ndarray:
    """The second map on the grid of the first, read in blocks that overhang it."""
    before = write_map(tmp_path / "before.tif", make_labels(seed=9))
    after = write_map(tmp_path / "after.tif", label_hw, **where)
    found_hw = np.zeros((HEIGHT, WIDTH), np.uint8)
    with open_pair(Dated("a", before), Dated("b", after)) as pair:
        for row in range(0, HEIGHT, 17):
            for col in range(0, WIDTH, 17):
                window = Window(row, col, 17, 17)
                own_hw, other_hw = pair.read(window)
                assert own_hw.shape == other_hw.shape == (17, 17)
                inside = window.clip(HEIGHT, WIDTH)
                found_hw[inside.slices] = other_hw[inside.within(window).slices]
                beyond_hw = np.ones((17, 17), bool)
                beyond_hw[inside.within(window).slices] = False
                assert (other_hw[beyond_hw] == IGNORE).all() and (own_hw[beyond_hw] == IGNORE).all()
    return found_hw


def expect_after(label_hw, transform, crs=CRS) -> tuple[np.ndarray, np.ndarray]:
    """What lies at the centre of each pixel, and whether it is well inside of a pixel."""
    rows, cols = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    x, y = Affine(*TRANSFORM) @ (cols, rows)
    if crs != CRS:
        places = rasterio.warp.transform(CRS, crs, x.ravel(), y.ravel())
        x, y = (np.reshape(axis, rows.shape) for axis in places)
    cols, rows = ~Affine(*transform) @ (x, y)
    margin = 1e-3 if crs == CRS else 0.1
    is_clear_hw = np.ones(rows.shape, bool)
    for axis in (cols, rows):
        is_clear_hw &= np.abs(axis - np.round(axis)) > margin
    rows, cols = np.floor(rows).astype(int), np.floor(cols).astype(int)
    height, width = label_hw.shape
    inside_hw = (rows >= 0) & (rows < height) & (cols >= 0) & (cols < width)
    found_hw = label_hw[rows.clip(0, height - 1), cols.clip(0, width - 1)]
    return np.where(inside_hw, found_hw, IGNORE), is_clear_hw


def test_two_maps_are_read_on_the_grid_of_the_first(tmp_path):
    maps = make_maps([0], HEIGHT, WIDTH)
    before = write_map(tmp_path / "before.tif", maps.before_hw)
    after = write_map(tmp_path / "after.tif", maps.after_hw)
    with open_pair(Dated("2013", before), Dated("2017", after)) as pair:
        before_hw, after_hw = pair.read(WHOLE)
        assert (before_hw == maps.before_hw).all() and (after_hw == maps.after_hw).all()
        assert (pair.scheme.names, pair.fit.sampling) == (SCHEME.names, "as it is")
        assert pair.probabilities is None and pair.read_probability(WHOLE) is None


@pytest.mark.parametrize(
    ("what", "transform", "crs"),
    [
        ("shifted by pixels", (1, 0, LEFT - 7, 0, -1, TOP + 4), CRS),
        ("shifted by a part of a pixel", (1, 0, LEFT + 0.4, 0, -1, TOP - 0.3), CRS),
        ("coarser", (3.7, 0, LEFT - 5, 0, -3.7, TOP + 3), CRS),
        ("south-up", (1, 0, LEFT, 0, 1, TOP - HEIGHT), CRS),
        ("rotated", (0.8, 0.6, LEFT - 10, -0.6, 0.8, TOP - 20), CRS),
        ("partly beside it", (1, 0, LEFT + 30, 0, -1, TOP - 25), CRS),
        ("in another zone", (1, 0, 920_785, 0, -1, 4_310_570), "EPSG:32617"),
        ("by longitude and latitude", (1.2e-5, 0, -76.1525, 0, -9e-6, 38.8425), "EPSG:4326"),
    ],
)
def test_the_second_map_is_what_lies_at_the_centres_of_the_first(tmp_path, what, transform, crs):
    label_hw = make_labels(90, 80)
    if crs == "EPSG:4326":
        (lon,), (lat,) = rasterio.warp.transform(CRS, crs, [LEFT - 5], [TOP + 5])
        transform = (1.2e-5, 0, lon, 0, -9e-6, lat)
    found_hw = read_after(tmp_path, label_hw, transform=transform, crs=crs)
    expected_hw, is_clear_hw = expect_after(label_hw, transform, crs)
    assert is_clear_hw.mean() > 0.5 and (expected_hw != IGNORE).any()
    assert (found_hw == expected_hw)[is_clear_hw].all()


def test_of_a_finer_map_the_most_frequent_class_of_each_pixel_counts(tmp_path):
    label_hw = make_labels(3 * HEIGHT, 3 * WIDTH)
    found_hw = read_after(tmp_path, label_hw, transform=(1 / 3, 0, LEFT, 0, -1 / 3, TOP))
    for row in range(HEIGHT):
        for col in range(WIDTH):
            own = label_hw[3 * row : 3 * row + 3, 3 * col : 3 * col + 3].ravel()
            votes = np.bincount(own, minlength=256)
            assert found_hw[row, col] == votes.argmax()


def test_a_map_of_another_place_is_refused(tmp_path):
    before = write_map(tmp_path / "before.tif", make_labels())
    away = (1, 0, LEFT + 1000, 0, -1, TOP)
    after = write_map(tmp_path / "after.tif", make_labels(), transform=away)
    with (
        pytest.raises(LcsegError, match=r"after.tif: does not overlap") as caught,
        open_pair(Dated("a", before), Dated("b", after)),
    ):
        pass
    assert "\n" not in str(caught.value)


def test_maps_without_a_crs_are_taken_pixel_on_pixel_if_that_is_wanted(tmp_path):
    nowhere = {"crs": None, "transform": None}
    before = write_map(tmp_path / "before.tif", make_labels(seed=1), **nowhere)
    after = write_map(tmp_path / "after.tif", make_labels(seed=2), **nowhere)
    other = write_map(tmp_path / "other.tif", make_labels(9, 9), **nowhere)
    first, second = Dated("a", before), Dated("b", after)
    refusal = r"before.tif: has no coordinate reference system; .*--allow_ungeoreferenced"
    with pytest.raises(LcsegError, match=refusal), open_pair(first, second):
        pass
    with open_pair(first, second, allow_ungeoreferenced=True) as pair:
        assert pair.grid.crs is None
        assert (pair.read(WHOLE)[1] == make_labels(seed=2)).all()
    refusal = r"other.tif: is 9 x 9 px, .*before.tif? ?40 x 50|other.tif: is 9 x 9 px, .* 40 x 50"
    with (
        pytest.raises(LcsegError, match=refusal),
        open_pair(first, Dated("b", other), allow_ungeoreferenced=True),
    ):
        pass


def test_maps_of_others_are_read_by_the_codes_of_a_scheme(tmp_path, make_raster):
    label_hw = make_labels(seed=3)
    codes_hw = np.array([1, 2, 3, 5, 0])[np.where(label_hw == IGNORE, 4, label_hw)]
    colors = {1: (10, 20, 30, 255), 2: (0, 90, 0, 255), 3: (9, 200, 9, 255), 5: (80, 80, 80, 255)}
    paths = [
        make_raster("u8.tif", codes_hw.astype(np.uint8), nodata=0),
        make_raster("u16.tif", codes_hw.astype(np.uint16), nodata=0),
        make_raster("i16.tif", np.where(codes_hw == 0, -1, codes_hw).astype(np.int16), nodata=-1),
        make_raster("palette.tif", codes_hw.astype(np.uint8), nodata=0, colormap=colors),
        write_map(tmp_path / "own.tif", label_hw),
    ]
    for path in paths:
        with open_pair(Dated("a", paths[0]), Dated("b", path), SCHEME) as pair:
            assert pair.scheme.names == SCHEME.names
            for found_hw in pair.read(WHOLE):
                assert (found_hw == label_hw).all()
    with (
        pytest.raises(LcsegError, match=r"u8.tif: does not name its classes; .*--classes"),
        open_pair(Dated("a", paths[0]), Dated("b", paths[1])),
    ):
        pass


def test_colours_of_a_palette_may_be_the_codes(make_raster):
    scheme = ClassScheme(
        "colours",
        (LandClass("a", "#000000", ("#0A141E",)), LandClass("b", "#111111", ("#005A00",))),
    )
    index_hw = np.random.default_rng(0).integers(0, 2, (HEIGHT, WIDTH)).astype(np.uint8)
    colors = {7: (10, 20, 30, 255), 9: (0, 90, 0, 255)}
    path = make_raster("palette.tif", 7 + 2 * index_hw, colormap=colors)
    with open_pair(Dated("a", path), Dated("b", path), scheme) as pair:
        assert (pair.read(WHOLE)[1] == index_hw).all()


def test_maps_of_unlike_classes_are_refused(tmp_path):
    turned = ClassScheme("turned", SCHEME.classes[::-1])
    before = write_map(tmp_path / "before.tif", make_labels())
    after = write_map(tmp_path / "after.tif", make_labels(), turned)
    message = r"after.tif: has the classes barren/.*before.tif has water, .*; compare maps of one"
    with (
        pytest.raises(LcsegError, match=message),
        open_pair(Dated("a", before), Dated("b", after)),
    ):
        pass


def test_16_classes_are_refused_and_15_are_not(tmp_path):
    for n in (15, 16):
        path = write_map(tmp_path / f"{n}.tif", make_labels(n=n), make_scheme(n))
        if n == 15:
            with open_pair(Dated("a", path), Dated("b", path)) as pair:
                assert pair.scheme.n_classes == 15
            continue
        with (
            pytest.raises(LcsegError, match=r"16.tif: has 16 classes, .* 15 at most; join classes"),
            open_pair(Dated("a", path), Dated("b", path)),
        ):
            pass


def test_probability_of_change_comes_from_both_maps_wherever_both_know(tmp_path):
    maps = make_maps([4], HEIGHT, WIDTH, has_probabilities=True)
    # The second says nothing, so that its probabilities may lie anywhere.
    labels = maps.before_hw, np.full_like(maps.before_hw, IGNORE)
    paths = [write_map(tmp_path / f"{i}.tif", label_hw) for i, label_hw in enumerate(labels)]
    shares = maps.shares
    moved = (1, 0, LEFT - 6, 0, -1, TOP + 3)
    probabilities = [
        write_probabilities(tmp_path / "p0.tif", shares[0]),
        write_probabilities(tmp_path / "p1.tif", shares[1], transform=moved),
    ]
    dates = [Dated(*each) for each in zip("ab", paths, probabilities, strict=True)]
    with open_pair(*dates) as pair:
        found_hw = pair.read_probability(Window(-1, -2, HEIGHT + 3, WIDTH + 5))
    assert np.isnan(found_hw[0]).all() and np.isnan(found_hw[:, :2]).all()
    assert np.isnan(found_hw[HEIGHT + 1 :]).all()
    found_hw = found_hw[1 : HEIGHT + 1, 2 : WIDTH + 2]
    n_known = 0
    for row in range(HEIGHT):
        for col in range(WIDTH):
            own, other = shares[0][row, col].astype(int), None
            if row + 3 < HEIGHT and col + 6 < WIDTH:
                other = shares[1][row + 3, col + 6].astype(int)
            if other is None or IGNORE in own or IGNORE in other:
                assert np.isnan(found_hw[row, col])
                continue
            n_known += 1
            expected = np.clip(1 - (own * other).sum() / ONE**2, 0, 1)
            assert found_hw[row, col] == pytest.approx(expected, abs=1e-6)
    assert n_known > 1000


@pytest.mark.parametrize(
    ("shape", "dtype"), [((HEIGHT, WIDTH, 3), np.uint8), ((HEIGHT, WIDTH, 4), np.float32)]
)
def test_what_are_no_probabilities_of_these_classes_is_refused(tmp_path, make_raster, shape, dtype):
    path = write_map(tmp_path / "map.tif", make_labels())
    wrong = make_raster("p.tif", np.zeros(shape, dtype))
    dates = [Dated(name, path, wrong) for name in "ab"]
    message = r"p.tif: has .* bands .*, expected uint8 and a band for each of water, .*--probabilit"
    with pytest.raises(LcsegError, match=message), open_pair(*dates):
        pass


def test_probabilities_of_one_date_alone_say_nothing(tmp_path):
    maps = make_maps([4], HEIGHT, WIDTH, has_probabilities=True)
    path = write_map(tmp_path / "map.tif", maps.before_hw)
    probabilities = write_probabilities(tmp_path / "p.tif", maps.shares[0])
    with open_pair(Dated("a", path, probabilities), Dated("b", path)) as pair:
        assert pair.probabilities is None

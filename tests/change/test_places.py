"""The largest places, held against the maps that they lie in."""

import io

import numpy as np
import pyogrio
import pytest
import rasterio
import rasterio.features
import shapely
from changed import CRS, IGNORE, SCHEME, Maps, N, expect, make_maps, opened
from conftest import write_raster
from PIL import Image
from rasterio.warp import transform

from lcseg.change import places as module
from lcseg.change.comparison import TRANSITIONS, compare
from lcseg.change.places import describe_places, draw_place, write_places
from lcseg.change.search import Rules
from lcseg.raster.class_map import open_class_map
from lcseg.raster.source import open_image

ALL = Rules()
PLACE = (2.0, 0.0, 400_000.0, 0.0, -2.0, 4_300_000.0)


def find(folder, maps, rules=ALL, block_px=1024, **where):
    """Compare maps; returns the places."""
    with opened(folder, maps, **where) as pair:
        table = compare(pair, rules, folder, block_px=block_px).places
        return describe_places(str(folder / TRANSITIONS), table, pair)


def read_polygons(path):
    meta, _, shapes, values = pyogrio.raw.read(path)
    return meta, shapely.from_wkb(shapes), dict(zip(meta["fields"], values, strict=True))


def test_places_tell_what_they_were_and_what_they_are(tmp_path):
    before_hw, after_hw = np.zeros((60, 80), np.uint8), np.zeros((60, 80), np.uint8)
    before_hw[10:20, 10:30] = 1
    after_hw[10:20, 10:28], after_hw[10:20, 28:30] = 3, 2
    after_hw[40:45, 50:60] = 2
    places = find(tmp_path, Maps(before_hw, after_hw), transform=PLACE)
    first, second = places
    assert (first.number, first.before, first.after) == (1, "tree/forest", "barren/impervious")
    assert (first.share, first.pixels, first.hectares) == (0.9, 200, pytest.approx(0.08))
    assert (first.first, first.probability) == ((10, 10), None)
    assert (second.number, second.before, second.after) == (2, "water", "grass/herbaceous")
    (lon,), (lat,) = transform(CRS, "EPSG:4326", [400_040], [4_299_970])
    assert first.lonlat == pytest.approx((lon, lat), abs=1e-7)


@pytest.mark.parametrize("block_px", [1024, 13])
@pytest.mark.parametrize(
    "transform_", [PLACE, (2.0, 0.0, 4e5, 0.0, 2.0, 4.2e6), (0.6, 0.8, 4e5, 0.8, -0.6, 4.3e6)]
)
def test_outlines_are_those_of_the_largest_places_and_have_their_area(
    tmp_path, block_px, transform_
):
    maps = make_maps([3], 70, 90)
    where = {"transform": transform_, "crs": CRS}
    places = find(tmp_path, maps, Rules(edge_tolerance_px=1, most_places=15), block_px, **where)
    write_places(tmp_path / "places.gpkg", places, str(tmp_path / TRANSITIONS))
    meta, shapes, fields = read_polygons(tmp_path / "places.gpkg")
    expected = expect(maps, 1, 0, 0)
    assert [(p.pixels, *p.first) for p in places] == expected.places[:15]
    assert rasterio.CRS.from_user_input(meta["crs"]) == rasterio.CRS.from_user_input(CRS)
    assert fields["id"].tolist() == list(range(1, 16))
    pixel_m2 = abs(transform_[0] * transform_[4] - transform_[1] * transform_[3])
    areas = shapely.area(shapes)
    assert np.allclose(areas, fields["pixels"] * pixel_m2)
    assert np.allclose(areas / 1e4, fields["hectares"])
    assert np.isnan(fields["probability"]).all()
    assert shapely.is_valid(shapes).all()
    for shape, place in zip(shapes, places, strict=True):
        own_hw = rasterio.features.rasterize([shape], (70, 90), transform=transform_)
        assert own_hw.sum() == place.pixels and own_hw[place.first] == 1
        assert (expected.change_hw | ~own_hw.astype(bool)).all()
        # The commonest transition, and its share.
        codes = expected.transitions_hw[own_hw == 1]
        counts = np.bincount(codes, minlength=N * N)
        assert place.share == pytest.approx(counts.max() / len(codes))
        found = SCHEME.names.index(place.before) * N + SCHEME.names.index(place.after)
        assert counts[found] == counts.max()


def test_probability_of_a_place_is_the_mean_where_it_is_known(tmp_path):
    before_hw, after_hw = np.zeros((30, 40), np.uint8), np.zeros((30, 40), np.uint8)
    after_hw[2:6, 2:8], after_hw[12:16, 2:6], after_hw[20:22, 20:22] = 1, 1, 1
    one = np.zeros((30, 40, N), np.uint8)
    one[..., 0] = 254
    other = one.copy()
    other[2:6, 2:8] = (0, 254, 0, 0)
    other[2:6, 5:8] = IGNORE
    other[12:16, 2:6] = (51, 203, 0, 0)
    other[20:22, 20:22] = IGNORE
    maps = Maps(before_hw, after_hw, (one, other))
    places = find(tmp_path, maps, Rules(min_confidence=0.5))
    assert [p.pixels for p in places] == [24, 16, 4]
    assert places[0].probability == 1
    assert places[1].probability == pytest.approx(203 / 254, abs=1e-6)
    # Where nothing is known, nothing is said.
    assert places[2].probability is None
    write_places(tmp_path / "places.gpkg", places, str(tmp_path / TRANSITIONS))
    *_, fields = read_polygons(tmp_path / "places.gpkg")
    assert np.isnan(fields["probability"]).tolist() == [False, False, True]


@pytest.mark.parametrize(("most", "expected"), [(0, 0), (1, 1), (100, 3)])
def test_there_are_no_more_places_than_there_are(tmp_path, most, expected):
    before_hw, after_hw = np.zeros((30, 40), np.uint8), np.zeros((30, 40), np.uint8)
    after_hw[2:6, 2:8], after_hw[12:16, 2:6], after_hw[20:22, 20:22] = 1, 1, 1
    assert len(find(tmp_path, Maps(before_hw, after_hw), Rules(most_places=most))) == expected


def test_places_without_a_crs_have_pixels_and_no_hectares(tmp_path):
    maps = make_maps([3], 40, 40)
    places = find(tmp_path, maps, crs=None, transform=None)
    assert places[0].hectares is None and places[0].lonlat is None and places[0].pixels > 1
    write_places(tmp_path / "places.gpkg", places, str(tmp_path / TRANSITIONS))
    _, shapes, fields = read_polygons(tmp_path / "places.gpkg")
    assert np.isnan(fields["hectares"]).all()
    assert np.allclose(shapely.area(shapes), fields["pixels"])


def test_of_a_place_too_large_to_trace_the_rectangle_around_it_is_given(tmp_path, monkeypatch):
    before_hw, after_hw = np.zeros((40, 50), np.uint8), np.zeros((40, 50), np.uint8)
    after_hw[5:35, 10:12], after_hw[20:22, 10:45], after_hw[1, 1] = 1, 1, 2
    maps = Maps(before_hw, after_hw)
    expected = find(tmp_path, maps, transform=PLACE)
    monkeypatch.setattr(module, "_MOST_TRACED_PX", 300)
    places = find(tmp_path, maps, transform=PLACE)
    assert [(p.before, p.after, p.pixels, p.share) for p in places] == [
        (p.before, p.after, p.pixels, p.share) for p in expected
    ]
    write_places(tmp_path / "places.gpkg", places, str(tmp_path / TRANSITIONS))
    _, shapes, _ = read_polygons(tmp_path / "places.gpkg")
    assert shapes[0].equals(shapely.box(400_020, 4_299_930, 400_090, 4_299_990))
    assert shapes[1].equals(shapely.box(400_002, 4_299_996, 400_004, 4_299_998))


def to_pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


@pytest.mark.parametrize(
    ("shape", "place"),
    [
        ((200, 220), (slice(50, 70), slice(60, 100))),
        ((200, 220), (slice(0, 3), slice(218, 220))),
        ((20, 30), (slice(2, 18), slice(2, 28))),
        ((1500, 1400), (slice(10, 1490), slice(100, 1300))),
        ((9, 900), (slice(2, 7), slice(0, 900))),
    ],
)
def test_pictures_show_a_place_at_both_dates_with_its_outline(tmp_path, shape, place):
    before_hw, after_hw = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    after_hw[place] = 1
    image_hwc = np.random.default_rng(0).integers(1, 200, (*shape, 4), np.uint8)
    path = write_raster(tmp_path / "image.tif", image_hwc)
    with opened(tmp_path, Maps(before_hw, after_hw)) as pair, open_image(path, alpha=0) as image:
        table = compare(pair, Rules(), tmp_path).places
        (found,) = describe_places(str(tmp_path / TRANSITIONS), table, pair)
        with open_class_map(str(tmp_path / TRANSITIONS)) as transitions:
            tiles = draw_place(found, pair, transitions, (image, image), ("2013", "2017"))
            maps = draw_place(found, pair, transitions, (None, image), ("2013", "2017"))
    assert [title for title, _ in tiles] == ["image, 2013", "image, 2017", "map, 2013", "map, 2017"]
    assert [title for title, _ in maps] == ["image, 2017", "map, 2013", "map, 2017"]
    pictures = [to_pixels(png) for _, png in tiles]
    assert len({picture.shape for picture in pictures}) == 1
    assert max(pictures[0].shape[:2]) <= 320
    # The first map knows water alone; on the second there is some of both, unless there is no room.
    is_line = (pictures[2] == (255, 236, 0)).all(axis=-1)
    assert (pictures[2][~is_line] == SCHEME.palette[0]).all()
    assert (pictures[3] == SCHEME.palette[1]).all(axis=-1).any()
    if shape != (1500, 1400):
        assert (pictures[0] == (255, 236, 0)).all(axis=-1).any()

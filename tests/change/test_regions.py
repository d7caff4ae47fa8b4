"""Change by region, held against shapely, pixel by pixel."""

import json

import numpy as np
import pyogrio
import pytest
import rasterio.warp
import shapely
from changed import CRS, IGNORE, Maps, N, count_pairs, make_maps, opened

from lcseg.change.comparison import compare
from lcseg.change.regions import NO_REGIONS, read_regions
from lcseg.change.search import Rules
from lcseg.errors import LcsegError
from lcseg.raster.grid import Grid, Window, cover

HEIGHT, WIDTH = 60, 80
LEFT, TOP = 400_000.0, 4_300_000.0
GRID = Grid(HEIGHT, WIDTH, (2.0, 0.0, LEFT, 0.0, -2.0, TOP), CRS)
MAPS = make_maps([2], HEIGHT, WIDTH)
RING = [(10.2, 10.4), (120.1, 15.3), (70.6, 100.7), (12.4, 60.8)]
"""In metres right of and below the first corner."""


def place(shape: shapely.Geometry) -> shapely.Geometry:
    return shapely.transform(shape, lambda xy: np.array([LEFT, TOP]) + xy * [1, -1])


def write_regions(path, shapes, crs=CRS, **fields) -> str:
    names = list(fields)
    pyogrio.raw.write(
        path,
        shapely.to_wkb(np.array(shapes, object)),
        [np.array(values) for values in fields.values()],
        names,
        driver=pyogrio.detect_write_driver(path),
        geometry_type="Unknown",
        crs=crs,
    )
    return str(path)


def expect_pixels(shape: shapely.Geometry, maps: Maps = MAPS) -> np.ndarray:
    """The pixels whose centres lie in a shape, by what they were and are."""
    rows, cols = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    x, y = GRID.affine @ (cols, rows)
    inside_hw = shapely.contains_xy(shape, x, y)
    return count_pairs(maps.before_hw[inside_hw], maps.after_hw[inside_hw])


def count_by_region(regions, block_px=23):
    tallies = regions.empty(N)
    for window in cover(HEIGHT, WIDTH, block_px):
        own = window.clip(HEIGHT, WIDTH)
        part = own.slices
        tallies = regions.add(
            tallies, own, MAPS.before_hw[part], MAPS.after_hw[part], np.full(own.height, 4.0)
        )
    return tallies


def test_change_is_summed_up_by_polygons_with_names(tmp_path):
    shapes = [place(shapely.Polygon(RING)), place(shapely.box(100, 50, 150, 110))]
    path = write_regions(tmp_path / "counties.gpkg", shapes, NAME=["Kent", "Talbot"])
    regions = read_regions(path, "NAME", GRID)
    assert regions.names == ("Kent", "Talbot")
    for block_px in (7, 23, 100):
        tallies = count_by_region(regions, block_px)
        for tally, shape in zip(tallies, shapes, strict=True):
            assert (tally.pixels == expect_pixels(shape)).all() and tally.pixels.sum() > 100
            assert np.allclose(tally.m2, 4 * tally.pixels)


def test_regions_that_cover_the_map_without_overlap_sum_to_the_whole(tmp_path):
    # Borders run through pixels at a slant, and through centres of pixels.
    cuts = [shapely.box(-9, -9, 71, 200), shapely.Polygon([(71, -9), (300, -9), (300, 91)])]
    rest = shapely.box(-9, -9, 300, 200) - shapely.union_all(cuts)
    shapes = [place(shape) for shape in (*cuts, rest)]
    path = write_regions(tmp_path / "all.gpkg", shapes)
    with opened(tmp_path, MAPS, transform=GRID.transform) as pair:
        regions = read_regions(path, "", pair.grid)
        found = compare(pair, Rules(0, 1, 20), tmp_path, regions, block_px=19)
    assert regions.names == ("region 1", "region 2", "region 3")
    assert (sum(tally.pixels for tally in found.regions) == found.filtered.pixels).all()
    assert found.filtered.pixels[N].sum() > 0
    assert all(tally.pixels.sum() > 0 for tally in found.regions)


@pytest.mark.parametrize(
    ("name", "crs"),
    [
        ("regions.gpkg", "EPSG:4326"),
        ("regions.gpkg", "EPSG:3857"),
        ("regions.geojson", "EPSG:4326"),
        ("regions.shp", "EPSG:2248"),
    ],
)
def test_regions_may_be_in_another_crs_and_format(tmp_path, name, crs):
    shape = shapely.segmentize(place(shapely.Polygon(RING)), 5)

    def to_crs(xy):
        return np.stack(rasterio.warp.transform(CRS, crs, *xy.T), axis=1)

    path = write_regions(tmp_path / name, [shapely.transform(shape, to_crs)], crs, NAME=["Kent"])
    (tally,) = count_by_region(read_regions(path, "NAME", GRID))
    off = np.abs(tally.pixels - expect_pixels(shape))
    # On the border itself, rounding decides.
    assert off.sum() <= 4


def test_regions_may_overlap_and_share_a_name_and_lie_elsewhere(tmp_path):
    shapes = [
        place(shapely.box(10, 10, 90, 90)),
        place(shapely.box(9000, 10, 9500, 90)),
        place(shapely.box(50, 50, 120, 110)),
    ]
    path = write_regions(tmp_path / "r.gpkg", shapes, NAME=["a", "far", "a"])
    regions = read_regions(path, "NAME", GRID)
    tallies = count_by_region(regions)
    assert regions.names == ("a", "far", "a")
    assert (tallies[0].pixels == expect_pixels(shapes[0])).all()
    assert (tallies[2].pixels == expect_pixels(shapes[2])).all()
    assert tallies[1].pixels.sum() == 0


def test_holes_and_several_parts_are_of_a_region(tmp_path):
    ring = place(shapely.box(10, 10, 100, 100) - shapely.box(30, 30, 60, 60))
    parts = shapely.MultiPolygon([ring, place(shapely.box(110, 4, 150, 40))])
    path = write_regions(tmp_path / "r.gpkg", [parts])
    (tally,) = count_by_region(read_regions(path, "", GRID))
    assert (tally.pixels == expect_pixels(parts)).all()


def test_features_without_a_shape_are_left_out_and_names_stay_with_theirs(tmp_path):
    shapes = [shapely.Point(LEFT, TOP), None, shapely.Polygon(), place(shapely.box(10, 10, 90, 90))]
    path = write_regions(tmp_path / "r.gpkg", shapes, NAME=["point", "none", "empty", "own"])
    regions = read_regions(path, "NAME", GRID)
    tallies = dict(zip(regions.names, count_by_region(regions), strict=True))
    assert (tallies.pop("own").pixels == expect_pixels(shapes[3])).all()
    assert all(tally.pixels.sum() == 0 for tally in tallies.values())
    assert not {"point", "none"} & set(tallies)


def test_a_polygon_that_crosses_itself_is_taken(tmp_path):
    bow = place(shapely.Polygon([(10, 10), (90, 90), (90, 10), (10, 90)]))
    path = write_regions(tmp_path / "r.gpkg", [bow])
    (tally,) = count_by_region(read_regions(path, "", GRID))
    assert abs(tally.pixels.sum() - shapely.make_valid(bow).area / 4) < 40


def test_names_may_be_numbers_or_missing(tmp_path):
    shapes = [place(shapely.box(10, 10, 90, 90)), place(shapely.box(20, 20, 90, 90))]
    path = write_regions(tmp_path / "r.gpkg", shapes, FIPS=np.array([24041, 24019]))
    assert read_regions(path, "FIPS", GRID).names == ("24041", "24019")
    path = tmp_path / "r.geojson"
    features = []
    for shape, names in zip(shapes, ({"FIPS": 24041, "NAME": "a"}, {}), strict=True):
        x, y = np.array(shape.exterior.coords).T
        ring = np.stack(rasterio.warp.transform(CRS, "EPSG:4326", x, y), axis=1).tolist()
        polygon = {"type": "Polygon", "coordinates": [ring]}
        features.append({"type": "Feature", "properties": names, "geometry": polygon})
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    assert read_regions(str(path), "FIPS", GRID).names == ("24041", "region 2")
    assert read_regions(str(path), "NAME", GRID).names == ("a", "region 2")


@pytest.mark.parametrize(
    ("shapes", "field", "message"),
    [
        ([shapely.Point(0, 0)], "", r"r.gpkg: has no polygon in it; draw the regions"),
        ([None], "", "has no polygon in it"),
        ([shapely.box(0, 0, 9, 9)], "", "none of its polygons lies on the maps"),
        ([place(shapely.box(9, 9, 99, 99))], "COUNTY", r"has no field COUNTY; it has NAME; name"),
    ],
)
def test_what_are_no_regions_of_the_map_is_refused(tmp_path, shapes, field, message):
    path = write_regions(tmp_path / "r.gpkg", shapes, NAME=["x"] * len(shapes))
    with pytest.raises(LcsegError, match=message) as caught:
        read_regions(path, field, GRID)
    assert "\n" not in str(caught.value)


def test_regions_need_a_file_and_maps_with_a_place(tmp_path):
    with pytest.raises(LcsegError, match=r"none.gpkg: does not exist"):
        read_regions(str(tmp_path / "none.gpkg"), "", GRID)
    with pytest.raises(LcsegError, match="needs maps with a CRS"):
        read_regions("any.gpkg", "", Grid(9, 9, (1, 0, 0, 0, 1, 0), None))


def test_no_regions_are_summed_up_by_none():
    whole = Window(0, 0, HEIGHT, WIDTH)
    label_hw = np.full((HEIGHT, WIDTH), IGNORE, np.uint8)
    assert NO_REGIONS.add(NO_REGIONS.empty(N), whole, label_hw, label_hw, np.ones(HEIGHT)) == ()

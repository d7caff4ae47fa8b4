"""Areas of interest, held against shapely, pixel by pixel."""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio.warp
import shapely

from lcseg.errors import LcsegError
from lcseg.raster.area import Area, Outlines, digest_area, read_area
from lcseg.raster.grid import Grid, Window

CRS = "EPSG:26918"
GRID = Grid(200, 300, (2.0, 0.0, 400_000.0, 0.0, -2.0, 4_300_000.0), CRS)
RING = [(400_100, 4_299_950), (400_420, 4_299_900), (400_300, 4_299_700), (400_100, 4_299_950)]


def write_area(path: Path, *shapes: shapely.Geometry, epsg: int = 26918) -> str:
    crs = {"type": "name", "properties": {"name": f"urn:ogc:def:crs:EPSG::{epsg}"}}
    features = [
        {"type": "Feature", "properties": {}, "geometry": shapely.geometry.mapping(shape)}
        for shape in shapes
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "crs": crs, "features": features}))
    return str(path)


@pytest.mark.parametrize("shear", [0.0, 0.7])
def test_pixels_are_inside_where_their_centres_are(tmp_path, shear):
    grid = Grid(200, 300, (2.0, shear, 400_000.0, 0.1, -2.0, 4_300_000.0), CRS)
    hole = shapely.Point(400_280, 4_299_850).buffer(30)
    polygon = shapely.Polygon(RING) - hole
    area = read_area(write_area(tmp_path / "area.geojson", polygon), grid)
    rows, cols = np.mgrid[:200, :300] + 0.5
    x, y = grid.affine @ (cols, rows)
    expected_hw = shapely.contains_xy(polygon, x, y)
    found_hw = np.zeros((200, 300), bool)
    for window in (Window(0, 0, 120, 300), Window(120, 0, 80, 170), Window(120, 170, 80, 130)):
        found_hw[window.slices] = area.read(window)
        assert area.touches(window) == bool(found_hw[window.slices].any())
    # On the border itself, rounding decides.
    near = shapely.distance(polygon.boundary, shapely.points(x, y)) < 1e-3
    assert np.array_equal(found_hw[~near], expected_hw[~near])
    inside_rows, inside_cols = np.nonzero(expected_hw)
    assert area.window.row <= inside_rows.min()
    assert area.window.row + area.window.height > inside_rows.max()
    assert area.window.width - np.ptp(inside_cols) <= 3


def test_longitudes_and_latitudes_are_what_geojson_has_by_itself(tmp_path):
    path = tmp_path / "area.geojson"
    ring = [[-76.16, 38.83], [-76.14, 38.83], [-76.14, 38.85], [-76.16, 38.83]]
    path.write_text(json.dumps({"type": "Polygon", "coordinates": [ring]}))
    area = read_area(str(path), Grid(40_000, 40_000, GRID.transform, CRS))
    assert area.window.height * area.window.width > 0
    assert not area.read(Window(0, 0, 10, 10)).any()


def test_several_polygons_are_one_area_and_one_may_lie_elsewhere(tmp_path):
    near, far = shapely.box(400_010, 4_299_900, 400_050, 4_299_950), shapely.box(0, 0, 10, 10)
    area = read_area(write_area(tmp_path / "area.geojson", near, far), GRID)
    assert area.read(GRID.window).sum() == 20 * 25
    area = read_area(write_area(tmp_path / "far.geojson", far), GRID)
    assert area.window.height * area.window.width == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "area.geojson: is no vector file that can be read"),
        ('{"type": "Point", "coordinates": [0, 0]}', "area.geojson: has no polygon in it; draw"),
    ],
)
def test_what_is_no_area_is_refused(tmp_path, text, message):
    path = tmp_path / "area.geojson"
    path.write_text(text)
    with pytest.raises(LcsegError) as caught:
        read_area(str(path), GRID)
    assert message in str(caught.value)


def test_an_area_needs_a_file_and_a_place(tmp_path):
    with pytest.raises(LcsegError, match=r"none\.geojson: does not exist"):
        read_area(str(tmp_path / "none.geojson"), GRID)
    with pytest.raises(LcsegError, match="needs an image with a CRS"):
        read_area("any.geojson", Grid(9, 9, (1, 0, 0, 0, 1, 0), None))


@pytest.mark.parametrize("epsg", [4326, 26918])
def test_area_far_larger_than_the_image_holds_all_of_it(tmp_path, epsg):
    shape = shapely.box(-179.9, -89, 179.9, 89) if epsg == 4326 else shapely.box(0, 0, 9e5, 9e6)
    area = read_area(write_area(tmp_path / "world.geojson", shape, epsg=epsg), GRID)
    assert area.window == GRID.window
    assert area.read(GRID.window).all()


def test_spike_of_a_polygon_covers_no_pixel(tmp_path):
    ring = [(400_010, 4_299_950), (400_050, 4_299_950), (400_400, 4_299_950)]
    ring += [(400_050, 4_299_950), (400_050, 4_299_900), (400_010, 4_299_900)]
    area = read_area(write_area(tmp_path / "area.geojson", shapely.Polygon(ring)), GRID)
    assert area.read(GRID.window).sum() == 20 * 25


def test_digest_is_that_of_what_is_drawn(tmp_path):
    one, other = shapely.box(0, 0, 1, 1), shapely.Polygon([(0, 0), (1, 0), (1, 1)])
    paths = [
        write_area(tmp_path / f"{i}.geojson", shape, epsg=epsg)
        for i, (shape, epsg) in enumerate([(one, 4326), (one, 4326), (other, 4326), (one, 26918)])
    ]
    digests = [digest_area(path) for path in paths]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3


@pytest.mark.parametrize("crs", [CRS, "EPSG:4326", "EPSG:3857"])
def test_each_of_many_outlines_is_to_be_had_in_the_pixels_of_a_grid(crs):
    boxes = [shapely.box(400_000 + x, 4_299_980, 400_020 + x, 4_299_990) for x in (0, 100, 9000)]
    moved = [shapely.segmentize(box, 1) for box in boxes]

    def to_crs(places):
        return np.stack(rasterio.warp.transform(CRS, crs, *places.T), axis=1)

    outlines = Outlines([shapely.transform(box, to_crs) for box in moved], crs, "places.gpkg")
    placed = outlines.place(GRID)
    assert list(placed) == [0, 1]
    for number, first in ((0, 0), (1, 50)):
        inside_hw = Area(placed[number], GRID).read(GRID.window)
        expected_hw = np.zeros((200, 300), bool)
        expected_hw[5:10, first : first + 10] = True
        assert np.array_equal(inside_hw, expected_hw)


def test_outlines_without_a_crs_are_on_grids_without_one():
    grid = Grid(20, 30, (1.0, 0.0, 0.0, 0.0, 1.0, 0.0), None)
    placed = Outlines([shapely.box(2, 3, 5, 7)], None, "places.gpkg").place(grid)
    assert placed[0].equals(shapely.box(2, 3, 5, 7))


def test_straight_lines_of_another_crs_are_bent_here():
    grid = Grid(10_000, 10_000, GRID.transform, CRS)
    box = shapely.box(-76.15, 38.75, -75.92, 38.80)
    area = Area(Outlines([box], "EPSG:4326", "places.gpkg").place(grid)[0], grid)
    seen = 0
    for first in range(1000, 9000, 700):
        rows, cols = np.mgrid[:10_000, first : first + 1] + 0.5
        x, y = grid.affine @ (cols.ravel(), rows.ravel())
        lon, lat = np.array(rasterio.warp.transform(CRS, "EPSG:4326", x, y))
        expected = shapely.contains_xy(box, lon, lat)
        assert area.read(Window(0, first, 10_000, 1))[:, 0].tolist() == expected.tolist()
        seen += expected.sum()
    assert seen > 20_000

"""What the file of a sample holds, and what is refused of it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rasterio.warp import transform

from lcseg.errors import LcsegError
from lcseg.evaluation.sample import Sample, read_sample, write_sample
from lcseg.raster.grid import Grid
from lcseg.raster.points import read_points, write_points

GRID = Grid(40, 30, (2.0, 0.0, 400_000.0, 0.0, -2.0, 4_300_000.0), "EPSG:26918")
SAMPLE = Sample(
    np.array([3, 0, 39]), np.array([5, 29, 0]), (None, "water", " Tree/Forest "), "0123abcd", 7
)


@pytest.fixture
def path(tmp_path) -> Path:
    write_sample(tmp_path / "points.gpkg", SAMPLE, GRID)
    return tmp_path / "points.gpkg"


def rewrite(path: Path, crs: str | None = None, xy=None, **fields) -> Path:
    """Write the points anew, with other fields, or a choice of them."""
    points = read_points(path)
    changed = path.with_name("changed.gpkg")
    write_points(changed, crs or GRID.crs, points.xy if xy is None else xy, points.fields | fields)
    return changed


@pytest.mark.parametrize("name", ["points.gpkg", "points.geojson", "points.shp", "points.csv"])
def test_a_sample_is_read_as_it_was_written(tmp_path, name):
    write_sample(tmp_path / name, SAMPLE, GRID)
    sample = read_sample(tmp_path / name, GRID)
    assert sample.rows.tolist() == SAMPLE.rows.tolist()
    assert sample.cols.tolist() == SAMPLE.cols.tolist()
    assert sample.references == (None, "water", "Tree/Forest")
    assert (sample.map_digest, sample.seed) == ("0123abcd", 7)


def test_points_are_the_centres_of_pixels_and_do_not_tell_the_class(path):
    points = read_points(path)
    assert points.xy.tolist() == [
        [400_011.0, 4_299_993.0],
        [400_059.0, 4_299_999.0],
        [400_001.0, 4_299_921.0],
    ]
    assert list(points.fields) == [
        *("id", "reference", "note"),
        *("row", "col", "map_digest", "drawn", "seed"),
    ]
    assert points.fields["id"].tolist() == [1, 2, 3]


def test_points_may_come_back_in_any_order_and_crs(path):
    points = read_points(path)
    order = [2, 0, 1]
    x, y = transform("EPSG:26918", "EPSG:4326", *points.xy[order].T)
    shuffled = {name: values[order] for name, values in points.fields.items()}
    changed = path.with_name("changed.geojson")
    write_points(changed, "EPSG:4326", np.stack([x, y], 1), shuffled)
    assert read_sample(changed, GRID).rows.tolist() == SAMPLE.rows.tolist()


def test_a_table_will_do(path):
    table = path.with_name("points.csv")
    fields = read_points(path).fields | {"reference": np.array(["1", "2", " "], object)}
    rows = zip(*fields.values(), strict=True)
    lines = [",".join(fields), *(",".join("" if v is None else str(v) for v in r) for r in rows)]
    table.write_text("\n".join(lines) + "\n")
    assert read_sample(table, GRID).references == ("1", "2", None)


def test_numbers_are_references_too(path):
    changed = rewrite(path, reference=np.array([1.0, np.nan, 3.0]))
    assert read_sample(changed, GRID).references == ("1", None, "3")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"id": np.array([1, 2, 2])}, "lacks 3 of the 3 points"),
        ({"id": np.array([1, 2, 4])}, "lacks 3 of the 3 points"),
        ({"drawn": np.array([2, 2, 2])}, "has points that were not drawn: 3 of the 2 points"),
        ({"seed": np.array([7, 7, 8])}, "does not hold the points of one sample"),
        ({"map_digest": np.array(["a", "a", "b"], object)}, "not hold the points of one sample"),
        ({"row": np.array(["3", "x", "39"], object)}, "field row holds what is no whole number"),
        ({"row": np.array([3, 0, 40])}, "points 3 are not on the map"),
        ({"col": np.array([-1, 29, 0])}, "points 1 are not on the map"),
        ({"row": np.array([3, 1, 39])}, "points 2 were moved off their pixels"),
    ],
)
def test_a_sample_that_is_not_as_it_was_drawn_is_refused(path, fields, message):
    with pytest.raises(LcsegError, match=rf"changed.gpkg: .*{message}"):
        read_sample(rewrite(path, **fields), GRID)


def test_a_point_that_stands_twice_is_refused(path):
    points = read_points(path)
    twice = {name: values[[0, 1, 2, 1]] for name, values in points.fields.items()}
    write_points(path.with_name("twice.gpkg"), GRID.crs, points.xy[[0, 1, 2, 1]], twice)
    with pytest.raises(LcsegError, match="holds more than once 2 of the 3 points"):
        read_sample(path.with_name("twice.gpkg"), GRID)


def test_a_point_that_was_moved_is_refused(path):
    xy = read_points(path).xy
    xy[1, 0] += 1.5
    with pytest.raises(LcsegError, match="points 2 were moved off their pixels; give the sample"):
        read_sample(rewrite(path, xy=xy), GRID)


def test_points_of_others_are_refused(tmp_path):
    write_points(tmp_path / "any.gpkg", GRID.crs, np.zeros((2, 2)), {"id": np.array([1, 2])})
    with pytest.raises(LcsegError, match="has no field row, col, drawn, seed, map_digest, refer"):
        read_sample(tmp_path / "any.gpkg", GRID)


def test_a_sample_of_another_grid_is_refused(path):
    with pytest.raises(LcsegError, match="its points lie elsewhere than the map says; give"):
        read_sample(path, replace(GRID, transform=(2.0, 0.0, 400_010.0, 0.0, -2.0, 4_300_000.0)))

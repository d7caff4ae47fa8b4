"""Maps judged, and areas estimated, by points that people have looked at."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyogrio
import pytest

from lcseg.classes import IGNORE, load_scheme
from lcseg.documents import read_document
from lcseg.errors import LcsegError
from lcseg.evaluation.area import estimate
from lcseg.evaluation.area_assessment import assess_area, label_references
from lcseg.evaluation.area_report import AreaReport
from lcseg.evaluation.config import AreaConfig, SampleConfig
from lcseg.evaluation.sample import Sample, read_sample, write_sample
from lcseg.evaluation.sampling import draw_sample
from lcseg.raster.cog import class_map_profile, write_cog
from lcseg.raster.dataset import grid_of, open_raster
from lcseg.raster.grid import Grid
from lcseg.raster.vector import read_features, write_features
from lcseg.transitions import encode, transition_scheme

SCHEME = load_scheme("chesapeake-4")
RANDOM = np.random.default_rng(0)
TRUTH_HW = RANDOM.choice(np.arange(4, dtype=np.uint8), (300, 200), p=[0.1, 0.3, 0.4, 0.2])
IS_WRONG_HW = RANDOM.random(TRUTH_HW.shape) < 0.15
MAP_HW = np.where(IS_WRONG_HW, RANDOM.integers(0, 4, TRUTH_HW.shape), TRUTH_HW).astype(np.uint8)
MAP_HW[:20] = IGNORE


@pytest.fixture
def map_path(make_raster) -> str:
    return write_map(make_raster, MAP_HW)


@pytest.fixture
def points(map_path, tmp_path) -> Path:
    """A sample of the map, with the truth filled in as names."""
    return fill_in(map_path, tmp_path / "points.gpkg")


def write_map(make_raster, label_hw: np.ndarray, name: str = "map.tif") -> str:
    codes_hw = np.where(label_hw == IGNORE, 0, label_hw + 1).astype(np.uint8)
    return make_raster(name, codes_hw, nodata=0)


def fill_in(map_path: str, path: Path, seed: int = 0, n: int = 400) -> Path:
    draw_sample(SampleConfig(map_path, str(path), n, classes=SCHEME.name, seed=seed, quiet=True))
    sample, grid = load(path, map_path)
    truth = TRUTH_HW[sample.rows, sample.cols]
    write_sample(path, replace(sample, references=tuple(SCHEME.names[i] for i in truth)), grid)
    return path


def load(path: Path, map_path: str) -> tuple[Sample, object]:
    with open_raster(map_path) as dataset:
        grid = grid_of(dataset)
    return read_sample(path, grid), grid


def assess(map_path: str, points: Path, **choices: object) -> AreaReport:
    return assess_area(
        AreaConfig(map_path, str(points), classes=SCHEME.name, quiet=True, **choices)
    )


def test_a_map_is_judged_by_points_that_were_filled_in(map_path, points, tmp_path):
    report = assess(map_path, points, out=str(tmp_path / "area"))
    sample, _ = load(points, map_path)
    counts = np.zeros((4, 4), int)
    for row, col in zip(sample.rows, sample.cols, strict=True):
        counts[MAP_HW[row, col], TRUTH_HW[row, col]] += 1
    hectares = np.bincount(MAP_HW.ravel())[:4] / 1e4
    assert report.estimates == estimate(counts, hectares, SCHEME.names)
    assert report.notes == ()
    assert report.details["points"] == "400 of 400 drawn, seed 0"
    names = {path.name for path in (tmp_path / "area").iterdir()}
    assert names == {"report.json", "report.html"}
    assert read_document(tmp_path / "area" / "report.json", AreaReport) == report


def test_no_report_is_written_where_no_folder_is_named(map_path, points, tmp_path):
    assess(map_path, points)
    assert {path.name for path in tmp_path.iterdir()} == {"map.tif", "points.gpkg"}


def test_intervals_hold_the_true_areas_in_19_of_20_samples(map_path, tmp_path):
    true = np.bincount(TRUTH_HW[20:].ravel()) / 1e4
    holds, trials = np.zeros(4), 60
    for seed in range(trials):
        points = fill_in(map_path, tmp_path / f"{seed}.geojson", seed, n=200)
        for i, land in enumerate(assess(map_path, points).estimates.classes):
            holds[i] += abs(land.hectares.value - true[i]) <= land.hectares.margin
    assert abs(holds.sum() / (4 * trials) - 0.95) < 0.04


def test_references_are_names_or_values_of_the_map(map_path, points):
    sample, grid = load(points, map_path)
    by_name = assess(map_path, points).estimates
    values = tuple(str(SCHEME.names.index(name) + 1) for name in sample.references)
    write_sample(points, replace(sample, references=values), grid)
    assert assess(map_path, points).estimates == by_name
    labels = label_references("p", ("WATER", "6", None, "Tree/Forest"), SCHEME)
    assert labels.tolist() == [0, 3, IGNORE, 1]


def test_a_reference_that_names_no_class_is_refused():
    message = r"p.gpkg: the references '15', 'lake' name no class; the classes are water \(1\), "
    with pytest.raises(LcsegError, match=message):
        label_references("p.gpkg", ("lake", "water", "15"), SCHEME)


def test_points_without_a_reference_are_refused_or_left_out_on_request(map_path, points):
    sample, grid = load(points, map_path)
    references = (None, *sample.references[1:9], None, *sample.references[10:])
    write_sample(points, replace(sample, references=references), grid)
    message = r"2 of 400 points have no reference: 1, 10; fill them in, or .* --leave_out_unfilled"
    with pytest.raises(LcsegError, match=message):
        assess(map_path, points)
    report = assess(map_path, points, leave_out_unfilled=True)
    assert sum(map(sum, report.estimates.counts)) == 398
    assert report.notes[0].startswith("2 points without a reference were left out (")
    assert report.details["points"] == "398 of 400 drawn, seed 0"


def test_a_sample_that_nobody_filled_in_is_refused(map_path, points):
    sample, grid = load(points, map_path)
    write_sample(points, replace(sample, references=(None,) * 400), grid)
    with pytest.raises(LcsegError, match="no point has a reference; fill in their field"):
        assess(map_path, points, leave_out_unfilled=True)


def test_a_map_that_was_not_sampled_is_refused(map_path, points, make_raster):
    other_hw = MAP_HW.copy()
    other_hw[299, 199] = (other_hw[299, 199] + 1) % 4
    other = write_map(make_raster, other_hw, "other.tif")
    with pytest.raises(LcsegError, match=r"other.tif: is not the map that .*points.gpkg was drawn"):
        assess(other, points)


def test_a_point_where_the_map_has_no_class_is_refused(map_path, points):
    sample, grid = load(points, map_path)
    rows = sample.rows.copy()
    rows[4] = 0
    write_sample(points, replace(sample, rows=rows), grid)
    with pytest.raises(LcsegError, match="points 5 lie where the map has no class"):
        assess(map_path, points)


def test_nothing_is_left_where_the_points_are_refused(map_path, points, tmp_path):
    points.unlink()
    with pytest.raises(LcsegError, match=r"points.gpkg: does not exist"):
        assess(map_path, points, out=str(tmp_path / "area"))
    assert [path.name for path in tmp_path.iterdir()] == ["map.tif"]


def test_a_class_with_one_point_left_is_refused(map_path, points):
    sample, grid = load(points, map_path)
    labels = MAP_HW[sample.rows, sample.cols]
    keep = (labels != 0) | (np.cumsum(labels == 0) == 1)
    references = tuple(r if k else None for r, k in zip(sample.references, keep, strict=True))
    write_sample(points, replace(sample, references=references), grid)
    with pytest.raises(LcsegError, match="fewer than two points, which tell no error; fill in"):
        assess(map_path, points, leave_out_unfilled=True)


def test_what_weakens_the_estimates_is_noted(make_raster, tmp_path):
    label_hw = np.where(np.arange(200) < 100, 0, 1)[None].repeat(100, 0).astype(np.uint8)
    label_hw[0, :5] = 2
    path = write_map(make_raster, label_hw, "plain.tif")
    points = tmp_path / "points.gpkg"
    draw_sample(SampleConfig(path, str(points), 105, classes=SCHEME.name, quiet=True))
    sample, grid = load(points, path)
    seen = label_hw[sample.rows, sample.cols].copy()
    seen[np.flatnonzero(seen == 1)[:2]] = 3
    write_sample(points, replace(sample, references=tuple(SCHEME.names[i] for i in seen)), grid)
    report = assess(path, points)
    assert report.notes == (
        "no error was seen among the 50 points of water; its interval of 0 says that errors are "
        "rare (below 6.0 %), not that there are none",
        "barren/impervious is not on the map, so what there is of it was found by chance alone",
    )
    # All five pixels of the third class are points.
    assert report.estimates.classes[2].users.margin == 0
    assert not re.search("nan|None", report.estimates.table())


def test_points_of_a_map_of_change_take_the_classes_of_both_dates(make_raster, tmp_path):
    before_hw, after_hw = TRUTH_HW, np.where(RANDOM.random(TRUTH_HW.shape) < 0.2, MAP_HW, TRUTH_HW)
    transitions = transition_scheme(SCHEME)
    path = tmp_path / "transitions.tif"
    grid = Grid(300, 200, (1.0, 0.0, 4e5, 0.0, -1.0, 4.3e6), "EPSG:26918")
    with write_cog(path, grid, class_map_profile(transitions)) as writer:
        writer.write(grid.window, encode(before_hw, after_hw, 4))
    points = tmp_path / "points.gpkg"
    draw_sample(SampleConfig(str(path), str(points), 500, min_per_class=20, quiet=True))
    fields = dict(zip(*read_table(points), strict=True))
    rows, cols = fields["row"], fields["col"]
    with pytest.raises(LcsegError, match="no point has a reference; fill in their fields before"):
        rewrite_and_assess(points, path, fields, tmp_path / "empty.gpkg")
    for name, label_hw in (("before", before_hw), ("after", after_hw)):
        # Names for some, indices for others.
        labels = label_hw[rows, cols]
        texts = [str(k) if i % 2 else SCHEME.names[k] for i, k in enumerate(labels.tolist())]
        fields[name] = np.array(texts, object)
    report = rewrite_and_assess(points, path, fields, tmp_path / "filled.gpkg")
    assert report.estimates.overall.value == pytest.approx(1)
    # The map is right, so what is estimated is what there is.
    is_known = (before_hw != IGNORE) & (after_hw != IGNORE)
    for k, flow in enumerate(report.change.classes):
        net = ((after_hw == k) & is_known).sum() - ((before_hw == k) & is_known).sum()
        assert flow.net.value == pytest.approx(net / 1e4) and 0 < flow.net.margin < 0.2
        assert flow.mapped_net == pytest.approx(net / 1e4)
    fields["after"] = np.where(fields["id"] == 7, None, fields["after"])
    with pytest.raises(LcsegError, match="points 7 have a class at one date only"):
        rewrite_and_assess(points, path, fields, tmp_path / "half.gpkg")


def read_table(path: Path) -> tuple[list[str], list[np.ndarray]]:
    meta, _, _, values = pyogrio.raw.read(path)
    return meta["fields"].tolist(), values


def rewrite_and_assess(points: Path, map_path: Path, fields: dict, out: Path) -> AreaReport:
    crs, shapes, _ = read_features(points, "Point")
    write_features(out, crs, "Point", shapes, fields)
    return assess_area(AreaConfig(str(map_path), str(out), quiet=True))

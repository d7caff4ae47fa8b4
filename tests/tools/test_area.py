"""`lcseg area`, run as a user would."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lcseg.classes import load_scheme
from lcseg.documents import read_document
from lcseg.evaluation.area_report import AreaReport
from lcseg.evaluation.config import SampleConfig
from lcseg.evaluation.sample import read_sample, write_sample
from lcseg.evaluation.sampling import draw_sample
from lcseg.raster.cog import class_map_profile, write_cog
from lcseg.raster.grid import Grid, Window

SCHEME = load_scheme("chesapeake-4")
GRID = Grid(96, 80, (1.0, 0.0, 400_000.0, 0.0, -1.0, 4_300_000.0), "EPSG:26918")


@pytest.fixture
def map_path(tmp_path) -> Path:
    map_hw = np.random.default_rng(0).integers(0, 4, (96, 80)).astype(np.uint8)
    with write_cog(tmp_path / "map.tif", GRID, class_map_profile(SCHEME)) as writer:
        writer.write(Window(0, 0, 96, 80), map_hw)
    return tmp_path / "map.tif"


@pytest.fixture
def points(map_path, tmp_path) -> Path:
    path = tmp_path / "points.gpkg"
    draw_sample(SampleConfig(str(map_path), str(path), n=240, quiet=True))
    return path


def test_areas_are_told_and_reported(lcseg, map_path, points, tmp_path):
    sample = read_sample(points, GRID)
    seen = np.random.default_rng(1).choice(SCHEME.names, 240)
    write_sample(points, replace(sample, references=tuple(seen.tolist())), GRID)
    out = tmp_path / "area"
    result = lcseg("area", f"--map={map_path}", f"--reference={points}", f"--out={out}")
    assert (result.returncode, result.stderr) == (0, "")
    report = read_document(out / "report.json", AreaReport)
    assert result.stdout == f"{report.estimates.table()}\n\nreport: {out}/report.html\n"
    assert report.scheme.names == SCHEME.names
    assert (out / "report.html").exists()


def test_points_that_nobody_looked_at_are_one_line_and_status_2(lcseg, map_path, points):
    result = lcseg("area", f"--map={map_path}", f"--reference={points}")
    assert result.returncode == 2
    assert result.stderr == (
        f"lcseg: {points}: no point has a reference; fill in their field reference\n"
    )

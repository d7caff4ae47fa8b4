"""`lcseg sample`, run as a user would."""

import numpy as np
import pytest

from lcseg.raster.points import read_points


@pytest.fixture
def map_path(make_raster) -> str:
    codes_hw = np.random.default_rng(0).integers(0, 5, (96, 80), np.uint8)
    return make_raster("map.tif", codes_hw, nodata=0)


def test_points_are_drawn_and_their_strata_are_told(lcseg, map_path, tmp_path):
    out = tmp_path / "points.gpkg"
    result = lcseg(
        "sample", f"--map={map_path}", "--classes=chesapeake-4", "--n=300", f"--out={out}"
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.endswith(f"\n\n300 points: {out}\n")
    assert "tree/forest" in result.stdout
    assert len(read_points(out).fields["id"]) == 300


def test_points_by_a_standard_error_are_as_many_as_it_takes(lcseg, map_path, tmp_path):
    result = lcseg(
        "sample",
        f"--map={map_path}",
        "--classes=chesapeake-4",
        "--standard_error=0.02",
        "--expected_accuracy=0.8",
        "--allocation=equal",
        f"--out={tmp_path}/points.geojson",
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert "\n\n400 points: " in result.stdout


def test_a_map_without_class_names_is_one_line_and_status_2(lcseg, map_path, tmp_path):
    result = lcseg("sample", f"--map={map_path}", "--n=300", f"--out={tmp_path}/points.gpkg")
    assert result.returncode == 2
    expected = f"lcseg: {map_path}: does not name its classes; give the scheme of its codes "
    assert result.stderr == f"{expected}with --classes\n"
    assert not (tmp_path / "points.gpkg").exists()

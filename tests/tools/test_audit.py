"""`lcseg audit`, as a user runs it."""

import numpy as np
import pytest

from lcseg.audit.report import AuditReport
from lcseg.documents import read_document


@pytest.fixture
def flags(lcseg, bundle, scenes, tmp_path):
    """The flags of an audit of what `lcseg predict` wrote."""
    image, probabilities = scenes / "0_image.tif", tmp_path / "probabilities.tif"
    predicted = lcseg(
        "predict",
        f"--model={bundle}",
        f"--image={image}",
        f"--out={tmp_path}/map.tif",
        f"--probabilities={probabilities}",
        "--workers=1",
        "--quiet",
    )
    assert predicted.returncode == 0
    return [
        f"--probabilities={probabilities}",
        f"--label={scenes}/0_label.tif",
        "--classes=chesapeake-4",
        f"--image={image}",
        "--edge_tolerance_px=1",
        "--quiet",
    ]


def test_places_are_found_and_told(lcseg, flags, tmp_path):
    out = tmp_path / "audit"
    result = lcseg("audit", *flags, f"--out={out}")
    assert (result.returncode, result.stderr) == (0, "")
    report = read_document(out / "report.json", AuditReport)
    paths = f"places: {out}/suspects.gpkg\nreport: {out}/report.html\n"
    assert result.stdout == f"{report.text()}\n\n{paths}"
    assert report.places
    assert sorted(path.name for path in out.iterdir()) == [
        "report.html",
        "report.json",
        "suspects.gpkg",
    ]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--out=audit"], "flags: give --folds and --data, or --model and --data, or"),
        (["--out=audit", "--data=none", "--folds=3"], "none: is not a data set"),
        (["--out=audit", "--data=none", "--model=none"], "none: is not a bundle"),
        (["--out=audit", "--data=d", "--folds=3", "--", "--data=e"], "-- --data=e: the audit"),
        (["--out=audit", "--data=d", "--model=m", "--", "--epochs=3"], "flags of lcseg train go"),
        (["--out=audit", "--data=d", "--folds=3", "--epochs=3"], "Unknown command line flag"),
    ],
)
def test_faulty_command_is_one_line_and_status_2(lcseg, tmp_path, flags, message):
    result = lcseg("audit", *flags, cwd=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("lcseg: ")
    assert message in line
    assert not list(tmp_path.iterdir())


def test_rasters_that_do_not_fit_leave_nothing(lcseg, make_raster, tmp_path):
    label = make_raster("label.tif", np.ones((8, 8), np.uint8))
    result = lcseg(
        "audit",
        f"--probabilities={label}",
        f"--label={label}",
        "--classes=chesapeake-4",
        f"--out={tmp_path}/audit",
    )
    assert result.returncode == 2
    assert "has uint8 bands band_1, expected uint8 and a band for each of" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["label.tif"]

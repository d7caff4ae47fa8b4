"""`lcseg evaluate`, run as a user would."""

import re

import numpy as np
import pytest

from lcseg.documents import read_document
from lcseg.evaluation.config import EvaluateConfig
from lcseg.evaluation.report import Report


def test_a_bundle_is_judged_and_its_scores_are_told(lcseg, bundle, dataset, tmp_path):
    out = tmp_path / "report"
    result = lcseg("evaluate", f"--model={bundle}", f"--data={dataset}", f"--out={out}", "--quiet")
    assert result.returncode == 0
    report = read_document(out / "report.json", Report)
    assert result.stdout == f"{report.text()}\n\nreport: {out}/report.html\n"
    assert (out / "report.html").exists()


def test_a_map_is_judged_by_a_label_raster(lcseg, make_raster, tmp_path):
    codes_hw = np.random.default_rng(0).integers(0, 7, (96, 80), np.uint8)
    out, label = tmp_path / "report", make_raster("lc.tif", codes_hw, nodata=0)
    result = lcseg(
        "evaluate",
        f"--map={label}",
        f"--label={label}",
        "--classes=chesapeake-4",
        f"--out={out}",
        "--quiet",
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert "overall accuracy 1.000, kappa 1.000" in result.stdout


def test_a_bundle_that_is_none_is_one_line_and_status_2(lcseg, dataset, tmp_path):
    out = tmp_path / "report"
    result = lcseg("evaluate", f"--model={dataset}", f"--data={dataset}", f"--out={out}")
    assert result.returncode == 2
    assert re.fullmatch(
        r"lcseg: .*: is not a bundle: it has no bundle.json; [^\n]*\n", result.stderr
    )
    assert not out.exists()


def test_flags_that_do_not_go_together_are_one_line_and_status_2(lcseg, tmp_path):
    result = lcseg("evaluate", f"--out={tmp_path}/report", "--model=bundle", "--map=map.tif")
    assert result.returncode == 2
    expected = "lcseg: flags: give --model and --data, or --map, --label and --classes\n"
    assert result.stderr == expected


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"probabilities": "p.tif"}, "--probabilities and --image go with --map"),
        ({"image": "i.tif"}, "--probabilities and --image go with --map"),
        ({"worst": -1}, "--label_band and --worst at least 0"),
        ({"batch": 0}, "--batch must be at least 1"),
    ],
)
def test_flags_without_a_sense_are_refused(flags, message):
    with pytest.raises(ValueError, match=message):
        EvaluateConfig("report", model="bundle", data="data", **flags)

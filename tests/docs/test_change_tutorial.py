"""The tutorial of change, run as it stands, on what the demo leaves."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
from conftest import Server

from lcseg.classes import IGNORE, load_scheme
from lcseg.documents import read_document
from lcseg.evaluation.area_report import AreaReport
from lcseg.raster.cog import read_class_map

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "change.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^    \$ lcseg (.*)$", TEXT, re.MULTILINE)
SCRIPTS = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def test_the_pictures_are_there() -> None:
    pictures = re.findall(r"!\[.+?\]\((.+?)\)", TEXT)
    assert len(pictures) == 2
    for picture in pictures:
        assert (DOCS / picture).stat().st_size > 10_000


@pytest.mark.slow
def test_every_command_runs_and_the_truth_lies_in_the_intervals(
    demo: tuple[Path, Server], lcseg: Callable[..., CompletedProcess[str]], tmp_path: Path
) -> None:
    shutil.copytree(demo[0] / "demo-run", tmp_path / "demo-run")
    change, sample, area = COMMANDS
    (script,) = SCRIPTS
    for command in (change, sample, script, area):
        if command is script:
            subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)
            continue
        result = lcseg(*shlex.split(command), cwd=tmp_path)
        assert result.returncode == 0, result.stderr
        assert "report: " in result.stdout or "points.gpkg" in result.stdout
    for name in ("flow.png", "maps.png", "transitions.tif", "report.html", "matrix.csv"):
        assert (tmp_path / "change" / name).exists()

    scheme = load_scheme("chesapeake-4")
    labels = "scenes/scene-9_label.tif", "later/label.tif"
    before_hw, after_hw = (
        scheme.encode(read_class_map(str(tmp_path / "demo-run" / path))) for path in labels
    )
    is_known_hw = (before_hw != IGNORE) & (after_hw != IGNORE)
    before, after = (
        np.bincount(label_hw[is_known_hw], minlength=4) / 1e4 for label_hw in (before_hw, after_hw)
    )
    report = read_document(tmp_path / "hectares" / "report.json", AreaReport)
    assert report.change is not None
    for flow, net in zip(report.change.classes, (after - before).tolist(), strict=True):
        assert abs(flow.net.value - net) <= flow.net.margin, f"{flow}: {net} ha"
        assert flow.net.margin < 1

"""`lcseg inspect`, as a user runs it."""

import shutil

from PIL import Image

from lcseg.records.config import InspectConfig
from lcseg.records.inspection import inspect


def test_inspect_prints_the_table_and_draws_the_preview(lcseg, dataset, tmp_path):
    preview = tmp_path / "chips.png"
    run = lcseg("inspect", str(dataset), f"--preview={preview}", "--preview_chips=2")
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    described = inspect(InspectConfig(str(dataset), quiet=True))
    assert run.stdout == f"{described}\npreview: {preview}\n"
    with Image.open(preview) as picture:
        assert picture.format == "PNG"
        picture.load()


def test_damaged_data_set_is_one_line(lcseg, dataset, tmp_path):
    folder = shutil.copytree(dataset, tmp_path / "copy")
    (folder / "val-00000.tfrecord").unlink()
    run = lcseg("inspect", str(folder))
    assert (run.returncode, run.stdout) == (2, "")
    (line,) = run.stderr.splitlines()
    assert line.startswith("lcseg: ")
    assert "val-00000.tfrecord: is missing" in line


def test_data_set_must_be_named(lcseg):
    run = lcseg("inspect")
    assert run.returncode == 2
    assert run.stderr.startswith("lcseg: ")
    assert "DATA" in run.stderr
    assert "Traceback" not in run.stderr

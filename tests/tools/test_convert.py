"""`lcseg convert`, as a user runs it."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from lcseg.records.manifest import read_manifest


@pytest.fixture
def good(make_raster) -> dict[str, str]:
    """The flags of a conversion that succeeds, of a scene in the test's own folder."""
    random = np.random.default_rng(0)
    image = make_raster("a_image.tif", random.integers(1, 255, (96, 96, 3)).astype(np.uint8))
    make_raster("a_label.tif", random.integers(1, 7, (96, 96)).astype(np.uint8))
    folder = Path(image).parent
    return {
        "classes": "chesapeake-4",
        "images": f"{folder}/*_image.tif",
        "labels": f"{folder}/*_label.tif",
        "out": f"{folder}/data",
        "chip_px": "32",
        "block_chips": "1",
    }


def as_flags(values: dict[str, str]) -> list[str]:
    return [f"--{name}={value}" for name, value in values.items()]


def spoil(folder: Path, how: str, make_raster) -> str:
    """Spoil the input of a conversion; return what the error must say."""
    image, label = folder / "a_image.tif", folder / "a_label.tif"
    if how == "truncated TIFF":
        os.truncate(image, image.stat().st_size // 2)
        return "a_image.tif: cannot be read at row "
    if how == "HTML page":
        label.write_text("<!DOCTYPE html><html><body>404 Not Found</body></html>")
        return "a_label.tif: is not a raster that can be opened"
    if how == "missing mate":
        make_raster("b_image.tif", np.ones((96, 96, 3), np.uint8))
        return "1 files have no mate: "
    if how == "unknown code":
        make_raster(label.name, np.full((96, 96), 77, np.uint8))
        return "a_label.tif: codes that 'chesapeake-4' does not name: 77 (9,216 px)"
    (folder / "data").mkdir()
    return "data: exists already"


def assert_one_line(run: subprocess.CompletedProcess[str], message: str) -> None:
    assert run.returncode == 2, run.stderr
    assert run.stdout == ""
    lines = [x for x in run.stderr.splitlines() if not x.startswith("convert: ConvertConfig(")]
    assert len(lines) == 1, run.stderr
    assert lines[0].startswith("lcseg: ")
    assert message in lines[0]


def test_convert_packs_a_folder_and_prints_what_is_in_it(lcseg, good):
    run = lcseg("convert", *as_flags(good))
    assert run.returncode == 0, run.stderr
    manifest = read_manifest(good["out"])
    assert sum(summary.chips for summary in manifest.splits.values()) == 9
    table, last = run.stdout.splitlines()[:-1], run.stdout.splitlines()[-1]
    assert last == f"3 shards from 1 scenes in {good['out']}"
    assert [line.split()[0] for line in table if line[:1] != "-" and line.split()] == [
        "split",
        "train",
        "val",
        "test",
    ]
    assert [line for line in run.stderr.splitlines() if "ConvertConfig(" not in line] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "how", ["truncated TIFF", "HTML page", "missing mate", "unknown code", "output exists"]
)
def test_input_that_is_no_good_is_one_line_and_leaves_nothing(
    lcseg, good, make_raster, tmp_path, how
):
    message = spoil(tmp_path, how, make_raster)
    before = sorted(tmp_path.rglob("*"))
    assert_one_line(lcseg("convert", *as_flags(good)), message)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.slow
def test_full_disk_is_one_line_and_leaves_nothing(lcseg, good, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system is not permitted")
    try:
        run = lcseg("convert", *as_flags({**good, "out": f"{disk}/data"}))
        left = list(disk.iterdir())
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    assert_one_line(run, "No space left on device")
    assert left == []


def test_flags_that_are_missing_or_unknown_are_one_line(lcseg, good):
    del good["classes"]
    assert_one_line(lcseg("convert", *as_flags(good)), "classes")
    run = lcseg("convert", *as_flags({**good, "clases": "chesapeake-4"}))
    assert_one_line(run, "clases")

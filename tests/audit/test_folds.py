"""Audits by models that have not seen the ground: trained, interrupted, and gone on with."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import shapely
from conftest import write_raster

from lcseg.audit.planting import plant
from lcseg.audit.report import AuditReport
from lcseg.documents import read_document
from lcseg.records.config import ConvertConfig
from lcseg.records.conversion import convert
from lcseg.records.suspects import read_suspects
from lcseg.synthetic import Landscape

pytestmark = pytest.mark.slow

LCSEG = str(Path(sys.executable).with_name("lcseg"))
TINY = ["--depth=1", "--width=2", "--crop_px=32", "--batch=2", "--epochs=4", "--steps_per_epoch=5"]
PATIENCE_S = 600.0
FINISHED = "the run is finished, there is nothing to do"


def command_of(data: Path, out: Path, *training: str) -> list[str]:
    flags = [f"--data={data}", f"--out={out}", "--folds=3", "--edge_tolerance_px=1", "--quiet"]
    return [LCSEG, "audit", *flags, "--", *(training or TINY)]


def keep_in(folder: Path, command: list[str]) -> list[str]:
    return [*command[:2], f"--keep={folder}", *command[2:]]


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)


def read_report(out: Path) -> AuditReport:
    """What an audit found, whenever that was."""
    return replace(read_document(out / "report.json", AuditReport), created="")


@pytest.fixture(scope="module")
def kept(tmp_path_factory) -> Path:
    """Where an audit that nothing disturbs keeps its folds and models."""
    return tmp_path_factory.mktemp("kept") / "folds"


@pytest.fixture(scope="module")
def undisturbed(dataset, kept, tmp_path_factory) -> AuditReport:
    """What an audit finds that nothing disturbs."""
    out = tmp_path_factory.mktemp("undisturbed") / "audit"
    result = run(keep_in(kept, command_of(dataset, out)))
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("label  ")
    return read_report(out)


@pytest.fixture
def interrupted(dataset, tmp_path) -> Iterator[subprocess.Popen[str]]:
    """An audit whose second fold is being trained, and has saved."""
    process = subprocess.Popen(
        command_of(dataset, tmp_path / "audit"), stderr=subprocess.PIPE, text=True
    )
    deadline_s = time.monotonic() + PATIENCE_S
    while not list(tmp_path.glob(".audit.partial/progress/*/run-1/checkpoints/*.index")):
        assert process.poll() is None and time.monotonic() < deadline_s
        time.sleep(0.005)
    yield process
    process.kill()
    process.wait()
    process.stderr.close()


def test_all_ground_is_audited(undisturbed, dataset):
    from lcseg.records.manifest import read_manifest

    splits = read_manifest(dataset).splits.values()
    labelled = np.sum([split.class_pixels for split in splits], axis=0)
    assert [row.pixels for row in undisturbed.classes] == labelled.tolist()
    assert undisturbed.predictions == "3 models, each for ground that it has not seen"


def test_an_audit_that_was_killed_goes_on_and_finds_the_same(
    interrupted, undisturbed, dataset, tmp_path
):
    interrupted.kill()
    interrupted.wait()
    assert not (tmp_path / "audit").exists()
    again = run(command_of(dataset, tmp_path / "audit"))
    assert again.returncode == 0, again.stderr
    # The first model is not trained again, the second goes on from where it was.
    lines = again.stderr.splitlines()
    assert [line for line in lines if line.startswith("[fold 1]") and FINISHED in line]
    (second,) = [line for line in lines if line.startswith("[fold 2]") and " weights, " in line]
    assert not second.endswith("from step 0")
    assert read_report(tmp_path / "audit") == undisturbed
    assert [path.name for path in tmp_path.iterdir()] == ["audit"]


def test_a_signal_ends_training_with_one_line(interrupted, tmp_path):
    interrupted.send_signal(signal.SIGTERM)
    _, printed = interrupted.communicate(timeout=PATIENCE_S)
    assert interrupted.returncode == 128 + signal.SIGTERM
    assert printed.splitlines()[-1] == (
        f"lcseg: {tmp_path}/audit: stopped in fold 2 of 3; "
        "the same command again goes on from there"
    )


def test_training_that_fails_ends_the_audit(dataset, tmp_path):
    result = run(command_of(dataset, tmp_path / "audit", "--depth=3", "--crop_px=20"))
    assert result.returncode == 2
    *_, cause, last = result.stderr.splitlines()
    assert cause.startswith("[fold 1] lcseg: flags: --crop_px=20 is not a multiple of 8")
    assert last == (
        "lcseg: fold 1: training ended with status 2; "
        "what it printed says why; the same command again goes on from here"
    )
    assert not (tmp_path / "audit").exists()


def test_models_that_are_kept_are_not_trained_again(undisturbed, kept, dataset, tmp_path):
    result = run(keep_in(kept, command_of(dataset, tmp_path / "audit")))
    assert result.returncode == 0, result.stderr
    assert result.stderr.count(FINISHED) == 3
    assert read_report(tmp_path / "audit") == undisturbed


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """Scenes with planted faults, and a data set of them."""
    folder = tmp_path_factory.mktemp("planted")
    scenes = {}
    for number in range(4):
        scene = plant(Landscape(384, 40 + number), share=0.03, sloppy_px=1)
        place = (1.0, 0.0, 400_000.0 + 1000 * number, 0.0, -1.0, 4_300_000.0)
        write_raster(folder / f"{number}_image.tif", scene.image_hwc, transform=place)
        write_raster(folder / f"{number}_label.tif", scene.codes_hw, transform=place)
        scenes[str(number)] = scene, place
    convert(
        ConvertConfig(
            "chesapeake-4",
            str(folder / "data"),
            f"{folder}/*_image.tif",
            f"{folder}/*_label.tif",
            chip_px=128,
            block_chips=1,
            split_buffer_px=0,
            quiet=True,
        )
    )
    return folder / "data", scenes


def test_the_first_places_are_planted_faults(planted, tmp_path):
    data, scenes = planted
    training = ("--depth=2", "--width=12", "--crop_px=64", "--batch=8", "--epochs=3")
    flags = [f"--data={data}", f"--out={tmp_path}/audit", "--folds=3", "--quiet"]
    result = run([LCSEG, "audit", *flags, "--", *training, "--steps_per_epoch=60"])
    assert result.returncode == 0, result.stderr
    _, suspects = read_suspects(tmp_path / "audit" / "suspects.gpkg")
    hits = []
    for suspect in suspects[:20]:
        scene, (_, _, west, *_) = scenes[suspect.scene]
        y, x = np.mgrid[:384, :384] + 0.5
        own_hw = shapely.contains_xy(suspect.shape, west + x, 4_300_000 - y)
        assert np.count_nonzero(own_hw) == suspect.pixels
        hits.append(scene.planted_hw[own_hw].mean() >= 0.5)
    assert len(hits) == 20 and np.mean(hits) >= 0.9

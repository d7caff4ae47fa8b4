"""The way of the data with everything in an object store, held against the same way here."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import write_raster
from runs import saved_number, weights_of

pytest.importorskip("tensorflow_io", reason="needs lcseg[io]")

from lcseg.errors import LcsegError, StoreError
from lcseg.files import exists, list_files, locate, read_bytes, write_bytes
from lcseg.records import conversion
from lcseg.records.config import ConvertConfig
from lcseg.records.conversion import convert
from lcseg.records.manifest import read_manifest
from lcseg.synthetic import Landscape, make_landscape

TRAIN = [
    *("--depth=1", "--width=2", "--crop_px=32", "--batch=2", "--epochs=2", "--steps_per_epoch=8"),
    *("--steps_per_call=1", "--checkpoint_steps=3", "--quiet"),
]
PATIENCE_S = 300


def convert_flags(scenes: Path, out: object) -> list[str]:
    return [
        "convert",
        f"--images={scenes}/*_image.tif",
        f"--labels={scenes}/*_label.tif",
        "--classes=chesapeake-4",
        "--chip_px=64",
        "--block_chips=1",
        "--shard_mb=1",
        f"--out={out}",
    ]


def train_flags(data: object, run: object) -> list[str]:
    return ["train", f"--data={data}", f"--run={run}", *TRAIN]


def wait_until(process: subprocess.Popen[str], is_true: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not is_true():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """Two scenes that give chips for several shards."""
    folder = tmp_path_factory.mktemp("scenes")
    for seed in range(2):
        scene = make_landscape(Landscape(512, seed, unlabelled_share=0.1, nodata_share=0.05))
        place = (1.0, 0.0, 400_000.0 + 1000 * seed, 0.0, -1.0, 4_300_000.0)
        write_raster(folder / f"{seed}_image.tif", scene.image_hwc, transform=place, nodata=0)
        write_raster(folder / f"{seed}_label.tif", scene.codes_hw, transform=place)
    return folder


@pytest.fixture(scope="module")
def here(scenes, tmp_path_factory):
    """The same way on a disk: data set and run."""
    folder = tmp_path_factory.mktemp("here")
    for flags in (
        convert_flags(scenes, folder / "data"),
        train_flags(folder / "data", folder / "run"),
    ):
        program = Path(sys.executable).with_name("lcseg")
        done = subprocess.run([program, *flags], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
def test_data_set_in_a_store_has_the_same_bytes(lcseg, scenes, here, place):
    done = lcseg(*convert_flags(scenes, f"{place}/data"), "--workers=2")
    assert done.returncode == 0, done.stderr
    assert f"in {place}/data\n" in done.stdout
    shards = sorted(path.name for path in (here / "data").glob("*.tfrecord"))
    assert len(shards) > 3
    for name in shards:
        assert read_bytes(locate(place) / "data" / name) == (here / "data" / name).read_bytes()
    assert list_files(locate(place) / ".data.progress") == []
    done = lcseg("inspect", f"{place}/data", f"--preview={place}/chips.png")
    assert done.returncode == 0, done.stderr
    assert "sizes, checksums and counts are right" in done.stdout
    assert read_bytes(locate(place) / "chips.png").startswith(b"\x89PNG")
    again = lcseg(*convert_flags(scenes, f"{place}/data"))
    assert (again.returncode, again.stdout) == (2, "")
    assert f"{place}/data: exists already" in again.stderr


@pytest.mark.slow
def test_conversion_that_is_killed_goes_on_and_is_no_data_set_before(
    lcseg, start, scenes, here, place
):
    process = start(*convert_flags(scenes, f"{place}/data"), "--workers=1")
    notes = locate(place) / ".data.progress"
    wait_until(process, lambda: len(list_files(notes, "part-*.json")) > 0)
    process.kill()
    process.communicate()
    if not exists(locate(place) / "data" / "dataset.json"):
        done = lcseg("inspect", f"{place}/data")
        assert done.returncode == 2
        assert "is not a data set: it has no dataset.json" in done.stderr
    done = lcseg(*convert_flags(scenes, f"{place}/data"))
    assert done.returncode == 0, done.stderr
    found = {path.name: read_bytes(path) for path in list_files(locate(place) / "data")}
    expected = {path.name: path.read_bytes() for path in (here / "data").glob("*.tfrecord")}
    assert {name: found[name] for name in found if name in expected} == expected
    assert set(found) - set(expected) == {"dataset.json", "conversion.html", "conversion.json"}
    assert list_files(notes) == []


def test_conversion_that_fails_before_anything_is_noted_leaves_nothing(monkeypatch, scenes, place):
    config = ConvertConfig(
        classes="chesapeake-4",
        out=f"{place}/data",
        images=f"{scenes}/*_image.tif",
        labels=f"{scenes}/*_label.tif",
        chip_px=64,
        workers=1,
        quiet=True,
    )

    def fail(path, outcome):
        assert list_files(locate(place) / "data")
        raise StoreError(path, "the store refuses")

    with monkeypatch.context() as patch, pytest.raises(StoreError):
        patch.setattr(conversion, "write_document", fail)
        convert(config)
    assert list_files(locate(place) / "data") == []
    manifest = convert(config)
    # Killed before it had cleared up.
    write_bytes(locate(place) / ".data.begun", b"begun\n")
    write_bytes(locate(place) / ".data.progress" / "part-00000.json", b"{}")
    with pytest.raises(LcsegError, match="exists already"):
        convert(replace(config, seed=1))
    assert read_manifest(f"{place}/data") == manifest
    assert list_files(locate(place) / "data", "*.tfrecord")
    assert [path.name for path in list_files(locate(place), ".*")] == []


@pytest.mark.slow
def test_run_in_a_store_goes_on_and_ends_as_one_here(lcseg, start, here, scenes, place, tmp_path):
    assert lcseg(*convert_flags(scenes, f"{place}/data")).returncode == 0
    flags = train_flags(f"{place}/data", f"{place}/run")
    for number, status in ((signal.SIGTERM, 128 + signal.SIGTERM), (signal.SIGKILL, -9)):
        before = saved_number(f"{place}/run")
        process = start(*flags)
        wait_until(process, lambda at=before: saved_number(f"{place}/run") > at)
        process.send_signal(number)
        _, errors = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == status, errors
    done = lcseg(*flags)
    assert done.returncode == 0, done.stderr
    assert f"bundle: {place}/run/bundle\n" in done.stdout
    assert weights_of(f"{place}/run") == weights_of(here / "run")
    events = locate(place) / "run" / "tensorboard" / "train"
    assert list_files(events, "events.out.tfevents.*")

    image = scenes / "0_image.tif"
    for model, out in ((f"{place}/run/bundle", "there.tif"), (here / "run/bundle", "here.tif")):
        done = lcseg("predict", f"--model={model}", f"--image={image}", f"--out={tmp_path / out}")
        assert done.returncode == 0, done.stderr
    pixels = [(tmp_path / name).stat().st_size for name in ("there.tif", "here.tif")]
    assert pixels[0] == pixels[1]
    done = lcseg(
        "evaluate",
        f"--model={place}/run/bundle",
        f"--data={place}/data",
        f"--out={tmp_path / 'report'}",
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_two_workers_share_data_and_run_in_a_store(lcseg, scenes, place):
    assert lcseg(*convert_flags(scenes, f"{place}/data")).returncode == 0
    train = train_flags(f"{place}/data", f"{place}/run")
    done = lcseg("launch", "--workers=2", "--", *train)
    assert done.returncode == 0, done.stderr
    assert "restarts: 0" in done.stderr + done.stdout
    assert saved_number(f"{place}/run") > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("verb", "says"),
    [
        ("inspect --data={}", "is not a data set: it has no dataset.json"),
        ("train --data={} --run={}", "is not a data set"),
        ("predict --model={} --image=a.tif --out=map.tif", "is not a bundle: it has no bundle"),
        ("predict --model=a --image=a.tif --out={}", "is in a store; write it here"),
    ],
)
def test_faulty_command_is_one_line_and_its_status_is_true(lcseg, place, verb, says):
    done = lcseg(*(word.replace("{}", f"{place}/none") for word in verb.split()))
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert says in done.stderr
    assert done.stderr.count("\n") == 1

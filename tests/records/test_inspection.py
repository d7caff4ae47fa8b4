"""Reading a data set back."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lcseg.errors import LcsegError
from lcseg.records.config import InspectConfig
from lcseg.records.inspection import inspect
from lcseg.records.manifest import read_manifest
from lcseg.records.shards import file_sha256


@pytest.fixture
def copy(dataset: Path, tmp_path: Path) -> Path:
    """A data set that may be damaged."""
    return Path(shutil.copytree(dataset, tmp_path / "copy"))


def inspect_quietly(folder: Path, **options: object) -> str:
    return inspect(InspectConfig(str(folder), quiet=True, **options))


def rewrite(folder: Path, change) -> None:
    path = folder / "dataset.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def assert_refused(folder: Path, message: str) -> None:
    with pytest.raises(LcsegError, match=message) as error:
        inspect_quietly(folder)
    assert "\n" not in str(error.value)
    assert str(folder) in str(error.value)


def test_whole_data_set_is_described_and_drawn(dataset, tmp_path):
    text = inspect_quietly(dataset, preview=str(tmp_path / "chips.png"))
    manifest = read_manifest(dataset)
    rows = [line.split() for line in text.splitlines() if line.split()]
    chips = {row[0]: row[1] for row in rows if row[0] in manifest.splits}
    assert chips == {split: str(s.chips) for split, s in manifest.splits.items()}
    assert f"{sum(s.records for s in manifest.shards)} chips of 64 px" in text
    assert "uint8, 1 m pixels" in text
    assert "from 3 scenes; sizes, checksums and counts are right" in text
    with Image.open(tmp_path / "chips.png") as picture:
        pixels = np.asarray(picture.convert("RGB"))
    assert min(pixels.shape[:2]) > 200
    colors = {tuple(color) for color in pixels.reshape(-1, 3)[::7].tolist()}
    assert {tuple(color) for color in manifest.class_scheme.palette.tolist()} <= colors


def test_shares_of_the_classes_are_those_of_the_labelled_pixels(dataset):
    text = inspect_quietly(dataset)
    summary = read_manifest(dataset).splits["train"]
    (row,) = [line for line in text.splitlines() if line.split()[:1] == ["train"]]
    shares = [100 * n / sum(summary.class_pixels) for n in summary.class_pixels]
    pixels = sum(summary.class_pixels) + summary.ignored_pixels
    shares.append(100 * summary.ignored_pixels / pixels)
    assert row.replace("%", "").split()[2:] == [f"{share:.1f}" for share in shares]


@pytest.mark.parametrize("n", [1, 2, 7, 1000])
def test_preview_shows_as_many_chips_as_there_are(dataset, tmp_path, n):
    inspect_quietly(dataset, preview=str(tmp_path / "chips.png"), preview_chips=n)
    with Image.open(tmp_path / "chips.png") as picture:
        # Two chips stand beside each other in a row of 3.2 inches.
        rows = -(-min(n, 27) // 2)
        assert picture.height == pytest.approx((3.2 * rows + 0.6) * 110, abs=2)


def test_preview_of_no_chips_is_refused():
    with pytest.raises(ValueError, match="--preview_chips is 0, expected at least 1"):
        InspectConfig("data", preview_chips=0)


def test_missing_shard_is_named(copy):
    (copy / "val-00000.tfrecord").unlink()
    assert_refused(copy, r"val-00000\.tfrecord: is missing; convert again")


@pytest.mark.parametrize("at", [0, 1000, -1])
def test_changed_byte_is_found(copy, at):
    path = copy / "train-00000.tfrecord"
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    assert_refused(copy, r"train-00000\.tfrecord: its checksum differs from the manifest's")


def test_truncated_shard_is_found(copy):
    path = copy / "train-00000.tfrecord"
    path.write_bytes(path.read_bytes()[:-1])
    assert_refused(copy, r"train-00000\.tfrecord: has .* bytes, manifest .*; convert again")


def test_shards_that_changed_places_are_found(copy):
    one, other = copy / "val-00000.tfrecord", copy / "test-00000.tfrecord"
    one.rename(copy / "kept")
    other.rename(one)
    (copy / "kept").rename(other)
    assert_refused(copy, "(checksum differs|has .* bytes)")


def test_changed_class_counts_are_found(copy):
    def change(document):
        document["splits"]["val"]["class_pixels"][0] += 1

    rewrite(copy, change)
    assert_refused(copy, r"class counts of val are \[.*\], manifest \[")


def test_changed_record_counts_are_found(copy):
    def change_split(document):
        document["splits"]["train"]["chips"] += 1

    def change_both(document):
        change_split(document)
        document["shards"][0]["records"] += 1

    rewrite(copy, change_both)
    assert_refused(copy, r"train-00000\.tfrecord: holds \d+ records, manifest \d+")
    rewrite(copy, lambda document: document["shards"][0].update(records=1))
    assert_refused(copy, r"dataset\.json: .*splits\.train has \d+ chips, its shards 1")


def test_records_of_another_size_are_found_with_their_shard(copy):
    rewrite(copy, lambda document: document.update(chip_px=32))
    assert_refused(copy, r"train-00000\.tfrecord: a record does not fit the manifest: shape: is")


def test_damaged_record_under_a_right_checksum_is_found(copy):
    path = copy / "train-00000.tfrecord"
    data = bytearray(path.read_bytes())
    data[500] ^= 1
    path.write_bytes(data)
    rewrite(copy, lambda document: document["shards"][0].update(sha256=file_sha256(path)))
    assert_refused(copy, r"train-00000\.tfrecord: is damaged: ")


def test_folder_that_is_no_data_set_is_refused(tmp_path):
    assert_refused(tmp_path, "is not a data set")

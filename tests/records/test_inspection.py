"""Reading a data set back."""

import json
import shutil
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from lcseg.errors import LcsegError
from lcseg.records import inspection
from lcseg.records.codec import read_histogram
from lcseg.records.config import InspectConfig
from lcseg.records.inspection import inspect
from lcseg.records.manifest import read_manifest
from lcseg.records.shards import file_crc32c, read_shard, write_shard


@pytest.fixture
def copy(dataset: Path, tmp_path: Path) -> Path:
    """A data set that may be damaged."""
    return Path(shutil.copytree(dataset, tmp_path / "copy"))


def shard_of(folder: Path, split: str) -> Path:
    """The first shard of a split."""
    return folder / read_manifest(folder).shards_of(split)[0].file


def describe_shard(folder: Path, path: Path, **fields: object) -> None:
    """Change what the manifest says of a shard."""

    def change(document):
        (shard,) = (shard for shard in document["shards"] if shard["file"] == path.name)
        shard.update(fields)

    rewrite(folder, change)


def inspect_quietly(folder: Path, **options: object) -> str:
    return inspect(InspectConfig(str(folder), quiet=True, **options))


def rewrite(folder: Path, change) -> None:
    path = folder / "dataset.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def rewrite_shard(folder: Path, change) -> Path:
    """Change the records of a shard of the training split, and describe it rightly."""
    path = shard_of(folder, "train")
    examples = [tf.train.Example.FromString(record) for record in read_shard(path)]
    change(examples)
    with write_shard(path, "train") as writer:
        for example in examples:
            writer.write(example.SerializeToString(deterministic=True))
    describe_shard(folder, path, **vars(writer.info))
    return path


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
        # Two chips stand beside each other in a row of 2.9 inches.
        total = sum(summary.chips for summary in read_manifest(dataset).splits.values())
        rows = -(-min(n, total) // 2)
        assert picture.height == pytest.approx((2.9 * rows + 0.6) * 110, abs=2)


def test_preview_names_split_and_scene_of_each_chip(dataset, tmp_path, monkeypatch):
    titles = []
    draw = inspection.draw_pairs
    monkeypatch.setattr(
        inspection, "draw_pairs", lambda *given: titles.extend(given[0]) or draw(*given)
    )
    inspect_quietly(dataset, preview=str(tmp_path / "chips.png"), preview_chips=9)
    named = [tuple(title.split()) for title in titles]
    assert len(named) == 9
    assert {split for split, _ in named} == {"train", "val", "test"}
    assert {scene for _, scene in named} == {s.key for s in read_manifest(dataset).sources}


def test_long_name_is_cut_in_its_middle():
    name = f"wv_1m_{'x' * 80}_naip-new"
    short = inspection.shorten(name)
    assert len(short) <= 48
    assert (short[:6], short[-8:]) == ("wv_1m_", "naip-new")
    assert inspection.shorten("scene-1") == "scene-1"


def test_data_set_is_read_a_chip_at_a_time(copy):
    path, spec = shard_of(copy, "train"), read_manifest(copy).spec
    with write_shard(path, "train") as writer:
        for record in list(read_shard(path)) * 40:
            writer.write(record)
    counts = sum(read_histogram(spec, record) for record in read_shard(path))

    def keep_that_shard_alone(document):
        document["shards"] = [vars(writer.info)]
        document["splits"] = {
            "train": {
                "chips": writer.info.records,
                "class_pixels": counts[:-1].tolist(),
                "ignored_pixels": int(counts[-1]),
            }
        }

    rewrite(copy, keep_that_shard_alone)
    tracemalloc.start()
    inspect_quietly(copy)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert writer.info.records >= 80
    assert peak_bytes < 20 * spec.chip_bytes


def test_preview_of_no_chips_is_refused():
    with pytest.raises(ValueError, match="--preview_chips is 0, expected at least 1"):
        InspectConfig("data", preview_chips=0)


def test_missing_shard_is_named(copy):
    path = shard_of(copy, "val")
    path.unlink()
    assert_refused(copy, f"{path.name}: is missing; convert again")


@pytest.mark.parametrize("at", [0, 1000, -1])
def test_changed_byte_is_found(copy, at):
    path = shard_of(copy, "train")
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    assert_refused(copy, f"{path.name}: its checksum differs from the manifest's")


def test_truncated_shard_is_found(copy):
    path = shard_of(copy, "train")
    path.write_bytes(path.read_bytes()[:-1])
    assert_refused(copy, f"{path.name}: has .* bytes, manifest .*; convert again")


def test_shard_that_was_cut_between_two_records_is_found(copy):
    path = shard_of(copy, "train")
    length = int.from_bytes(path.read_bytes()[:8], "little")
    path.write_bytes(path.read_bytes()[: length + 16])
    assert len(list(read_shard(path))) == 1
    assert_refused(copy, f"{path.name}: has .* bytes, manifest .*; convert again")


def test_shards_that_changed_places_are_found(copy):
    one, other = shard_of(copy, "val"), shard_of(copy, "test")
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
    first = read_manifest(copy).shards_of("train")[0]

    def change_split(document):
        document["splits"]["train"]["chips"] += 1

    describe_shard(copy, copy / first.file, records=first.records + 1)
    assert_refused(copy, r"dataset\.json: .*splits\.train has \d+ chips, its shards \d+")
    rewrite(copy, change_split)
    assert_refused(copy, f"{first.file}: holds {first.records} records, manifest \\d+")


def test_records_of_another_size_are_found_with_their_shard(copy):
    rewrite(copy, lambda document: document.update(chip_px=32))
    name = read_manifest(copy).shards[0].file
    assert_refused(copy, f"{name}: a record does not fit the manifest: shape: is")


def test_damaged_record_under_a_right_checksum_is_found(copy):
    path = shard_of(copy, "train")
    data = bytearray(path.read_bytes())
    data[500] ^= 1
    path.write_bytes(data)
    describe_shard(copy, path, crc32c=file_crc32c(path))
    assert_refused(copy, f"{path.name}: is damaged at the record that begins at byte 0; ")


def test_histogram_that_is_not_the_labels_is_found_with_its_shard(copy):
    def change(examples):
        counts = examples[1].features.feature["histogram"].int64_list.value
        counts[0], counts[1] = counts[1] + 1, counts[0] - 1

    path = rewrite_shard(copy, change)
    assert_refused(copy, rf"{path.name}: a record does not fit .*: histogram: is \(")


def test_data_set_of_a_newer_minor_version_with_keys_of_its_own_is_whole(copy):
    def change(examples):
        for example in examples:
            example.features.feature["cloud_share"].float_list.value.append(0.5)

    rewrite_shard(copy, change)
    rewrite(copy, lambda document: document.update(format_version="2.7", mood="good"))
    assert "sizes, checksums and counts are right" in inspect_quietly(copy)


def test_folder_that_is_no_data_set_is_refused(tmp_path):
    assert_refused(tmp_path, "is not a data set")

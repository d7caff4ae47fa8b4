"""`dataset.json`."""

import json
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest

from lcseg.classes import load_scheme
from lcseg.errors import LcsegError
from lcseg.records.manifest import (
    BandStatistics,
    ChangeInfo,
    CorrectionsInfo,
    Manifest,
    ShardInfo,
    SourceInfo,
    SplitSummary,
    read_manifest,
    write_manifest,
)
from lcseg.records.spec import RecordSpec

MANIFEST = Manifest(
    format="lcseg-dataset",
    format_version="2.1",
    created_by="tests",
    chip_px=64,
    bands=("red", "nir ä"),
    dtype="uint16",
    compression="zlib",
    pixel_m=0.1 + 0.2,
    class_scheme=load_scheme("chesapeake-4"),
    statistics=BandStatistics(5, (1 / 3, 2e9), (1e-12, 1.0), (0.0, 2e9), (1.0, 2e9)),
    splits={
        "train": SplitSummary(3, (1, 2, 3, 4), 5),
        "val": SplitSummary(0, (0, 0, 0, 0), 0),
    },
    shards=(
        ShardInfo("train-00000.tfrecord", "train", 2, 100, "a" * 8),
        ShardInfo("train-00001.tfrecord", "train", 1, 50, "b" * 8),
    ),
    sources=(
        SourceInfo("a", "a.tif", "b.tif", 70, 64, (1, 0, 5, 0, -1, 9), None, "2023-06-15", 3),
    ),
    settings={"chip_px": 64, "quiet": False, "val_share": 0.15, "images": "*.tif"},
    corrections=CorrectionsInfo(
        "suspects.gpkg",
        "c" * 64,
        {"wrong": 2, "right": 0, "unsure": 1, "open": 9},
        4,
        3,
        (ChangeInfo(None, "water", 4), ChangeInfo("water", None, 3)),
    ),
)


@pytest.fixture
def altered(tmp_path: Path):
    """A function that writes a manifest with some fields changed: ("splits.val.chips", 7)."""

    def write(**changes: object) -> Path:
        write_manifest(tmp_path, MANIFEST)
        document = json.loads((tmp_path / "dataset.json").read_text())
        for path, value in changes.items():
            *parents, name = path.split(".")
            place = document
            for parent in parents:
                place = place[int(parent) if parent.isdigit() else parent]
            place[name] = value
        (tmp_path / "dataset.json").write_text(json.dumps(document))
        return tmp_path

    return write


def test_manifest_is_written_and_read_back(tmp_path):
    write_manifest(tmp_path, MANIFEST)
    manifest = read_manifest(tmp_path)
    assert manifest == MANIFEST
    assert {k: type(v) for k, v in manifest.settings.items()} == {
        k: type(v) for k, v in MANIFEST.settings.items()
    }
    assert [path.name for path in tmp_path.iterdir()] == ["dataset.json"]


def test_manifest_tells_the_spec_and_the_parts_of_a_split():
    assert MANIFEST.spec == RecordSpec(64, 2, "uint16", 4, "zlib")
    assert MANIFEST.shards_of("train") == MANIFEST.shards
    assert MANIFEST.shards_of("val") == ()
    assert [MANIFEST.chips_of(split) for split in ("train", "val", "test")] == [3, 0, 0]


def test_digest_changes_with_the_content_and_the_order_of_the_shards_alone():
    first, second = MANIFEST.shards
    assert len(MANIFEST.digest) == 64
    for shards in (
        (second, first),
        (first,),
        (replace(first, crc32c="c" * 8), second),
        (replace(first, bytes=101), second),
        (replace(first, records=3), second),
        (replace(first, split="val"), second),
    ):
        splits = {
            split: replace(summary, chips=sum(s.records for s in shards if s.split == split))
            for split, summary in MANIFEST.splits.items()
        }
        assert replace(MANIFEST, shards=shards, splits=splits).digest != MANIFEST.digest
    moved = replace(MANIFEST, shards=(replace(first, file="x.tfrecord"), second))
    assert replace(moved, created_by="others", settings={}).digest == MANIFEST.digest


def test_folder_without_a_manifest_is_no_data_set(tmp_path):
    with pytest.raises(LcsegError, match=r"is not a data set: it has no dataset\.json; make one"):
        read_manifest(tmp_path)
    with pytest.raises(LcsegError, match="is not a data set"):
        read_manifest(tmp_path / "nowhere")


@pytest.mark.parametrize("version", ["1.0", "3.0", "20.0", "0.9", "2", "2.", "v2.0", "", "one"])
def test_other_major_version_is_refused_even_if_nothing_else_can_be_read(altered, version):
    folder = altered(format_version=version, bands=7, shards="moved elsewhere")
    with pytest.raises(
        LcsegError, match=f"has format version {version}, this lcseg reads 2.1; use"
    ):
        read_manifest(folder)


def test_newer_minor_version_is_read_and_its_unknown_fields_passed_over(altered):
    folder = altered(**{"format_version": "2.7", "mood": "good", "shards.0.mood": 1})
    assert read_manifest(folder) == replace(MANIFEST, format_version="2.7")


def test_older_minor_version_is_read_without_what_it_did_not_have(altered):
    folder = altered(format_version="2.0")
    document = json.loads((folder / "dataset.json").read_text())
    del document["corrections"]
    (folder / "dataset.json").write_text(json.dumps(document))
    assert read_manifest(folder) == replace(MANIFEST, format_version="2.0", corrections=None)


def test_document_of_another_format_is_refused(altered):
    with pytest.raises(LcsegError, match="format is 'lcseg-bundle', expected 'lcseg-dataset'"):
        read_manifest(altered(format="lcseg-bundle"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the document: Invalid JSON"),
        ('{"format": "lcseg-data', "the document: Invalid JSON"),
        ("[]", "the document"),
        ("{}", "format: Field required"),
        ('{"format": "lcseg-dataset"}', "format_version: Field required"),
        ('{"format": "lcseg-dataset", "format_version": "2.1"}', "created_by: Field required"),
    ],
)
def test_broken_document_is_refused_with_what_is_wrong(tmp_path, text, message):
    (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(LcsegError, match=message) as error:
        read_manifest(tmp_path)
    assert str(error.value).startswith(f"{tmp_path}/dataset.json: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("chip_px", "wide", "chip_px: Input should be a valid integer"),
        ("chip_px", 0, "chips of 0 px"),
        ("bands", [], "with 0 bands"),
        ("dtype", "colour", "dtype is 'colour', expected one of uint8"),
        ("compression", "gzip", "compression is 'gzip', expected one of none, zlib"),
        ("compression", None, "compression: Input should be a valid string"),
        ("sources.0.date", None, r"sources\.0\.date: Input should be a valid string"),
        ("class_scheme.classes", [], "class_scheme: .*0 classes, expected 2 to 254"),
        ("class_scheme.mood", [], "class_scheme.mood: there is no such field"),
        ("shards.1.crc32c", None, r"shards\.1\.crc32c: Input should be a valid string"),
        ("shards.1.split", "dev", r"splits that are not described: \['dev'\]"),
        *(
            ("shards.1.file", file, rf"shard '{re.escape(file)}' is not the plain name of a file")
            for file in ("../a.tfrecord", "/tmp/a.tfrecord", "sub/a", "./a", "a/", "", ".", "..")
        ),
        ("shards.1.file", "train-00000.tfrecord", "'train-00000.tfrecord' is listed 2 times"),
        ("splits.val.chips", 7, "splits.val has 7 chips, its shards 0"),
        ("splits.val.class_pixels", [0, 0], "splits.val counts 2 classes of 4"),
        ("statistics.mean", [1.0], "statistics.mean has 1 numbers for 2 bands"),
        ("statistics.std", [1.0, None], r"statistics\.std\.1"),
        ("corrections.changes.0.pixels", "many", r"corrections\.changes\.0\.pixels: Input should"),
    ],
)
def test_field_that_does_not_fit_is_named(altered, field, value, message):
    changes = {field: value}
    if field == "shards.1.split":
        changes["splits.train.chips"] = 2
    with pytest.raises(LcsegError, match=message):
        read_manifest(altered(**changes))


def test_failed_write_leaves_the_manifest_that_was_there(tmp_path, monkeypatch):
    write_manifest(tmp_path, MANIFEST)

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        write_manifest(tmp_path, replace(MANIFEST, created_by="others"))
    assert read_manifest(tmp_path) == MANIFEST
    assert [path.name for path in tmp_path.iterdir()] == ["dataset.json"]

"""Folds of a data set, held against what its records say by numpy alone."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import write_raster

from lcseg.errors import LcsegError
from lcseg.records import folds as module
from lcseg.records import groups
from lcseg.records.codec import decode_chip, encode_chip
from lcseg.records.config import ConvertConfig, InspectConfig
from lcseg.records.conversion import convert
from lcseg.records.folds import make_folds
from lcseg.records.inspection import inspect
from lcseg.records.manifest import read_manifest, write_manifest
from lcseg.records.shards import read_shard, write_shard
from lcseg.records.spec import Chip

FOLDS = 4
SHAPES = {"2019": (120, 110), "2021": (120, 110), "beside": (100, 130), "far": (70, 70)}
CORNERS = {"2019": (0, 0), "2021": (0, 0), "beside": (60, 40), "far": (5000, 0)}
"""Row and column of a scene on the ground, in whole pixels: two dates, and one that overlaps."""


def write_scene(folder: Path, key: str) -> None:
    random = np.random.default_rng(len(key) + int(key[-1:].isdigit() and key[-1]))
    image_hwc = random.integers(0, 200, (*SHAPES[key], 3)).astype(np.uint8)
    codes_hw = random.integers(0, 7, SHAPES[key]).astype(np.uint8)
    image_hwc[:9, 30:70] = 0
    codes_hw[40:60, 20:50] = 0
    row, col = CORNERS[key]
    place = (1.0, 0.0, 400_000.0 + col, 0.0, -1.0, 4_300_000.0 - row)
    write_raster(folder / f"{key}_image.tif", image_hwc, transform=place)
    write_raster(folder / f"{key}_label.tif", codes_hw, transform=place)


def configure(folder: Path, **changes: object) -> ConvertConfig:
    config = ConvertConfig(
        classes="chesapeake-4",
        out=str(folder / "data"),
        images=f"{folder}/*_image.tif",
        labels=f"{folder}/*_label.tif",
        chip_px=16,
        block_chips=2,
        split_buffer_px=4,
        workers=1,
        quiet=True,
    )
    return replace(config, **changes)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    for key in SHAPES:
        write_scene(folder, key)
    convert(configure(folder))
    return folder / "data"


@pytest.fixture(scope="module")
def folds(data: Path) -> list[Path]:
    return make_folds(str(data), FOLDS, str(data.with_name("folds")), quiet=True)


def read_records(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Split and record of every chip of a data set."""
    for shard in read_manifest(folder).shards:
        for record in read_shard(folder / shard.file):
            yield shard.split, record


def read_chips(folder: Path) -> Iterator[tuple[str, Chip]]:
    spec = read_manifest(folder).spec
    for split, record in read_records(folder):
        yield split, decode_chip(spec, record)


def find_ground(chip: Chip) -> set[tuple[int, int]]:
    """The pixels of the ground that a chip shows, by row and column."""
    row, col = CORNERS[chip.source]
    is_shown = chip.image_hwc.any(axis=2) | (chip.label_hw != 255)
    rows, cols = np.nonzero(is_shown)
    return set(zip((row + chip.row + rows).tolist(), (col + chip.col + cols).tolist(), strict=True))


def hash_files(folders: list[Path]) -> dict[str, str]:
    return {
        f"{folder.name}/{path.name}": hashlib.sha256(path.read_bytes()).hexdigest()
        for folder in folders
        for path in sorted(folder.iterdir())
    }


def test_each_chip_is_for_testing_in_one_fold_and_in_every_fold_once(data, folds):
    assert [folder.name for folder in folds] == [f"fold-{k}" for k in range(FOLDS)]
    everything = Counter(record for _, record in read_records(data))
    tested: Counter[bytes] = Counter()
    for fold in folds:
        own = list(read_records(fold))
        assert Counter(record for _, record in own) == everything
        assert {split for split, _ in own} == {"train", "val", "test"}
        tested += Counter(record for split, record in own if split == "test")
    assert tested == everything


def test_every_fold_is_a_whole_data_set(folds):
    for fold in folds:
        assert "sizes, checksums and counts are right" in inspect(
            InspectConfig(data=str(fold), quiet=True)
        )
        files = {path.name for path in fold.iterdir()}
        assert files == {"dataset.json", *(shard.file for shard in read_manifest(fold).shards)}


def test_no_pixel_of_the_ground_is_in_two_splits_of_a_fold(folds):
    for fold in folds:
        ground: dict[str, set[tuple[int, int]]] = {"train": set(), "val": set(), "test": set()}
        for split, chip in read_chips(fold):
            ground[split] |= find_ground(chip)
        train, val, test = ground.values()
        assert train and val and test
        assert not train & val and not train & test and not val & test


def test_dates_and_neighbours_of_the_tested_ground_are_tested_with_it(folds):
    """The two dates and the overlapping scene are there to be dealt apart, if anything could."""
    seen: dict[tuple[int, int], set[str]] = {}
    for _, chip in read_chips(folds[0]):
        for pixel in find_ground(chip):
            seen.setdefault(pixel, set()).add(chip.source)
    shown_by = Counter(frozenset(scenes) for scenes in seen.values())
    assert shown_by[frozenset({"2019", "2021"})] > 1000
    assert shown_by[frozenset({"2019", "2021", "beside"})] > 500


def test_statistics_and_counts_of_a_fold_are_those_of_its_records(data, folds):
    before = read_manifest(data)
    for fold in folds:
        manifest = read_manifest(fold)
        pixels, chips = [], Counter()
        counts = {split: np.zeros(256, int) for split in ("train", "val", "test")}
        of_scene: Counter[str] = Counter()
        for split, chip in read_chips(fold):
            chips[split] += 1
            of_scene[chip.source] += 1
            counts[split] += np.bincount(chip.label_hw.ravel(), minlength=256)
            if split == "train":
                is_shown = chip.image_hwc.any(axis=2) | (chip.label_hw != 255)
                pixels.append(chip.image_hwc[is_shown].astype(float))
        values = np.concatenate(pixels)
        assert manifest.statistics.pixels == len(values)
        np.testing.assert_allclose(manifest.statistics.mean, values.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(manifest.statistics.std, values.std(axis=0), rtol=1e-12)
        assert manifest.statistics.low == tuple(values.min(axis=0))
        assert manifest.statistics.high == tuple(values.max(axis=0))
        for split, summary in manifest.splits.items():
            assert summary.chips == chips[split]
            assert summary.class_pixels == tuple(counts[split][:4].tolist())
            assert summary.ignored_pixels == counts[split][255]
        assert {source.key: source.chips for source in manifest.sources} == of_scene
        assert manifest.sources == before.sources
        assert (manifest.bands, manifest.pixel_m) == (before.bands, before.pixel_m)
    assert manifest.settings == {**before.settings, "folds": 4, "fold": 3, "fold_seed": 0}


def test_pixels_that_records_show_are_nearly_those_that_convert_has_measured(data):
    """Those of zeros without a label are not told from missing ones."""
    before = read_manifest(data)
    shown = sum(
        int((chip.image_hwc.any(axis=2) | (chip.label_hw != 255)).sum())
        for split, chip in read_chips(data)
        if split == "train"
    )
    assert shown == pytest.approx(before.statistics.pixels, rel=1e-2)
    assert shown <= before.statistics.pixels


def test_records_are_on_the_disk_once(folds):
    places = {}
    for fold in folds:
        for path in fold.glob("*.tfrecord"):
            places.setdefault(path.stat().st_ino, []).append(path)
    assert all(len(paths) == FOLDS for paths in places.values())
    sizes = [paths[0].stat().st_size for paths in places.values()]
    (shards, *_) = [read_manifest(fold).shards for fold in folds]
    assert sum(sizes) == sum(shard.bytes for shard in shards)
    assert not list(folds[0].parent.parent.glob(".folds*"))


def test_where_files_can_have_but_one_name_they_are_copied(data, folds, monkeypatch, tmp_path):
    def refuse(*_: object, **__: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", refuse)
    copied = make_folds(str(data), FOLDS, str(tmp_path / "folds"), quiet=True)
    assert hash_files(copied) == hash_files(folds)
    assert {path.stat().st_nlink for fold in copied for path in fold.iterdir()} == {1}


def test_same_seed_gives_the_same_folds_and_another_one_others(data, folds, tmp_path):
    again = make_folds(str(data), FOLDS, str(tmp_path / "again"), quiet=True)
    other = make_folds(str(data), FOLDS, str(tmp_path / "other"), seed=1, quiet=True)
    assert hash_files(again) == hash_files(folds)
    tests = [
        {record for split, record in read_records(fold) if split == "test"}
        for fold in (folds[0], other[0])
    ]
    assert tests[0] != tests[1]


def test_folds_hold_about_as_many_chips(folds):
    chips = [read_manifest(fold).chips_of("test") for fold in folds]
    assert max(chips) - min(chips) <= 3 * 4


def test_large_groups_fill_several_shards(data, folds, monkeypatch, tmp_path):
    monkeypatch.setattr(groups, "_SHARD_BYTES", 12_000)
    several = make_folds(str(data), FOLDS, str(tmp_path / "folds"), quiet=True)
    for fold, whole in zip(several, folds, strict=True):
        shards = read_manifest(fold).shards
        assert len(shards) > 2 * FOLDS
        assert max(shard.bytes for shard in shards) <= 12_000
        assert sorted(read_records(fold)) == sorted(read_records(whole))


@pytest.mark.parametrize("buffer_px", [0, 4])
def test_scenes_that_are_dealt_whole_stay_whole(tmp_path, buffer_px):
    for i in range(5):
        CORNERS[f"s{i}"], SHAPES[f"s{i}"] = (0, 500 * i), (40, 40)
        write_scene(tmp_path, f"s{i}")
    convert(configure(tmp_path, split_by="scene", split_buffer_px=buffer_px))
    for fold in make_folds(str(tmp_path / "data"), 3, str(tmp_path / "folds"), quiet=True):
        splits: dict[str, set[str]] = {}
        for split, chip in read_chips(fold):
            splits.setdefault(chip.source, set()).add(split)
        assert [len(of_scene) for of_scene in splits.values()] == [1] * 5


def test_folds_of_a_fold_are_those_of_the_data_set(data, folds, tmp_path):
    again = make_folds(str(folds[2]), FOLDS, str(tmp_path / "again"), quiet=True)
    for one, other in zip(again, folds, strict=True):
        assert sorted(read_records(one)) == sorted(read_records(other))


@pytest.mark.parametrize(
    ("n", "message"),
    [
        (2, "--folds=2: expected at least 3"),
        (99, "units, too few for 99 folds; use fewer folds, or convert it with a smaller --block"),
    ],
)
def test_folds_that_cannot_be_are_refused_and_leave_nothing(data, tmp_path, n, message):
    with pytest.raises(LcsegError) as caught:
        make_folds(str(data), n, str(tmp_path / "folds"), quiet=True)
    assert message in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_left_alone(data, tmp_path):
    (tmp_path / "folds").mkdir()
    with pytest.raises(LcsegError, match="folds: exists already"):
        make_folds(str(data), 3, str(tmp_path / "folds"), quiet=True)
    with pytest.raises(LcsegError, match="is in a store; name a folder of this machine"):
        make_folds(str(data), 3, "s3://bucket/folds", quiet=True)


def test_work_that_ends_early_leaves_nothing(data, tmp_path, monkeypatch):
    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "_write_fold", fail)
    with pytest.raises(KeyboardInterrupt):
        make_folds(str(data), 3, str(tmp_path / "folds"), quiet=True)
    assert list(tmp_path.iterdir()) == []


def test_damaged_data_sets_are_refused(data, tmp_path):
    manifest = read_manifest(data)
    copy = tmp_path / "copy"
    copy.mkdir()
    for shard in manifest.shards:
        os.link(data / shard.file, copy / shard.file)
    write_manifest(copy, replace(manifest, sources=manifest.sources[:1]))
    with pytest.raises(LcsegError, match="does not describe the scene '2021'"):
        make_folds(str(copy), 3, str(tmp_path / "folds"), quiet=True)
    write_manifest(copy, manifest)
    shard = manifest.shards[0]
    (copy / shard.file).unlink()
    with write_shard(copy / shard.file, shard.split) as writer:
        writer.write(encode_chip(manifest.spec, next(read_chips(data))[1]))
    with pytest.raises(LcsegError, match=f"holds 1 records, manifest {shard.records}"):
        make_folds(str(copy), 3, str(tmp_path / "folds"), quiet=True)

"""Chips in memory, on disk and in their shards, held against the records one by one."""

import dataclasses
import errno
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from processes import own_process

from lcseg.errors import LcsegError
from lcseg.pipeline import disk, memory
from lcseg.pipeline.config import InputConfig
from lcseg.pipeline.dataset import evaluation_batches, training_batches
from lcseg.pipeline.disk import cache_bytes, cache_path, map_chips
from lcseg.pipeline.memory import load_chips
from lcseg.pipeline.uncached import RecordStore
from lcseg.records.codec import decode_chip, encode_chip
from lcseg.records.manifest import read_manifest, write_manifest
from lcseg.records.shards import read_shard, write_shard
from lcseg.records.statistics import count_classes

KINDS = ("memory", "disk", "none")


def open_store(kind, folder, cache, split="train"):
    manifest = read_manifest(folder)
    if kind == "memory":
        return load_chips(folder, manifest, split)
    if kind == "disk":
        return map_chips(folder, manifest, split, cache)
    return RecordStore(folder, manifest, split)


@pytest.fixture
def own_dataset(dataset, tmp_path):
    """A copy of the data set that a test may harm."""
    return shutil.copytree(dataset, tmp_path / "data")


@pytest.fixture(scope="module")
def zipped(dataset, tmp_path_factory):
    """The same chips as uint16, of an odd number of pixels, compressed."""
    folder = shutil.copytree(dataset, tmp_path_factory.mktemp("zipped") / "data")
    before = read_manifest(dataset)
    manifest = dataclasses.replace(before, dtype="uint16", compression="zlib", chip_px=51)
    shards = []
    for shard in manifest.shards:
        with write_shard(folder / shard.file, shard.split) as writer:
            for record in read_shard(dataset / shard.file):
                chip = decode_chip(before.spec, record)
                image, label = chip.image_hwc[:51, :51].astype("uint16") * 3, chip.label_hw
                chip = dataclasses.replace(chip, image_hwc=image, label_hw=label[:51, :51])
                writer.write(encode_chip(manifest.spec, chip))
        shards.append(writer.info)
    write_manifest(folder, dataclasses.replace(manifest, shards=tuple(shards)))
    return folder


def read_chips(folder, split):
    """The chips of a split, by the decoder of records."""
    manifest = read_manifest(folder)
    return [
        decode_chip(manifest.spec, record)
        for shard in manifest.shards_of(split)
        for record in read_shard(folder / shard.file)
    ]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_chips_are_those_of_the_records_in_order(dataset, tmp_path, kind, split):
    manifest = read_manifest(dataset)
    store = open_store(kind, dataset, tmp_path, split)
    chips = read_chips(dataset, split)
    assert len(store) == len(chips) == manifest.chips_of(split) > 0
    assert store.image_shape == manifest.spec.image_shape
    for n, chip in enumerate(chips):
        image_hwc, label_hw = store.read_chip(n)
        assert image_hwc.dtype == manifest.dtype and label_hw.dtype == np.uint8
        np.testing.assert_array_equal(image_hwc, chip.image_hwc)
        np.testing.assert_array_equal(label_hw, chip.label_hw)
    counts = [count_classes(chip.label_hw, manifest.class_scheme.n_classes) for chip in chips]
    np.testing.assert_array_equal(store.histograms, counts)
    assert store.histograms.dtype == np.int64


@pytest.mark.parametrize("kind", KINDS)
def test_compressed_chips_of_an_odd_size_are_those_of_the_records(zipped, tmp_path, kind):
    store = open_store(kind, zipped, tmp_path)
    for n, chip in enumerate(read_chips(zipped, "train")):
        image_hwc, label_hw = store.read_chip(n)
        np.testing.assert_array_equal(image_hwc, chip.image_hwc)
        np.testing.assert_array_equal(label_hw, chip.label_hw)
    assert store.read_chip(0)[0].dtype == np.uint16


@pytest.mark.parametrize("kind", KINDS)
def test_crops_are_rectangles_of_their_chips(dataset, tmp_path, kind):
    store = open_store(kind, dataset, tmp_path)
    chips, starts = [2, 0, 2], [[0, 0], [5, 40], [31, 7]]
    crops = store.read_crops(tf.constant(chips, tf.int64), tf.constant(starts, tf.int64), (33, 20))
    assert [x.shape for x in crops] == [(3, 33, 20, 4), (3, 33, 20)]
    for chip, (row, col), image, label in zip(chips, starts, *crops, strict=True):
        image_hwc, label_hw = store.read_chip(chip)
        np.testing.assert_array_equal(image, image_hwc[row : row + 33, col : col + 20])
        np.testing.assert_array_equal(label, label_hw[row : row + 33, col : col + 20])


@pytest.mark.parametrize("sampling", ["uniform", "balanced"])
def test_batches_are_the_same_wherever_chips_are_kept(dataset, zipped, tmp_path, sampling):
    config = InputConfig(crop_px=32, sampling=sampling)
    for folder in (dataset, zipped):
        statistics = read_manifest(folder).statistics
        made = []
        for kind in KINDS:
            store = open_store(kind, folder, tmp_path)
            batches = [
                *training_batches(store, config, statistics, 3, 4, 2, 30).as_numpy_iterator(),
                *evaluation_batches(store, 4, 32).as_numpy_iterator(),
            ]
            made.append(b"".join(x.tobytes() for pair in batches for x in pair))
        assert made[0] == made[1] == made[2]


def declare(manifest, split, records):
    """A manifest that says a split holds one shard of so many records."""
    kept = tuple(shard for shard in manifest.shards if shard.split != split)
    shard = dataclasses.replace(manifest.shards_of(split)[0], records=records)
    part = dataclasses.replace(manifest.splits[split], chips=records)
    shards = (*kept, shard) if records else kept
    splits = {**manifest.splits, split: part}
    return dataclasses.replace(manifest, splits=splits, shards=shards)


@pytest.mark.parametrize("kind", KINDS)
def test_empty_split_is_refused(dataset, tmp_path, kind, monkeypatch):
    manifest = declare(read_manifest(dataset), "test", 0)
    monkeypatch.setitem(globals(), "read_manifest", lambda _: manifest)
    with pytest.raises(LcsegError, match="has no chips in its test split; convert with more data"):
        open_store(kind, dataset, tmp_path, "test")


def flip_a_byte(path):
    content = bytearray(path.read_bytes())
    content[2000] ^= 1  # Within the first record.
    path.write_bytes(content)


def cut_off(path):
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize("kind", ["memory", "disk"])
@pytest.mark.parametrize("harm", [flip_a_byte, cut_off, lambda path: path.unlink()])
def test_damaged_shard_is_refused_in_one_line(own_dataset, tmp_path, harm, kind):
    harm(own_dataset / read_manifest(own_dataset).shards_of("train")[0].file)
    with pytest.raises(
        LcsegError, match=r"its train split cannot be read; .*; lcseg inspect says which"
    ) as caught:
        open_store(kind, own_dataset, tmp_path / "cache")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "cache").exists() or not list((tmp_path / "cache").iterdir())


@pytest.mark.parametrize("harm", [cut_off, lambda path: path.unlink()])
def test_shard_that_is_cut_off_or_missing_is_refused_when_it_is_indexed(own_dataset, harm):
    path = own_dataset / read_manifest(own_dataset).shards_of("train")[0].file
    harm(path)
    with pytest.raises(LcsegError, match=r"is damaged at the record|cannot be read") as caught:
        open_store("none", own_dataset, "")
    assert str(path) in str(caught.value)


def test_record_that_is_damaged_is_refused_in_one_line_when_it_is_read(own_dataset):
    path = own_dataset / read_manifest(own_dataset).shards_of("train")[0].file
    flip_a_byte(path)
    store = open_store("none", own_dataset, "")
    with (
        pytest.raises(LcsegError, match=r"is damaged at the record .*; convert again") as caught,
        store.named_faults(),
    ):
        list(evaluation_batches(store, 4, 32))
    assert str(path) in str(caught.value)


def test_fault_that_is_not_of_the_store_is_left_as_it_is(dataset):
    store = open_store("none", dataset, "")
    with pytest.raises(tf.errors.InvalidArgumentError), store.named_faults():
        tf.debugging.assert_equal(1, 2)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("more", [1, -1])
def test_shards_that_hold_another_number_of_records_are_refused(
    dataset, tmp_path, kind, more, monkeypatch
):
    manifest = read_manifest(dataset)
    manifest = declare(manifest, "train", manifest.chips_of("train") + more)
    monkeypatch.setitem(globals(), "read_manifest", lambda _: manifest)
    with pytest.raises(LcsegError, match=r"the manifest says|its manifest says|holds more than"):
        open_store(kind, dataset, tmp_path)


def test_file_of_a_split_is_made_once_and_named_by_its_data(dataset, tmp_path, monkeypatch):
    manifest = read_manifest(dataset)
    first = map_chips(dataset, manifest, "train", tmp_path)
    path = cache_path(tmp_path, manifest, "train")
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    assert path.stat().st_size == cache_bytes(manifest, "train")
    monkeypatch.setattr(disk, "read_split", None)
    again = map_chips("gone", manifest, "train", tmp_path)
    np.testing.assert_array_equal(first.images, again.images)
    shard = dataclasses.replace(manifest.shards[0], crc32c="0" * 8)
    other = dataclasses.replace(manifest, shards=(shard, *manifest.shards[1:]))
    assert cache_path(tmp_path, other, "train") != path != cache_path(tmp_path, manifest, "val")


def test_file_that_was_left_half_is_written_anew(dataset, tmp_path):
    manifest = read_manifest(dataset)
    path = cache_path(tmp_path, manifest, "val")
    path.with_name(f".{path.name}.partial").write_bytes(b"x" * 10**7)
    path.write_bytes(b"too short")
    store = map_chips(dataset, manifest, "val", tmp_path)
    np.testing.assert_array_equal(store.images, load_chips(dataset, manifest, "val").images)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_two_who_want_the_same_file_make_it_once(dataset, tmp_path, monkeypatch):
    manifest = read_manifest(dataset)
    fill, filled = disk._fill, []
    monkeypatch.setattr(disk, "_fill", lambda *args: (filled.append(1), fill(*args)))
    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(map_chips, dataset, manifest, "train", tmp_path) for _ in range(4)]
        stores = [call.result() for call in calls]
    assert len(filled) == 1
    for store in stores:
        np.testing.assert_array_equal(store.images, stores[0].images)


def test_full_disk_is_told_in_one_line_and_leaves_nothing(dataset, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    with pytest.raises(LcsegError, match="No space left on device; name another --cache_dir"):
        map_chips(dataset, read_manifest(dataset), "train", tmp_path)
    assert not list(tmp_path.iterdir())


def test_no_shard_stays_open(dataset):

    store = RecordStore(dataset, read_manifest(dataset), "train")
    open_now = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for chip in range(len(store)):
        store.read_chip(chip)
    assert len(os.listdir("/proc/self/fd")) == open_now  # noqa: PTH208


def count_reads(folder, cache, kind):
    """Bytes that this process reads from files in ten epochs after the first, and of all chips."""
    store = open_store(kind, folder, cache)
    manifest = read_manifest(folder)
    batches = training_batches(store, InputConfig(crop_px=32), manifest.statistics, 0, 1, 0, 10**6)
    iterator = iter(batches)

    def go_on():
        for _ in range(10 * len(store)):
            next(iterator)
        return int(Path("/proc/self/io").read_text().split("rchar:")[1].split()[0])

    go_on()
    before = go_on()
    return go_on() - before, len(store) * manifest.spec.chip_bytes


def test_epochs_after_the_first_read_nothing_if_chips_are_in_memory(dataset, tmp_path):
    with own_process() as pool:
        read, of_chips = pool.submit(count_reads, dataset, tmp_path, "memory").result()
        # The count itself is read from a file, and is all that is.
        assert read < 500 < of_chips / 100
        # That chips which are not kept are seen to be read shows that the count counts.
        read, of_chips = pool.submit(count_reads, dataset, tmp_path, "none").result()
        assert read > 5 * of_chips


def read_peak_bytes():
    """Most memory that this process had; ru_maxrss would hold its parent's as well."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def measure_peak(folder, chips):
    """How much memory load_chips takes at its highest, over the bytes of the chips."""
    manifest = declare(read_manifest(folder), "train", chips)
    spec = manifest.spec
    batch = [
        np.zeros((32, *shape), dtype)
        for shape, dtype in (
            (spec.image_shape, spec.dtype),
            (spec.image_shape[:2], "uint8"),
            ((spec.classes + 1,), "int64"),
        )
    ]
    memory.read_split = lambda *_: (
        tuple(x[: chips - at] for x in batch) for at in range(0, chips, 32)
    )
    before = read_peak_bytes()
    store = load_chips(folder, manifest, "train")
    after = read_peak_bytes()
    return (after - before) / (len(store) * spec.chip_bytes)


@pytest.mark.slow
def test_chips_take_no_more_memory_than_the_budget_counts(dataset):
    # In a process of its own: this one may have taken more before.
    with own_process() as pool:
        assert 0.5 < pool.submit(measure_peak, dataset, 15_000).result() < 1.3

"""Chips in memory, held against the records one by one."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from processes import own_process

from lcseg.errors import LcsegError
from lcseg.pipeline import memory
from lcseg.pipeline.memory import free_memory_bytes, load_chips, require_fit
from lcseg.records.codec import decode_chip
from lcseg.records.manifest import read_manifest


@pytest.fixture
def own_dataset(dataset, tmp_path):
    """A copy of the data set that a test may harm."""
    return shutil.copytree(dataset, tmp_path / "data")


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_chips_are_those_of_the_records_in_order(dataset, split):
    manifest = read_manifest(dataset)
    store = load_chips(dataset, manifest, split)
    records = [
        record
        for shard in manifest.shards_of(split)
        for record in tf.data.TFRecordDataset(str(dataset / shard.file)).as_numpy_iterator()
    ]
    chips = [decode_chip(manifest.spec, record) for record in records]
    assert len(store) == len(chips) == manifest.chips_of(split) > 0
    assert store.images.dtype.name == manifest.dtype
    np.testing.assert_array_equal(store.images, np.stack([chip.image_hwc for chip in chips]))
    np.testing.assert_array_equal(store.labels, np.stack([chip.label_hw for chip in chips]))


def test_splits_over_budget_together_are_refused_in_one_line(dataset):
    manifest = read_manifest(dataset)
    chips = manifest.chips_of("train") + manifest.chips_of("val")
    enough_gb = chips * manifest.spec.chip_bytes / 1e9
    require_fit(dataset, manifest, ["train", "val"], enough_gb)
    with pytest.raises(
        LcsegError, match=r"do not fit into .* GB of memory; raise --cache_gb"
    ) as caught:
        require_fit(dataset, manifest, ["train", "val"], 0.999 * enough_gb)
    assert "\n" not in str(caught.value)
    huge = declare(manifest, "train", free_memory_bytes() // manifest.spec.chip_bytes)
    with pytest.raises(LcsegError, match="do not fit"):
        require_fit(dataset, huge, ["train"])


def declare(manifest, split, records):
    """A manifest that says a split holds one shard of so many records."""
    kept = tuple(shard for shard in manifest.shards if shard.split != split)
    shard = dataclasses.replace(manifest.shards_of(split)[0], records=records)
    part = dataclasses.replace(manifest.splits[split], chips=records)
    shards = (*kept, shard) if records else kept
    splits = {**manifest.splits, split: part}
    return dataclasses.replace(manifest, splits=splits, shards=shards)


def test_empty_split_is_refused(dataset):
    manifest = declare(read_manifest(dataset), "test", 0)
    with pytest.raises(LcsegError, match="has no chips in its test split; convert with more data"):
        load_chips(dataset, manifest, "test")


def flip_a_byte(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut_off(path):
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize("harm", [flip_a_byte, cut_off, lambda path: path.unlink()])
def test_damaged_shard_is_refused_in_one_line(own_dataset, harm):
    manifest = read_manifest(own_dataset)
    harm(own_dataset / manifest.shards_of("train")[0].file)
    with pytest.raises(
        LcsegError, match=r"its train split cannot be read; .*; lcseg inspect says which"
    ) as caught:
        load_chips(own_dataset, manifest, "train")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("more", "says"), [(1, "its manifest says"), (-1, "holds more than")])
def test_shards_that_hold_another_number_of_records_are_refused(dataset, more, says):
    manifest = read_manifest(dataset)
    manifest = declare(manifest, "train", manifest.chips_of("train") + more)
    with pytest.raises(LcsegError, match=says):
        load_chips(dataset, manifest, "train")


def test_free_memory_is_less_than_the_machine_has():
    total = int(Path("/proc/meminfo").read_text().split()[1]) * 1024
    assert 10_000_000 < free_memory_bytes() < total


def read_peak_bytes():
    """Most memory that this process had; ru_maxrss would hold its parent's as well."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def measure_peak(folder, chips):
    """How much memory load_chips takes at its highest, over the bytes of the chips."""
    manifest = declare(read_manifest(folder), "train", chips)
    spec = manifest.spec
    chip = np.zeros(spec.image_shape, spec.dtype), np.zeros(spec.image_shape[:2], np.uint8)
    memory._read = lambda *_: tf.data.Dataset.from_tensors(chip).repeat(chips).batch(32)
    before = read_peak_bytes()
    store = load_chips(folder, manifest, "train")
    after = read_peak_bytes()
    return (after - before) / (len(store) * spec.chip_bytes)


@pytest.mark.slow
def test_chips_take_no_more_memory_than_the_budget_counts(dataset):
    # In a process of its own: this one may have taken more before.
    with own_process() as pool:
        assert 0.5 < pool.submit(measure_peak, dataset, 15_000).result() < 1.3

"""Chips in memory, held against the records one by one."""

import dataclasses
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from lcseg.errors import LcsegError
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


def test_split_over_budget_is_refused_before_a_record_is_read(own_dataset):
    manifest = read_manifest(own_dataset)
    for shard in own_dataset.glob("*.tfrecord"):
        shard.unlink()
    with pytest.raises(LcsegError) as caught:
        load_chips(own_dataset, manifest, "train", budget_gb=1e-5)
    assert "do not fit into 0.00 GB of memory; raise --cache_gb" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_budget_is_met_exactly_or_refused():
    require_fit("data", 1_000_000, 0.001)
    with pytest.raises(LcsegError, match="data: 0.00 GB of chips do not fit"):
        require_fit("data", 1_000_001, 0.001)
    with pytest.raises(LcsegError, match="do not fit"):
        require_fit("data", free_memory_bytes(), 0)


def test_empty_split_is_refused(dataset):
    manifest = read_manifest(dataset)
    splits = {name: part for name, part in manifest.splits.items() if name != "test"}
    for changed in (splits, {**splits, "test": dataclasses.replace(splits["val"], chips=0)}):
        with pytest.raises(LcsegError, match="has no chips in its test split"):
            load_chips(dataset, dataclasses.replace(manifest, splits=changed), "test")


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
    with pytest.raises(LcsegError, match="train cannot be read: ") as caught:
        load_chips(own_dataset, manifest, "train")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("more", "says"), [(1, "its manifest says"), (-1, "holds more than")])
def test_shards_that_hold_another_number_of_records_are_refused(dataset, more, says):
    manifest = read_manifest(dataset)
    train = manifest.splits["train"]
    train = dataclasses.replace(train, chips=train.chips + more)
    manifest = dataclasses.replace(manifest, splits={**manifest.splits, "train": train})
    with pytest.raises(LcsegError, match=says):
        load_chips(dataset, manifest, "train")


def test_free_memory_is_less_than_the_machine_has():
    with open("/proc/meminfo") as file:
        total = int(file.readline().split()[1]) * 1024
    assert 10_000_000 < free_memory_bytes() < total


_PEAK = """
import resource, sys
import numpy as np
import tensorflow as tf
from lcseg.pipeline import memory
from lcseg.records.manifest import read_manifest
import dataclasses
manifest = read_manifest(sys.argv[1])
spec = manifest.spec
n = 300_000_000 // spec.chip_bytes
chip = np.zeros(spec.image_shape, spec.dtype), np.zeros(spec.image_shape[:2], np.uint8)
memory._read = lambda *_: tf.data.Dataset.from_tensors(chip).repeat(n).batch(32)
splits = {"train": dataclasses.replace(manifest.splits["train"], chips=n)}
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
pass
before = peak()
store = memory.load_chips(sys.argv[1], dataclasses.replace(manifest, splits=splits), "train")
print((peak() - before) / (n * spec.chip_bytes))
"""


@pytest.mark.slow
def test_chips_take_no_more_memory_than_the_budget_counts(dataset):
    # In a process of its own: the peak of this one has been higher.
    out = subprocess.run(
        [sys.executable, "-c", _PEAK, str(dataset)], capture_output=True, text=True, check=True
    )
    assert 0.9 < float(out.stdout) < 1.3

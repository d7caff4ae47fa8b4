"""Shards, read back by TensorFlow's own reader and held against hashlib."""

import errno
import hashlib
import os

import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from lcseg.errors import LcsegError
from lcseg.records.shards import ShardWriter, file_sha256, read_shard

RECORDS = [bytes([i]) * (500 + i) for i in range(10)]


def write(folder, records, max_bytes):
    with ShardWriter(folder, "train", max_bytes) as writer:
        for record in records:
            writer.write(record)
    return writer.shards


def test_records_go_into_shards_of_bounded_size_and_come_back_in_order(tmp_path):
    shards = write(tmp_path, RECORDS, max_bytes=2000)
    assert [shard.file for shard in shards] == [f"train-{i:05d}.tfrecord" for i in range(3)]
    assert [shard.records for shard in shards] == [4, 4, 2]
    assert [r for shard in shards for r in read_shard(tmp_path / shard.file)] == RECORDS


@settings(deadline=None, max_examples=20)
@given(st.lists(st.binary(max_size=300), max_size=12), st.integers(1, 1500))
def test_shards_hold_every_record_once_and_are_described_rightly(
    tmp_path_factory, records, max_bytes
):
    folder = tmp_path_factory.mktemp("shards")
    shards = write(folder, records, max_bytes)
    assert sorted(path.name for path in folder.iterdir()) == [shard.file for shard in shards]
    back = []
    for shard in shards:
        data = (folder / shard.file).read_bytes()
        held = [r.numpy() for r in tf.data.TFRecordDataset(str(folder / shard.file))]
        assert (shard.split, shard.records, shard.bytes) == ("train", len(held), len(data))
        assert shard.sha256 == hashlib.sha256(data).hexdigest() == file_sha256(folder / shard.file)
        # Full, but not by more than its last record; only the last shard may be smaller.
        assert len(data) - len(held[-1]) - 16 < max_bytes
        assert len(data) >= max_bytes or shard is shards[-1]
        back += held
    assert back == records


def test_split_without_records_has_no_shard(tmp_path):
    assert write(tmp_path, [], 1000) == ()
    assert list(tmp_path.iterdir()) == []


def test_same_records_give_the_same_bytes(tmp_path):
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    assert write(tmp_path / "one", RECORDS, 2000) == write(tmp_path / "other", RECORDS, 2000)


@pytest.mark.parametrize("at", [0, 5, 9, 12, 100, 511, 512, 514])
def test_flipped_byte_is_an_error_of_one_line_that_names_the_shard(tmp_path, at):
    (shard,) = write(tmp_path, RECORDS, 10**6)
    path = tmp_path / shard.file
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    with pytest.raises(LcsegError, match=r"train-00000.tfrecord: is damaged: .*; convert again"):
        list(read_shard(path))
    assert file_sha256(path) != shard.sha256


@pytest.mark.parametrize("cut", [1, 4, 300, 508, 514, 519, 524])
def test_truncated_shard_is_an_error_of_one_line_that_names_the_shard(tmp_path, cut):
    (shard,) = write(tmp_path, RECORDS, 10**6)
    path = tmp_path / shard.file
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(LcsegError, match=r"train-00000\.tfrecord: is damaged: ") as error:
        list(read_shard(path))
    assert "\n" not in str(error.value)


def test_missing_shard_is_an_error_that_names_it(tmp_path):
    with pytest.raises(LcsegError, match=r"train-00007.tfrecord: is damaged: .*No such file"):
        list(read_shard(tmp_path / "train-00007.tfrecord"))


def test_folder_that_cannot_be_written_is_an_error_that_names_the_shard(tmp_path):
    with pytest.raises(LcsegError, match=r"train-00000\.tfrecord: cannot be written: "):
        write(tmp_path / "nowhere", RECORDS, 1000)


def test_full_disk_is_noticed_while_writing():
    device = "/dev/full"
    if not os.path.exists(device):  # noqa: PTH110
        pytest.skip("this system has no /dev/full")
    writer = tf.io.TFRecordWriter(device)
    with pytest.raises(tf.errors.OpError):
        for _ in range(1000):
            writer.write(bytes(1000))
        writer.close()


def test_file_that_lost_its_end_without_an_error_is_taken_for_a_full_disk(tmp_path, monkeypatch):
    close = tf.io.TFRecordWriter.close

    def lose(writer):
        close(writer)
        (path,) = tmp_path.iterdir()
        os.truncate(path, 100)

    monkeypatch.setattr(tf.io.TFRecordWriter, "close", lose)
    with pytest.raises(OSError, match="train-00000") as error:
        write(tmp_path, RECORDS, 10**6)
    assert error.value.errno == errno.ENOSPC


def test_error_in_the_block_is_not_hidden_and_describes_no_shard(tmp_path):
    with pytest.raises(RuntimeError, match="mine"), ShardWriter(tmp_path, "val", 10**6) as writer:
        writer.write(b"1")
        raise RuntimeError("mine")
    assert writer.shards == ()

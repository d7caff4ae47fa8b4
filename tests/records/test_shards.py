"""Shards, held against TensorFlow's own reader and writer."""

import os
import resource
import struct
import subprocess
import sys
import tracemalloc

import google_crc32c
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from lcseg.errors import LcsegError
from lcseg.records.shards import file_crc32c, read_shard, write_shard

RECORDS = [bytes([i]) * (500 + i) for i in range(10)]


def write(path, records):
    with write_shard(path, "train") as writer:
        for record in records:
            writer.write(record)
    return writer.info


def test_records_are_written_described_and_read_back_in_order(tmp_path):
    path = tmp_path / "train-00007.tfrecord"
    info = write(path, RECORDS)
    assert list(read_shard(path)) == RECORDS
    assert (info.file, info.split, info.records) == ("train-00007.tfrecord", "train", 10)
    assert info.bytes == path.stat().st_size
    assert info.crc32c == file_crc32c(path)
    assert list(tmp_path.iterdir()) == [path]


@settings(deadline=None, max_examples=30)
@given(st.lists(st.binary(max_size=300), min_size=1, max_size=12))
def test_tensorflow_reads_what_is_written(tmp_path_factory, records):
    path = tmp_path_factory.mktemp("shards") / "train-00000.tfrecord"
    info = write(path, records)
    assert [r.numpy() for r in tf.data.TFRecordDataset(str(path))] == records
    data = path.read_bytes()
    assert (info.records, info.bytes) == (len(records), len(data))
    assert info.crc32c == f"{google_crc32c.value(data):08x}" == file_crc32c(path)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.binary(max_size=300), max_size=12))
def test_what_tensorflow_writes_is_read_and_has_the_same_bytes(tmp_path_factory, records):
    folder = tmp_path_factory.mktemp("shards")
    theirs, ours = folder / "theirs", folder / "ours"
    with tf.io.TFRecordWriter(str(theirs)) as writer:
        for record in records:
            writer.write(record)
    assert list(read_shard(theirs)) == records
    if records:
        write(ours, records)
        assert ours.read_bytes() == theirs.read_bytes()


@pytest.mark.parametrize(
    ("data", "crc"), [(b"", "00000000"), (b"123456789", "e3069283"), (bytes(10_000_019), None)]
)
def test_checksum_of_a_file_is_its_crc_in_eight_digits(tmp_path, data, crc):
    (tmp_path / "file").write_bytes(data)
    assert file_crc32c(tmp_path / "file") == (crc or f"{google_crc32c.value(data):08x}")


def test_shard_without_records_does_not_appear(tmp_path):
    assert write(tmp_path / "val-00000.tfrecord", []) is None
    assert list(tmp_path.iterdir()) == []


def test_shard_is_not_there_before_it_is_whole(tmp_path):
    path = tmp_path / "train-00000.tfrecord"
    with write_shard(path, "train") as writer:
        writer.write(b"1")
        assert not path.exists()
        assert writer.info is None
    assert path.exists()


def test_every_flipped_byte_is_an_error_of_one_line_that_names_the_shard(tmp_path):
    path = tmp_path / "train-00000.tfrecord"
    write(path, [b"abcdef" * 5, b"", b"x" * 40])
    good = path.read_bytes()
    for at in range(len(good)):
        for bit in (1, 128):
            data = bytearray(good)
            data[at] ^= bit
            path.write_bytes(data)
            with pytest.raises(LcsegError, match=r"train-00000\.tfrecord: is damaged at"):
                list(read_shard(path))


def test_every_truncation_is_noticed_but_between_two_records(tmp_path):
    path = tmp_path / "train-00000.tfrecord"
    records = [b"abcdef" * 5, b"", b"x" * 40]
    info = write(path, records)
    good, borders = path.read_bytes(), [0, 46, 62, 118]
    for length in range(len(good)):
        path.write_bytes(good[:length])
        if length in borders:
            # A TFRecord file has no end mark: here the manifest's size and count have to do.
            assert list(read_shard(path)) == records[: borders.index(length)]
            assert path.stat().st_size != info.bytes
        else:
            begin = max(border for border in borders if border < length)
            with pytest.raises(LcsegError, match=rf"is damaged at .* byte {begin}; convert again"):
                list(read_shard(path))


def test_records_before_the_damage_are_given(tmp_path):
    path = tmp_path / "train-00000.tfrecord"
    write(path, RECORDS)
    path.write_bytes(path.read_bytes()[:-1])
    records = read_shard(path)
    assert [next(records) for _ in range(9)] == RECORDS[:9]
    with pytest.raises(LcsegError, match="is damaged"):
        next(records)


def test_length_beyond_the_file_takes_no_memory(tmp_path):
    length = struct.pack("<Q", 2**40)
    crc = google_crc32c.value(length)
    masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
    path = tmp_path / "train-00000.tfrecord"
    path.write_bytes(length + struct.pack("<I", masked) + bytes(100))
    tracemalloc.start()
    with pytest.raises(LcsegError, match="is damaged at the record that begins at byte 0"):
        list(read_shard(path))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 10**6


def test_shard_is_read_one_record_at_a_time(tmp_path):
    path = tmp_path / "train-00000.tfrecord"
    write(path, [os.urandom(10**6)] * 20)
    tracemalloc.start()
    assert sum(len(record) for record in read_shard(path)) == 20 * 10**6
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 4 * 10**6


def test_missing_shard_is_an_error_that_names_it(tmp_path):
    with pytest.raises(LcsegError, match=r"train-7.tfrecord: cannot be read: No such file"):
        list(read_shard(tmp_path / "train-7.tfrecord"))


def test_folder_that_cannot_be_made_is_an_error_that_names_the_shard(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LcsegError, match=r"val-00000\.tfrecord: cannot be written: "):
        write(tmp_path / "file" / "val-00000.tfrecord", RECORDS)


FILL = """
import resource, sys
from pathlib import Path
from lcseg.errors import LcsegError
from lcseg.records.shards import write_shard

# A limit on the size of files: the disk is full after so many bytes.
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
try:
    with write_shard(Path(sys.argv[1]) / "train-00000.tfrecord", "train") as writer:
        for _ in range(int(sys.argv[3])):
            writer.write(bytes(1000))
except LcsegError as error:
    print(error)
    print(writer.info)
"""


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="files have no limit here")
@pytest.mark.parametrize("records", [1, 100, 1000])
def test_full_disk_is_one_error_and_leaves_no_file(tmp_path, records):
    # One record fails when the file is closed, a hundred or more when they are written.
    limit = 900 * records
    done = subprocess.run(
        [sys.executable, "-c", FILL, str(tmp_path), str(limit), str(records)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    problem, info = done.stdout.splitlines()
    assert problem == (
        f"{tmp_path}/train-00000.tfrecord: cannot be written: File too large; make room on the disk"
    )
    assert info == "None"
    assert list(tmp_path.iterdir()) == []


def test_shard_that_was_there_outlives_a_failed_one(tmp_path):
    path = tmp_path / "train-00000.tfrecord"
    write(path, RECORDS)
    with pytest.raises(RuntimeError, match="mine"), write_shard(path, "val") as writer:
        writer.write(b"1")
        raise RuntimeError("mine")
    assert writer.info is None
    assert list(read_shard(path)) == RECORDS
    assert list(tmp_path.iterdir()) == [path]

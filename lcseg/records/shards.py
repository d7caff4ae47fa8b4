"""Shards: TFRecord files with checksums.

with write_shard(folder / "train-00000.tfrecord", "train") as writer:
    writer.write(record)
writer.info                                    # ShardInfo; None if nothing was written
for record in read_shard(path): …
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

import google_crc32c

from lcseg.documents import replaced
from lcseg.errors import LcsegError
from lcseg.records.manifest import ShardInfo

FRAME_BYTES = 16
"""What a TFRecord file holds for each record besides the record: its length and two checksums."""

_LENGTH, _CRC = struct.Struct("<Q"), struct.Struct("<I")
_HEAD_BYTES = _LENGTH.size + _CRC.size
_MASK_DELTA = 0xA282EAD8


class ShardWriter:
    """Writes records into one file."""

    def __init__(self, path: Path, split: str) -> None:
        self.info: ShardInfo | None = None
        self._path, self._split = path, split
        self._stack = ExitStack()
        self._file: BinaryIO | None = None
        self._records = self._bytes = 0
        self._sha256 = hashlib.sha256()

    def write(self, record: bytes) -> None:
        """Append a record; a full disk is an LcsegError."""
        length = _LENGTH.pack(len(record))
        head = length + _CRC.pack(_masked_crc32c(length))
        with _writing(self._path):
            if self._file is None:
                aside = self._stack.enter_context(replaced(self._path))
                self._file = self._stack.enter_context(aside.open("wb"))
            for piece in (head, record, _CRC.pack(_masked_crc32c(record))):
                self._file.write(piece)
                self._sha256.update(piece)
        self._records += 1
        self._bytes += len(record) + FRAME_BYTES

    def _finish(self) -> None:
        if self._file is not None:
            # The disk has to say now whether it holds all of it: a full one may tell only here.
            self._file.flush()
            os.fsync(self._file.fileno())
            self.info = ShardInfo(
                self._path.name, self._split, self._records, self._bytes, self._sha256.hexdigest()
            )


@contextmanager
def write_shard(path: Path, split: str) -> Iterator[ShardWriter]:
    """Write a shard, which appears at the end if there was any record, and not on an error."""
    writer = ShardWriter(path, split)
    with writer._stack:
        yield writer
        with _writing(path):
            writer._finish()


def read_shard(path: str | Path) -> Iterator[bytes]:
    """Read the records of a shard in order; damage is an LcsegError."""
    try:
        with Path(path).open("rb") as file:
            while head := file.read(_HEAD_BYTES):
                yield _read_record(file, head, path)
    except OSError as error:
        raise LcsegError(path, f"cannot be read: {error.strerror}") from error


def _read_record(file: BinaryIO, head: bytes, path: str | Path) -> bytes:
    at = file.tell() - len(head)
    length = head[: _LENGTH.size]
    if len(head) < _HEAD_BYTES or _CRC.unpack_from(head, 8)[0] != _masked_crc32c(length):
        raise _damage(path, at)
    size = _LENGTH.unpack(length)[0]
    record, tail = file.read(size), file.read(_CRC.size)
    if len(tail) < _CRC.size or _CRC.unpack(tail)[0] != _masked_crc32c(record):
        raise _damage(path, at)
    return record


def _damage(path: str | Path, at: int) -> LcsegError:
    return LcsegError(path, f"is damaged at the record that begins at byte {at:,}", "convert again")


def file_sha256(path: str | Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _masked_crc32c(data: bytes) -> int:
    """The checksum of TFRecord files: CRC-32C, rotated right by 15 bits, plus a constant."""
    crc = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise LcsegError(
            path, f"cannot be written: {error.strerror}", "is the disk full?"
        ) from error

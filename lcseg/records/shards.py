"""Shards: TFRecord files with checksums.

with write_shard(folder / "train-00000.tfrecord", "train") as writer:
    writer.write(record)
writer.info                                    # ShardInfo; None if nothing was written
for record in read_shard(path): …
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import google_crc32c

from lcseg.errors import LcsegError
from lcseg.files import locate, open_binary, replaced, size_of
from lcseg.records.manifest import ShardInfo

FRAME_BYTES = 16
"""What a TFRecord file holds for each record besides the record: its length and two checksums."""

_LENGTH, _CRC = struct.Struct("<Q"), struct.Struct("<I")
_HEAD_BYTES = _LENGTH.size + _CRC.size
_MASK_DELTA = 0xA282EAD8
_PIECE_BYTES = 2**17  # Stays in the cache of the processor between reading and summing.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class ShardWriter:
    """Writes records into one file."""

    def __init__(self, path: Path, split: str) -> None:
        self.info: ShardInfo | None = None
        self._path, self._split = path, split
        self._stack = ExitStack()
        self._file: BinaryIO | None = None
        self._records = self._bytes = 0
        self._crc32c = 0

    def write(self, record: bytes) -> None:
        """Append a record; a full disk is an LcsegError."""
        length = _LENGTH.pack(len(record))
        head = length + _CRC.pack(masked_crc32c(length))
        with _writing(self._path):
            file = self._file or self._open()
            for piece in (head, record, _CRC.pack(masked_crc32c(record))):
                file.write(piece)
                self._crc32c = google_crc32c.extend(self._crc32c, piece)
        self._records += 1
        self._bytes += len(record) + FRAME_BYTES

    def _open(self) -> BinaryIO:
        aside = self._stack.enter_context(replaced(self._path))
        # Closed by hand: after a failed write, closing fails again and would hide the first error.
        self._file = aside.open("wb")
        self._stack.callback(_give_up, self._file)
        return self._file

    def _finish(self) -> None:
        if self._file is not None:
            self._file.close()
            self._stack.close()
            self.info = ShardInfo(
                self._path.name, self._split, self._records, self._bytes, f"{self._crc32c:08x}"
            )


@contextmanager
def write_shard(path: Path, split: str) -> Iterator[ShardWriter]:
    """Write a shard, which appears at the end if there was any record, and not on an error.

    What was written may still be on its way to the disk; `settle_shard` waits for it.
    """
    writer = ShardWriter(path, split)
    with writer._stack:
        yield writer
        with _writing(path):
            writer._finish()


def settle_shard(path: Path) -> None:
    """Have the disk say that it holds all of a shard: a full one may tell only here.

    The shard then leaves the page cache: nobody reads it soon, and a conversion of a terabyte would
    push out everything else, the rasters that are read among it.
    """
    with _writing(path), path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def read_shard(path: str | Path) -> Iterator[bytes]:
    """Read the records of a shard in order, one at a time; damage is an LcsegError.

    An end that was cut off between two records shows only in the manifest's `bytes`.
    """
    try:
        place = locate(path)
        size, at = size_of(place), 0
        with open_binary(place) as file:
            while at < size:
                record = _read_record(file, size - at)
                if record is None:
                    problem = f"is damaged at the record that begins at byte {at:,}"
                    raise LcsegError(path, problem, "convert again")
                yield record
                at += len(record) + FRAME_BYTES
    except OSError as error:
        raise LcsegError(path, f"cannot be read: {error.strerror}") from error


def _read_record(file: BinaryIO, most: int) -> bytes | None:
    """Read a record that takes `most` bytes with its frame, or fewer; None: it is damaged."""
    head = file.read(_HEAD_BYTES)
    if len(head) < _HEAD_BYTES or _CRC.unpack_from(head, 8)[0] != masked_crc32c(head[:8]):
        return None
    (length,) = _LENGTH.unpack_from(head)
    # A length that goes beyond the file must not take memory.
    if length + FRAME_BYTES > most:
        return None
    record, tail = file.read(length), file.read(_CRC.size)
    is_whole = len(tail) == _CRC.size and _CRC.unpack(tail)[0] == masked_crc32c(record)
    return record if is_whole else None


def file_crc32c(path: str | Path) -> str:
    """The CRC-32C of a file, as 8 hexadecimal digits."""
    crc = 0
    with open_binary(locate(path)) as file:
        while piece := file.read(_PIECE_BYTES):
            crc = google_crc32c.extend(crc, piece)
    return f"{crc:08x}"


def masked_crc32c(data: bytes) -> int:
    """The checksum of TFRecord files: CRC-32C, rotated right by 15 bits, plus a constant."""
    crc = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF


def _give_up(file: BinaryIO) -> None:
    with suppress(OSError):
        file.close()


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        fix = "make room on the disk" if error.errno in _FULL else ""
        raise LcsegError(path, f"cannot be written: {error.strerror}", fix) from error

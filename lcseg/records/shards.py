"""Shards: TFRecord files of bounded size, with checksums.

with ShardWriter(folder, "train", max_bytes=128_000_000) as writer:
    writer.write(record)
writer.shards                                  # tuple[ShardInfo, …]
for record in read_shard(folder / writer.shards[0].file): …
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

import tensorflow as tf

from lcseg.errors import LcsegError
from lcseg.records.manifest import ShardInfo

FRAME_BYTES = 16
"""What a TFRecord file holds for each record besides the record: its length and two checksums."""


class ShardWriter:
    """Writes records of one split, beginning a new shard when one is full."""

    def __init__(self, folder: Path, split: str, max_bytes: int) -> None:
        self.shards: tuple[ShardInfo, ...] = ()
        self._folder, self._split, self._max_bytes = folder, split, max_bytes
        self._writer: tf.io.TFRecordWriter | None = None
        self._records = self._bytes = 0

    def write(self, record: bytes) -> None:
        """Append a record; a full disk is an LcsegError."""
        with _writing(self._path):
            if self._writer is None:
                self._writer = tf.io.TFRecordWriter(str(self._path))
            self._writer.write(record)
        self._records += 1
        self._bytes += len(record) + FRAME_BYTES
        if self._bytes >= self._max_bytes:
            self._finish()

    @property
    def _path(self) -> Path:
        return self._folder / f"{self._split}-{len(self.shards):05d}.tfrecord"

    def _finish(self) -> None:
        if self._writer is None:
            return
        path, writer, self._writer = self._path, self._writer, None
        with _writing(path):
            writer.close()
        _require_whole(path, self._bytes)
        info = ShardInfo(
            path.name, self._split, self._records, path.stat().st_size, file_sha256(path)
        )
        self.shards += (info,)
        self._records = self._bytes = 0

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._finish()
        elif self._writer is not None:
            # What failed is being told of already; here only the file is let go.
            with suppress(tf.errors.OpError):
                self._writer.close()


def read_shard(path: str | Path) -> Iterator[bytes]:
    """Read the records of a shard in order; damage is an LcsegError."""
    read_bytes = 0
    try:
        for record in tf.data.TFRecordDataset(str(path)):
            value = record.numpy()
            read_bytes += len(value) + FRAME_BYTES
            yield value
    except tf.errors.OpError as error:
        raise LcsegError(path, f"is damaged: {error.message}", "convert again") from error
    # TensorFlow takes a record that is cut off within its length for the end of the file.
    size = Path(path).stat().st_size
    if read_bytes != size:
        raise LcsegError(
            path, f"is damaged: records end at byte {read_bytes:,} of {size:,}", "convert again"
        )


def file_sha256(path: str | Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _require_whole(path: Path, expected_bytes: int) -> None:
    """Have the disk say now whether it holds a file: a full one may tell only here."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
    if path.stat().st_size != expected_bytes:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except tf.errors.OpError as error:
        raise LcsegError(path, f"cannot be written: {error.message}") from error

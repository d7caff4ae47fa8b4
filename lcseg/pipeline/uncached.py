"""Chips read from the shards whenever they are asked for: no cache, but any order.

store = RecordStore("data", manifest, "train")

Opening it walks over the frames of the shards and keeps where each record begins.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

import numpy as np
import tensorflow as tf

from lcseg.errors import LcsegError
from lcseg.files import locate, open_binary, size_of
from lcseg.pipeline.reading import require_chips
from lcseg.pipeline.share import WHOLE, Share
from lcseg.pipeline.store import ChipStore
from lcseg.records.codec import decode_chip, read_histogram
from lcseg.records.manifest import Manifest
from lcseg.records.shards import FRAME_BYTES, masked_crc32c

_HEAD = struct.Struct("<QI")
_CRC = struct.Struct("<I")


class RecordStore(ChipStore):
    """The chips of a split where conversion has put them.

    Args:
        folder: where the data set lies.
        manifest: its manifest.
        split: train, val or test.
        share: what the worker holds.

    Raises:
        LcsegError: the split is empty, or its shards are not those of the manifest.
    """

    def __init__(
        self, folder: str | Path, manifest: Manifest, split: str, share: Share = WHOLE
    ) -> None:
        require_chips(folder, manifest, split)
        self._spec = manifest.spec
        self.image_shape = self._spec.image_shape
        self.first = share.first(manifest, split)
        spans = list(share.spans(manifest, split))
        self._paths = [locate(folder) / span.shard.file for span in spans]
        places = []
        for number, (path, span) in enumerate(zip(self._paths, spans, strict=True)):
            with _opened(path) as file:
                found = _index(file, size_of(path), path)
            if len(found) != span.shard.records:
                problem = f"holds {len(found)} records, the manifest says {span.shard.records}"
                raise LcsegError(path, problem, "convert again")
            held = found[span.first : span.first + span.records]
            places += [(number, start, size) for start, size in held]
        self._places = np.array(places, np.int64)

    @cached_property
    def histograms(self) -> np.ndarray:
        """As in every store; reads all records when it is first asked for."""
        return np.stack([read_histogram(self._spec, self._read(chip)) for chip in range(len(self))])

    def __len__(self) -> int:
        return len(self._places)

    def read_crops(
        self, chips: tf.Tensor, starts: tf.Tensor, crop_hw: tuple[int, int]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        def cut(chips: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            try:
                return self._cut(chips, starts, crop_hw)
            except LcsegError as error:
                self.fault = error
                raise

        dtypes = (tf.as_dtype(self._spec.dtype), tf.uint8)
        # A function of its arguments: calls may run side by side where ops are deterministic.
        images, labels = tf.numpy_function(cut, [chips, starts], dtypes, stateful=False)
        shape = int(chips.shape[0]), *crop_hw
        return tf.ensure_shape(images, (*shape, self.image_shape[2])), tf.ensure_shape(
            labels, shape
        )

    def _cut(
        self, chips: np.ndarray, starts: np.ndarray, crop_hw: tuple[int, int]
    ) -> tuple[np.ndarray, np.ndarray]:
        images = np.empty((len(chips), *crop_hw, self.image_shape[2]), self._spec.dtype)
        labels = np.empty((len(chips), *crop_hw), np.uint8)
        for n, (number, (row, col)) in enumerate(zip(chips, starts, strict=True)):
            chip = decode_chip(self._spec, self._read(number))
            place = slice(row, row + crop_hw[0]), slice(col, col + crop_hw[1])
            images[n], labels[n] = chip.image_hwc[place], chip.label_hw[place]
        return images, labels

    def _read(self, chip: int) -> bytes:
        shard, start, size = self._places[chip]
        # Opened for each record: there may be more shards than a process may hold open.
        with _opened(self._paths[shard]) as file:
            file.seek(start)
            content = file.read(size + _CRC.size)
        record = content[:size]
        is_whole = len(content) == size + _CRC.size
        if not is_whole or _CRC.unpack(content[size:])[0] != masked_crc32c(record):
            problem = f"is damaged at the record that begins at byte {start - _HEAD.size:,}"
            raise LcsegError(self._paths[shard], problem, "convert again")
        return record


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        with open_binary(path) as file:
            yield file
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
        raise LcsegError(path, problem, "lcseg inspect says which shards are whole") from error


def _index(file: BinaryIO, end: int, path: Path) -> list[tuple[int, int]]:
    """First byte and size of each record, from the lengths that stand before them."""
    places, at = [], 0
    while at < end:
        file.seek(at)
        head = file.read(_HEAD.size)
        size, crc = _HEAD.unpack(head) if len(head) == _HEAD.size else (0, -1)
        if crc != masked_crc32c(head[:8]) or at + size + FRAME_BYTES > end:
            problem = f"is damaged at the record that begins at byte {at:,}"
            raise LcsegError(path, problem, "convert again")
        places.append((at + _HEAD.size, size))
        at += size + FRAME_BYTES
    return places

"""Groups of chips, each written into shards of its own.

with GroupWriter(folder, 0, spec) as writer:
    writer.write(record, chip)
    group = writer.finish()
group.shards, group.moments, group.counts
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lcseg.classes import IGNORE
from lcseg.records.config import ConvertConfig
from lcseg.records.manifest import ShardInfo
from lcseg.records.shards import FRAME_BYTES, ShardWriter, settle_shard, write_shard
from lcseg.records.spec import Chip, RecordSpec
from lcseg.records.statistics import Moments, count_classes

_SHARD_BYTES = ConvertConfig.shard_mb * 1_000_000


@dataclass(frozen=True, eq=False)
class Group:
    """What a group of chips holds."""

    moments: Moments  # Of the pixels that are not missing.
    counts: np.ndarray  # int64 [classes + 1]: labels, the last ones ignored.
    shards: tuple[ShardInfo, ...]  # Of no split yet.


class GroupWriter:
    """Writes the chips of a group into one shard after the other."""

    def __init__(self, folder: Path, number: int, spec: RecordSpec) -> None:
        self._folder, self._number, self._spec = folder, number, spec
        self._moments = Moments.empty(self._spec.bands)
        self._counts = np.zeros(self._spec.classes + 1, np.int64)
        self._shards: list[ShardInfo] = []
        self._stack = ExitStack()
        self._writer: ShardWriter | None = None
        self._room = 0

    def __enter__(self) -> GroupWriter:
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def write(self, record: bytes, chip: Chip) -> None:
        """Append a record, as it is, and count what its chip holds."""
        self._moments = self._moments.add(chip.image_hwc[find_shown(chip)])
        self._counts += count_classes(chip.label_hw, self._spec.classes)
        size = len(record) + FRAME_BYTES
        if self._writer is None or size > self._room:
            self._close()
            path = self._folder / f"group-{self._number}-{len(self._shards):05d}.tfrecord"
            self._writer = self._stack.enter_context(write_shard(path, ""))
            self._room = _SHARD_BYTES
        self._writer.write(record)
        self._room -= size

    def _close(self) -> None:
        self._stack.close()
        if self._writer and self._writer.info:
            settle_shard(self._folder / self._writer.info.file)
            self._shards.append(self._writer.info)

    def finish(self) -> Group:
        """Close the last shard; returns what was written."""
        self._close()
        return Group(self._moments, self._counts, tuple(self._shards))


def find_shown(chip: Chip) -> np.ndarray:
    """Which pixels of a chip are not missing, bool [H, W].

    One that is 0 in every band and has no label counts as missing: records do not tell more.
    """
    is_shown: np.ndarray = chip.image_hwc.any(axis=-1) | (chip.label_hw != IGNORE)
    return is_shown

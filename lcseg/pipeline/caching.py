"""Where the chips are kept between epochs: decided and said before any of them is read.

plan = plan_cache("data", manifest, ["train", "val"], "auto", disk_folder="run/cache")
str(plan)       # "cache: memory, 12.4 GB of train and val in each worker, 21 GB may be taken"
store = plan.open("train")
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lcseg.errors import LcsegError
from lcseg.pipeline.capacity import free_disk_bytes, free_memory_bytes
from lcseg.pipeline.disk import cache_bytes, has_cache, map_chips
from lcseg.pipeline.memory import load_chips
from lcseg.pipeline.share import WHOLE, Share
from lcseg.pipeline.store import ChipStore
from lcseg.pipeline.uncached import RecordStore
from lcseg.records.manifest import Manifest

MEMORY_SHARE = 0.7
"""Share of the free memory that the chips may take if no budget is given."""

DISK_SHARE = 0.9
"""Share of the free disk that the chips may take: checkpoints and bundles need some too."""


@dataclass(frozen=True)
class CachePlan:
    """What is kept where."""

    data: str | Path  # Folder of the data set.
    manifest: Manifest  # Its manifest.
    kind: str  # memory, disk or none.
    figures: str  # What was decided, with the figures.
    disk_folder: str | Path = ""  # Where files lie, if kind is disk.
    share: Share = WHOLE  # What the worker holds of each split.

    def open(self, split: str, quiet: bool = True) -> ChipStore:
        """Make a split readable in any order; a cache is filled now."""
        if self.kind == "memory":
            return load_chips(self.data, self.manifest, split, quiet, self.share)
        if self.kind == "disk":
            folder = self.disk_folder
            return map_chips(self.data, self.manifest, split, folder, quiet, self.share)
        return RecordStore(self.data, self.manifest, split, self.share)

    def __str__(self) -> str:
        return f"cache: {self.kind}, {self.figures}"


@dataclass(frozen=True)
class _Place:
    """Room of one kind."""

    needed: int  # Bytes that the chips would take.
    allowed: int  # Bytes that they may take.

    @property
    def is_enough(self) -> bool:
        return self.needed <= self.allowed


def plan_cache(
    data: str | Path,
    manifest: Manifest,
    splits: Iterable[str],
    cache: str = "auto",
    memory_gb: float = 0,
    disk_folder: str | Path = "",
    share: Share = WHOLE,
) -> CachePlan:
    """Decide where a worker's chips of some splits, all in use at the same time, are kept.

    Args:
        data: where the data set lies.
        manifest: its manifest.
        splits: the splits.
        cache: memory, disk, none or auto: the first of them for which there is room.
        memory_gb: most memory to take, in GB; 0: a share of what is free.
        disk_folder: for the files of a cache on disk; empty: there shall be none.
        share: what the worker holds of each split.

    Raises:
        LcsegError: there is no room for what was asked.
    """
    splits = list(splits)
    needed = sum(share.chips(manifest, split) for split in splits) * manifest.spec.chip_bytes
    free_bytes = MEMORY_SHARE * free_memory_bytes() / share.neighbours
    memory = _Place(needed, int(memory_gb * 1e9 or free_bytes))
    disk = _measure_disk(manifest, splits, disk_folder, share)
    if cache == "auto":
        is_on_disk = bool(disk_folder) and disk.is_enough
        cache = "memory" if memory.is_enough else "disk" if is_on_disk else "none"
    what = f"{_gb(needed)} of {' and '.join(splits)} in each worker"
    if cache == "memory":
        _require_memory(data, memory)
        what += f", {_gb(memory.allowed)} may be taken"
    elif cache == "disk":
        _require_disk(disk_folder, disk)
        what += f", {_gb(disk.needed)} of it to be written to {disk_folder}"
        what += f", {_gb(disk.allowed)} may be taken"
    else:
        what += f", read from {data} in every epoch"
    return CachePlan(data, manifest, cache, what, disk_folder, share)


def _require_memory(data: str | Path, memory: _Place) -> None:
    if not memory.is_enough:
        raise LcsegError(
            data,
            f"{_gb(memory.needed)} of chips do not fit into {_gb(memory.allowed)} of memory",
            "raise --cache_gb, choose --cache=auto, disk or none, or use a larger machine",
        )


def _require_disk(folder: str | Path, disk: _Place) -> None:
    if not folder:
        raise LcsegError("--cache=disk", "has no folder", "name a --cache_dir")
    if not disk.is_enough:
        raise LcsegError(
            folder,
            f"{_gb(disk.needed)} of chips do not fit into the {_gb(disk.allowed)} "
            "of the disk that may be taken",
            "name another --cache_dir, or --cache=none",
        )


def _measure_disk(
    manifest: Manifest, splits: list[str], folder: str | Path, share: Share
) -> _Place:
    """Room on the disk for those files that are not there yet."""
    if not folder:
        return _Place(0, 0)
    missing = [split for split in splits if not has_cache(folder, manifest, split, share)]
    needed = sum(cache_bytes(manifest, split, share) for split in missing)
    return _Place(needed, int(DISK_SHARE * free_disk_bytes(folder) / share.neighbours))


def _gb(n: float) -> str:
    return f"{n / 1e9:.3g} GB"

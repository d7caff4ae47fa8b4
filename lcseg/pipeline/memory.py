"""The chips of a split, held in memory as raw integers.

require_fit("data", manifest, ["train"], budget_gb=8)
store = load_chips("data", manifest, "train")
store.images, store.labels                     # tf.Tensor [N, H, W, C] and [N, H, W]
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from lcseg.errors import LcsegError
from lcseg.pipeline.parsing import parse_pixels
from lcseg.progress import Progress
from lcseg.records.manifest import Manifest

FREE_SHARE = 0.7
"""Share of the free memory that the chips may take if no budget is given."""

_READ_BATCH = 32
_ALIGNMENT = 64


@dataclass(frozen=True, eq=False)
class ChipStore:
    """Chips in the order of the records."""

    images: tf.Tensor  # [N, H, W, C] of the data set's dtype, on the host.
    labels: tf.Tensor  # uint8 [N, H, W].

    def __len__(self) -> int:
        return int(self.images.shape[0])


def load_chips(folder: str | Path, manifest: Manifest, split: str, quiet: bool = True) -> ChipStore:
    """Read a split into memory.

    Args:
        folder: where the data set lies.
        manifest: its manifest.
        split: train, val or test.
        quiet: show no progress.

    Raises:
        LcsegError: the split is empty, or its shards are damaged.
    """
    count = manifest.chips_of(split)
    if not count:
        raise LcsegError(folder, f"has no chips in its {split} split", "convert with more data")
    images = _empty_aligned((count, *manifest.spec.image_shape), manifest.dtype)
    labels = _empty_aligned(images.shape[:3], "uint8")
    at = 0
    with Progress(f"read {split}", count, "chips", quiet) as progress:
        try:
            for image, label in _read(folder, manifest, split).as_numpy_iterator():
                if at + len(image) > count:
                    raise LcsegError(folder, f"{split} holds more than {count} records")
                images[at : at + len(image)], labels[at : at + len(image)] = image, label
                at += len(image)
                progress.advance(len(image))
        except tf.errors.OpError as error:
            problem = f"its {split} split cannot be read; a shard is missing or damaged"
            raise LcsegError(folder, problem, "lcseg inspect says which") from error
    if at != count:
        raise LcsegError(folder, f"{split} holds {at} records, its manifest says {count}")
    # tf.convert_to_tensor would copy them twice, and the budget is for one.
    return ChipStore(
        *(tf.experimental.dlpack.from_dlpack(a.__dlpack__()) for a in (images, labels))
    )


def require_fit(
    folder: str | Path, manifest: Manifest, splits: Iterable[str], budget_gb: float = 0
) -> None:
    """Refuse, before anything is read, splits that do not fit into memory together.

    Args:
        folder: where the data set lies.
        manifest: its manifest.
        splits: what will be held in memory at the same time.
        budget_gb: most memory to take; 0: a share of what is free.
    """
    needed = sum(map(manifest.chips_of, splits)) * manifest.spec.chip_bytes
    budget = budget_gb * 1e9 or FREE_SHARE * free_memory_bytes()
    if needed > budget:
        raise LcsegError(
            folder,
            f"{needed / 1e9:.3g} GB of chips do not fit into {budget / 1e9:.3g} GB of memory",
            "raise --cache_gb, use a larger machine or a smaller data set",
        )


def free_memory_bytes() -> int:
    """Memory that this process may still take: the machine's, or its control group's if less."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    free = {name: int(rest.split()[0]) * 1024 for name, rest in (x.split(":") for x in lines)}
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    if limit.exists() and used.exists() and limit.read_text().strip() != "max":
        # Pages of files count as used, but are given back when memory is short.
        lines = Path("/sys/fs/cgroup/memory.stat").read_text().splitlines()
        stat = dict(line.split() for line in lines)
        taken = int(used.read_text()) - int(stat.get("inactive_file", 0))
        return min(free["MemAvailable"], int(limit.read_text()) - taken)
    return free["MemAvailable"]


def _empty_aligned(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """An array that begins where TensorFlow wants its tensors to."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = np.empty(size + _ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    return memory[start : start + size].view(dtype).reshape(shape)


def _read(folder: str | Path, manifest: Manifest, split: str) -> tf.data.Dataset:
    files = [str(Path(folder) / shard.file) for shard in manifest.shards_of(split)]
    options = tf.data.Options()
    options.deterministic = True
    return (
        tf.data.TFRecordDataset(files)
        .map(
            lambda record: parse_pixels(manifest.spec, record), num_parallel_calls=tf.data.AUTOTUNE
        )
        .batch(_READ_BATCH)
        .prefetch(2)
        .with_options(options)
    )

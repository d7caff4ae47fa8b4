"""The chips of a split, held in memory as raw integers.

store = load_chips("data", manifest, "train")
store.images, store.labels                     # tf.Tensor [N, H, W, C] and [N, H, W]
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lcseg.pipeline.reading import read_split, require_chips
from lcseg.pipeline.share import WHOLE, Share
from lcseg.pipeline.store import ArrayStore
from lcseg.records.manifest import Manifest

_ALIGNMENT = 64


def load_chips(
    folder: str | Path, manifest: Manifest, split: str, quiet: bool = True, share: Share = WHOLE
) -> ArrayStore:
    """Read a share of a split into memory; takes what `RecordSpec.chip_bytes` says for each chip.

    Args:
        folder: where the data set lies.
        manifest: its manifest.
        split: train, val or test.
        quiet: show no progress.
        share: what the worker holds.

    Raises:
        LcsegError: the split is empty, or its shards are damaged.
    """
    require_chips(folder, manifest, split)
    count, spec = share.chips(manifest, split), manifest.spec
    images = _empty_aligned((count, *spec.image_shape), manifest.dtype)
    labels = _empty_aligned(images.shape[:3], "uint8")
    histograms = np.empty((count, spec.classes + 1), np.int64)
    at = 0
    for arrays in read_split(folder, manifest, split, quiet, share):
        end = at + len(arrays[0])
        for whole, part in zip((images, labels, histograms), arrays, strict=True):
            whole[at:end] = part
        at = end
    return ArrayStore.wrap(images, labels, histograms, share.first(manifest, split))


def _empty_aligned(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """An array that begins where TensorFlow wants its tensors to."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = np.empty(size + _ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    return memory[start : start + size].view(dtype).reshape(shape)

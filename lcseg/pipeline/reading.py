"""Splits read from their first record to their last, as caches are filled.

for images, labels, histograms in read_split("data", manifest, "train"): …
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from lcseg.errors import LcsegError
from lcseg.files import locate
from lcseg.pipeline.parsing import parse_chip
from lcseg.pipeline.share import WHOLE, Share
from lcseg.progress import Progress
from lcseg.records.manifest import Manifest

_READ_BATCH = 32

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]


def read_split(
    folder: str | Path, manifest: Manifest, split: str, quiet: bool = True, share: Share = WHOLE
) -> Iterator[Arrays]:
    """Read a worker's share of a split in the order of its records.

    Args:
        folder: where the data set lies.
        manifest: its manifest.
        split: train, val or test.
        quiet: show no progress.
        share: what the worker holds.

    Yields:
        Images [n, H, W, C], labels uint8 [n, H, W] and histograms int64 [n, classes + 1] of the
        next few chips.

    Raises:
        LcsegError: a shard is damaged, or holds another number of records than the manifest says.
    """
    count = share.chips(manifest, split)
    at = 0
    with Progress(f"read {split}", count, "chips", quiet) as progress:
        try:
            for arrays in _read(folder, manifest, split, share).as_numpy_iterator():
                at += len(arrays[0])
                if at > count:
                    raise LcsegError(folder, f"{split} holds more than {count} records")
                yield arrays
                progress.advance(len(arrays[0]))
        except tf.errors.OpError as error:
            problem = f"its {split} split cannot be read; a shard is missing or damaged"
            raise LcsegError(folder, problem, "lcseg inspect says which") from error
    if at != count:
        raise LcsegError(folder, f"{split} holds {at} records, its manifest says {count}")


def require_chips(folder: str | Path, manifest: Manifest, split: str) -> None:
    """Refuse a split without a chip."""
    if not manifest.chips_of(split):
        raise LcsegError(folder, f"has no chips in its {split} split", "convert with more data")


def _read(folder: str | Path, manifest: Manifest, split: str, share: Share) -> tf.data.Dataset:
    spans = list(share.spans(manifest, split))
    files = [str(locate(folder) / span.shard.file) for span in spans]
    # Read to the end of the file, so that a shard that holds too much is noticed.
    counts = np.array([-1 if s.first + s.records == s.shard.records else s.records for s in spans])
    firsts = np.array([span.first for span in spans])
    options = tf.data.Options()
    options.deterministic = True
    return (
        tf.data.Dataset.from_tensor_slices((files, firsts, counts))
        .flat_map(lambda file, first, n: tf.data.TFRecordDataset(file).skip(first).take(n))
        .map(lambda record: parse_chip(manifest.spec, record), num_parallel_calls=tf.data.AUTOTUNE)
        .batch(_READ_BATCH)
        .prefetch(2)
        .with_options(options)
    )

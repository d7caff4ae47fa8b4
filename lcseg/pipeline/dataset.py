"""From chips to batches.

    batches = training_batches(store, config, statistics, seed=0, batch=16, first=0, last=1000)
    for images, labels in evaluation_batches(store, batch=16, multiple_px=16): …

Training is an endless row of draws. Draw d is of epoch d // N and takes the chip at place d % N of
that epoch's order; its crop, symmetry and light depend on (seed, epoch, chip) alone, and on how
often that epoch has taken the chip before. So any batch can be made without those before it, and a
resumed run sees what an undisturbed one would.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from lcseg.classes import IGNORE
from lcseg.pipeline.augmentation import SYMMETRIES, apply_d4, shift_light
from lcseg.pipeline.config import InputConfig
from lcseg.pipeline.sampling import draw_chips
from lcseg.pipeline.store import ChipStore
from lcseg.records.manifest import BandStatistics

PARALLEL_CALLS = tf.data.AUTOTUNE
"""Batches made side by side; changes nothing but speed."""


def training_batches(
    store: ChipStore,
    config: InputConfig,
    statistics: BandStatistics,
    seed: int,
    batch: int,
    first: int,
    last: int,
) -> tf.data.Dataset:
    """Make the batches number `first` to `last` - 1 of a training run.

    Args:
        store: the chips.
        config: sampling, crop and augmentation; its global batch is not used here.
        statistics: of the training split.
        seed: decides order, crops and augmentation.
        batch: crops in a batch, of one device.
        first: number of the first batch.
        last: number after the last batch.

    Returns:
        Pairs of images [batch, crop, crop, C] of the chips' dtype and labels uint8
        [batch, crop, crop].
    """
    mean = tf.constant(statistics.mean, tf.float32)
    std = tf.constant(statistics.std, tf.float32)

    def make_batch(
        epochs: tf.Tensor, chips: tf.Tensor, occurrences: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        numbers = _draw_numbers(
            epochs, chips + store.first, occurrences, seed, 4 + len(statistics.mean)
        )
        images, labels = _crop(store, chips, numbers[:, :2], config.crop_px)
        if config.d4:
            symmetry = tf.cast(numbers[:, 2] * SYMMETRIES, tf.int32)
            images, labels = apply_d4(images, labels, symmetry)
        if config.contrast or config.brightness:
            contrast = 1 + config.contrast * (2 * numbers[:, 3] - 1)
            brightness = config.brightness * (2 * numbers[:, 4:] - 1)
            images = shift_light(images, contrast, brightness, mean, std)
        return images, labels

    return (
        draw_chips(store, config.sampling, seed, first * batch, last * batch)
        .batch(batch, drop_remainder=True)
        .map(make_batch, num_parallel_calls=PARALLEL_CALLS, deterministic=True)
        .prefetch(2)
    )


def evaluation_batches(store: ChipStore, batch: int, multiple_px: int) -> tf.data.Dataset:
    """Make batches that hold every chip once, in order and in one static shape.

    Args:
        store: the chips.
        batch: chips in a batch; the last one is filled up with chips that are all ignored.
        multiple_px: chips are padded (by reflection, ignored in the label) to a multiple of this.
    """
    height, width, _ = store.image_shape
    pad = [[0, 0], [0, -height % multiple_px], [0, -width % multiple_px]]
    count = len(store)

    def take_batch(start: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        places = start + tf.range(batch, dtype=tf.int64)
        chips = tf.minimum(places, count - 1)
        images, labels = store.read_crops(chips, tf.zeros([batch, 2], tf.int64), (height, width))
        labels = tf.where((places < count)[:, None, None], labels, tf.constant(IGNORE, tf.uint8))
        images = tf.pad(images, [*pad, [0, 0]], "REFLECT")
        return images, tf.pad(labels, pad, constant_values=IGNORE)

    return (
        tf.data.Dataset.range(0, count, batch)
        .map(take_batch, num_parallel_calls=PARALLEL_CALLS, deterministic=True)
        .prefetch(2)
    )


def _draw_numbers(
    epochs: tf.Tensor, chips: tf.Tensor, occurrences: tf.Tensor, seed: int, n: int
) -> tf.Tensor:
    """Uniform numbers in [0, 1), float32 [draws, n], by (seed, epoch, chip, occurrence)."""
    whens = epochs * np.int64(2**32) + np.int64(seed)
    keys = tf.stack([whens, chips + occurrences * np.int64(2**32)], axis=1)
    return tf.stack(
        [tf.random.stateless_uniform([n], key) for key in tf.unstack(keys, int(keys.shape[0]))]
    )


def _crop(
    store: ChipStore, chips: tf.Tensor, offsets: tf.Tensor, crop_px: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Cut a square out of each chip; offsets in [0, 1) span the places where it fits."""
    chip_px = store.image_shape[0]
    crop_px = crop_px or chip_px
    starts = tf.cast(offsets * (chip_px - crop_px + 1), tf.int64)
    return store.read_crops(chips, starts, (crop_px, crop_px))

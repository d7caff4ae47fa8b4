"""Which chips an epoch takes, and in which order.

for epoch, chip, occurrence in draw_chips(store, "balanced", seed=0, first=0, last=1000): …

An epoch has as many draws as there are chips. Uniform sampling takes every chip once. Balanced
sampling is as if a class were drawn from the C classes that the split has, then one of its N_c
pixels, then the chip around it; n_ic pixels of chip i are of class c:

    P(i) = 1/C * sum over c of n_ic / N_c

The draws of an epoch are systematic (Madow 1949): at N places one N-th apart on the cumulated P,
moved by one random number. So a chip with N * P(i) = 2.3 is drawn two or three times.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from lcseg.pipeline.store import ChipStore

_OFFSET_KEY = 2**32
"""Added to the seed for the random number of balanced draws; seeds are less than 2^31."""

_FIRST_KEY = 2**32
"""Times the number of a worker's first chip is added to the epoch; both are less than 2^31."""


def draw_chips(
    store: ChipStore, sampling: str, seed: int, first: int, last: int
) -> tf.data.Dataset:
    """Say which chips the draws number `first` to `last` - 1 of a run take.

    Args:
        store: the chips.
        sampling: uniform or balanced.
        seed: of the run.
        first: number of the first draw.
        last: number after the last draw.

    Returns:
        Elements (epoch, chip, occurrence), int64 scalars. Chips and their order in an epoch depend
        on (seed, epoch) and on what the store holds; occurrence counts how often the epoch has
        taken a chip, from 0.
    """
    count = len(store)
    ends = np.cumsum(weigh_chips(store.histograms)) if sampling == "balanced" else None

    def draw_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        # No two workers draw alike.
        key = tf.stack([np.int64(seed), epoch + np.int64(store.first * _FIRST_KEY)])
        places = tf.random.experimental.stateless_shuffle(tf.range(count, dtype=tf.int64), key)
        if ends is None:
            chips, occurrences = places, tf.zeros_like(places)
        else:
            drawn, again = _draw_balanced(ends, key)
            chips, occurrences = tf.gather(drawn, places), tf.gather(again, places)
        return tf.data.Dataset.from_tensor_slices((tf.fill([count], epoch), chips, occurrences))

    epochs = tf.data.Dataset.range(first // count, -(-last // count))
    return epochs.flat_map(draw_epoch).skip(first % count).take(last - first)


def weigh_chips(histograms: np.ndarray) -> np.ndarray:
    """P of the module's formula, float64 [N]; alike for all if no pixel has a label.

    Args:
        histograms: int64 [N, classes + 1], the last column those ignored.
    """
    labelled = histograms[:, :-1].astype(np.float64)
    of_class = labelled.sum(axis=0)
    has_pixels = of_class > 0
    if not has_pixels.any():
        return np.full(len(histograms), 1 / len(histograms))
    return (labelled[:, has_pixels] / of_class[has_pixels]).mean(axis=1)


def _draw_balanced(ends: np.ndarray, key: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """N chips in rising order, and how often each has come before: int64 [N] both.

    Args:
        ends: float64 [N], the cumulated P.
        key: int64 [2], seed and epoch.
    """
    count = len(ends)
    offset = tf.random.stateless_uniform(
        [], key + tf.constant([_OFFSET_KEY, 0], tf.int64), dtype=tf.float64
    )
    # The last sum may be a little off 1; a chip of weight 0 at the end must not be drawn for it.
    places = (offset + tf.range(count, dtype=tf.float64)) * (ends[-1] / count)
    chips = tf.searchsorted(tf.constant(ends), places, side="right", out_type=tf.int64)
    chips = tf.minimum(chips, int(np.searchsorted(ends, ends[-1])))
    befores = tf.searchsorted(chips, chips, side="left", out_type=tf.int64)
    return chips, tf.range(count, dtype=tf.int64) - befores

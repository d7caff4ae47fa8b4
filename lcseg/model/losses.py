"""Masked, weighted losses over all pixels of all devices.

    loss = LOSSES["cross_entropy"]
    sums = loss.sums(logits_nhwc, labels_nhw, class_weights)       # of this device
    value = loss.value(global_sum(sums))                           # of the whole batch

A loss is a function of sums over pixels, so that n devices give what one would give on the joined
batch. Pixels with label 255 add nothing to any sum; without a single labelled pixel a loss is 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from lcseg.classes import IGNORE
from lcseg.model.config import LossConfig

FOCAL_GAMMA = 2.0


@dataclass(frozen=True)
class Loss:
    """A loss in two steps: sums that add over devices, and the value of the added sums."""

    sums: Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]  # (logits, labels, weights) -> [n]
    value: Callable[[tf.Tensor], tf.Tensor]  # [n] -> scalar


@tf.custom_gradient
def global_sum(sums: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    """Add a tensor over all replicas; the gradient goes to this replica's own part alone.

    The optimizer adds the gradients of all replicas, so each must hold its own share only.
    """
    context = tf.distribute.get_replica_context()
    total = context.all_reduce(tf.distribute.ReduceOp.SUM, sums)
    return total, lambda upstream: upstream


def _mask(labels: tf.Tensor, n_classes: int) -> tuple[tf.Tensor, tf.Tensor]:
    """(float32 1 where labelled else 0, int32 labels with 0 where ignored)."""
    is_labelled = labels != IGNORE
    safe = tf.where(is_labelled, tf.cast(labels, tf.int32), 0)
    says = "a label is beyond the classes of the model"
    # Or the ops that take the labels may be first, and say it less well, or not at all.
    with tf.control_dependencies([tf.debugging.assert_less(safe, n_classes, message=says)]):
        return tf.cast(is_labelled, tf.float32), tf.identity(safe)


def _cross_entropy_sums(logits: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    mask, safe = _mask(labels, weights.shape[0])
    pixel_weights = mask * tf.gather(weights, safe)
    entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(safe, logits)
    return tf.stack([tf.reduce_sum(pixel_weights * entropy), tf.reduce_sum(pixel_weights)])


def _focal_sums(logits: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """(1 - p)^2 times cross-entropy (Lin et al. 2017, arXiv:1708.02002)."""
    mask, safe = _mask(labels, weights.shape[0])
    pixel_weights = mask * tf.gather(weights, safe)
    entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(safe, logits)
    focus = (1 - tf.exp(-entropy)) ** FOCAL_GAMMA
    return tf.stack([tf.reduce_sum(pixel_weights * focus * entropy), tf.reduce_sum(pixel_weights)])


def _dice_sums(logits: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Cross-entropy's two sums, then by class: overlap, predicted mass, labelled mass."""
    n_classes = weights.shape[0]
    mask, safe = _mask(labels, n_classes)
    truth = tf.one_hot(safe, n_classes) * mask[..., None]
    guess = tf.nn.softmax(logits) * mask[..., None]
    by_class = [tf.reduce_sum(x, axis=[0, 1, 2]) for x in (truth * guess, guess, truth)]
    return tf.concat([_cross_entropy_sums(logits, labels, weights), *by_class], axis=0)


def _mean_value(sums: tf.Tensor) -> tf.Tensor:
    return tf.math.divide_no_nan(sums[0], sums[1])


def _dice_value(sums: tf.Tensor) -> tf.Tensor:
    """Weighted cross-entropy plus 1 - mean Dice over the classes that the batch is labelled with.

    The soft Dice of Milletari et al. 2016 (arXiv:1606.04797), with plain sums in the denominator.
    """
    overlap, guess, truth = tf.split(sums[2:], 3)
    present = tf.cast(truth > 0, tf.float32)
    dice = tf.math.divide_no_nan(2 * overlap, guess + truth)
    missed = tf.math.divide_no_nan(tf.reduce_sum(present * (1 - dice)), tf.reduce_sum(present))
    return _mean_value(sums) + missed


LOSSES = {
    "cross_entropy": Loss(_cross_entropy_sums, _mean_value),
    "focal": Loss(_focal_sums, _mean_value),
    "dice_cross_entropy": Loss(_dice_sums, _dice_value),
}


def weigh_classes(config: LossConfig, class_pixels: tuple[int, ...]) -> np.ndarray:
    """Weigh classes by their pixels in the training split.

    `inverse`: N / (K n_c), over the K classes that have pixels. `median_frequency`:
    median(n) / n_c, as Eigen and Fergus 2015, but with frequencies in the whole split.
    `effective_number`: (1 - b) / (1 - b^n_c), scaled to a mean of 1 over the classes
    (Cui et al. 2019, arXiv:1901.05555), with b = 1 - 1/N as there.

    Returns:
        float32 [K], at most `max_class_weight`; 1 for classes without a pixel.
    """
    counts = np.array(class_pixels, np.float64)
    present = counts > 0
    weights = np.ones(len(counts))
    weights[present] = _WEIGHTINGS[config.class_weights](counts[present])
    return np.minimum(weights, config.max_class_weight).astype(np.float32)


def _weigh_by_effective_number(counts: np.ndarray) -> np.ndarray:
    # 1 - b^n, for b so close to 1 that b^n itself would round.
    weights = 1 / -np.expm1(counts * np.log1p(-1 / counts.sum()))
    return weights / weights.mean()


_WEIGHTINGS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "none": np.ones_like,
    "inverse": lambda counts: counts.sum() / (len(counts) * counts),
    "median_frequency": lambda counts: np.median(counts) / counts,
    "effective_number": _weigh_by_effective_number,
}

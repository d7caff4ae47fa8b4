"""Confusion matrices and losses of models on chips, as training asks for after every epoch.

scorer = ChipScorer(model, n_classes=4)
confusion, loss = scorer.score(store, batch=8, multiple_px=16)
"""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from lcseg.classes import IGNORE
from lcseg.evaluation.confusion import Confusion
from lcseg.model.losses import LOSSES, Loss
from lcseg.pipeline.dataset import evaluation_batches
from lcseg.pipeline.store import ChipStore
from lcseg.progress import Progress


class ChipScorer:
    """Judges a model on chips; compiled once, used after every epoch.

    Args:
        model: raw pixels in, logits out.
        n_classes: how many classes it tells apart.
        loss: the loss to measure.
        class_weights: float32 [n_classes]; None: all 1.
    """

    def __init__(
        self,
        model: keras.Model,
        n_classes: int,
        loss: Loss = LOSSES["cross_entropy"],
        class_weights: np.ndarray | None = None,
    ) -> None:
        self._n_classes = n_classes
        self._loss = loss
        weights = np.ones(n_classes, np.float32) if class_weights is None else class_weights

        @tf.function
        def judge(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            logits = model(images, training=False)
            counts = _count(labels, tf.argmax(logits, -1), n_classes)
            return counts, loss.sums(logits, labels, tf.constant(weights))

        self._judge = judge

    def score(
        self,
        store: ChipStore,
        batch: int,
        multiple_px: int,
        quiet: bool = True,
        add: Callable[[np.ndarray], np.ndarray] = lambda own: own,
    ) -> tuple[Confusion, float]:
        """Judge the model on every chip once: the confusion matrix and the loss.

        Where several workers hold a share of the chips each, `add` adds an array over all of them.
        """
        counts = np.zeros((self._n_classes, self._n_classes), np.int64)
        sums = np.zeros(1)
        with Progress("evaluate", len(store), "chips", quiet) as progress, store.named_faults():
            for images, labels in evaluation_batches(store, batch, multiple_px):
                batch_counts, batch_sums = self._judge(images, labels)
                counts += batch_counts.numpy()
                sums = sums + batch_sums.numpy().astype(np.float64)
                progress.advance(min(batch, len(store) - progress.count))
        value = self._loss.value(tf.constant(add(sums), tf.float32))
        return Confusion(add(counts)), float(value)


def _count(labels: tf.Tensor, prediction: tf.Tensor, n_classes: int) -> tf.Tensor:
    """Count (label, prediction) pairs of labelled pixels, int64 [n, n]."""
    is_labelled = labels != IGNORE
    cells = tf.cast(labels, tf.int64) * n_classes + prediction
    cells = tf.where(is_labelled, cells, n_classes**2)
    counts = tf.math.bincount(
        tf.cast(tf.reshape(cells, [-1]), tf.int32),
        minlength=n_classes**2 + 1,
        maxlength=n_classes**2 + 1,
        dtype=tf.int64,
    )
    return tf.reshape(counts[:-1], [n_classes, n_classes])

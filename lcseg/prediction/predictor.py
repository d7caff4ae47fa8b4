"""A bundle as a function from padded blocks to classes and probabilities.

predictor = Predictor(load_bundle("run/bundle"))
label_nhw, logits_nhwk = predictor.predict(padded_nhwc)
"""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import tensorflow as tf

from lcseg.model.bundle import Bundle, load_bundle


class Predictor:
    """Predicts blocks; the margin that a block was read with is cut off again."""

    def __init__(self, bundle: Bundle) -> None:
        self.info = bundle.info
        halo_px = bundle.info.halo_px

        def answer(images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            logits = bundle.model(images, training=False)
            height, width = tf.shape(logits)[1], tf.shape(logits)[2]
            own = logits[:, halo_px : height - halo_px, halo_px : width - halo_px]
            return tf.cast(tf.argmax(own, -1, tf.int32), tf.uint8), own

        self._answer = tf.function(answer, reduce_retracing=True)
        self._classify = tf.function(lambda images: answer(images)[0], reduce_retracing=True)

    def classify(self, padded_nhwc: np.ndarray) -> np.ndarray:
        """Classes, uint8 [N, H, W], as of `predict`; logits do not leave the network."""
        classes_nhw: np.ndarray = self._classify(padded_nhwc).numpy()
        return classes_nhw

    def predict(self, padded_nhwc: np.ndarray) -> tuple[np.ndarray, tf.Tensor]:
        """Predict blocks read with the halo of the bundle.

        Args:
            padded_nhwc: raw pixels [N, H + 2 halo, W + 2 halo, C]; sides are multiples of the
                stride.

        Returns:
            Classes, uint8 [N, H, W], and logits, float32 [N, H, W, K].
        """
        label_nhw, logits_nhwk = self._answer(padded_nhwc)
        return label_nhw.numpy(), logits_nhwk

    def to_probabilities(self, logits_nhwk: tf.Tensor) -> np.ndarray:
        """Turn logits into probabilities, float32 [N, H, W, K] that sum to 1."""
        return tf.nn.softmax(logits_nhwk).numpy()


def load_predictor(bundle: str, threads: int = 0) -> Predictor:
    """Load a bundle, for so many threads if TensorFlow is not yet at work; 0: as it likes."""
    if threads:
        with suppress(RuntimeError):
            tf.config.threading.set_intra_op_parallelism_threads(threads)
    return Predictor(load_bundle(bundle))

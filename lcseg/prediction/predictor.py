"""A bundle as a function from padded blocks to classes and probabilities.

predictor = Predictor(load_bundle("run/bundle"))
label_hw, probs_hwc = predictor.predict(padded_hwc)
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from lcseg.errors import LcsegError
from lcseg.model.bundle import Bundle
from lcseg.model.info import BundleInfo
from lcseg.raster.grid import pixel_sizes_agree
from lcseg.raster.source import ImageSource, bands_agree


class Predictor:
    """Predicts blocks; the margin that a block was read with is cut off again."""

    def __init__(self, bundle: Bundle) -> None:
        self.info = bundle.info
        halo_px = bundle.info.halo_px

        @tf.function(reduce_retracing=True)
        def classify(images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            logits = bundle.model(images, training=False)
            height, width = tf.shape(logits)[1], tf.shape(logits)[2]
            own = logits[0, halo_px : height - halo_px, halo_px : width - halo_px]
            return tf.cast(tf.argmax(own, -1, tf.int32), tf.uint8), own

        self._classify = classify

    def predict(self, padded_hwc: np.ndarray) -> tuple[np.ndarray, tf.Tensor]:
        """Predict a block read with the halo of the bundle.

        Args:
            padded_hwc: raw pixels [H + 2 halo, W + 2 halo, C]; sides are multiples of the stride.

        Returns:
            Classes, uint8 [H, W], and logits, float32 [H, W, K], for `to_probabilities`.
        """
        label_hw, logits_hwk = self._classify(padded_hwc[None])
        return label_hw.numpy(), logits_hwk


def to_probabilities(logits_hwk: tf.Tensor) -> np.ndarray:
    """Turn logits into probabilities, float32 [H, W, K] that sum to 1."""
    return tf.nn.softmax(logits_hwk).numpy()


def require_fit(info: BundleInfo, image: ImageSource, pixel_m: float | None) -> None:
    """Refuse an image that is not like those which the bundle was trained on.

    Bands are compared by number, and by name where both sides know it.
    """
    if info.config.get("norm") == "group":
        raise LcsegError(
            "the bundle",
            "normalises by the statistics of a window, so a map of blocks would have seams",
            "train with --norm=batch, sync_batch or none to make maps",
        )
    problem = fix = ""
    if len(image.bands) != len(info.bands):
        problem = f"has {len(image.bands)} bands, the bundle was trained on {len(info.bands)}: "
        problem += ", ".join(info.bands)
    elif not bands_agree(image.bands, info.bands):
        problem = f"has the bands {', '.join(image.bands)}, the bundle's are "
        problem += ", ".join(info.bands)
        fix = "put its bands into this order (gdal_translate -b)"
    elif image.dtype != info.dtype:
        problem = f"has pixels of {image.dtype}, the bundle was trained on {info.dtype}"
        fix = "bring it to the values of the training imagery"
    elif not pixel_sizes_agree(pixel_m, info.pixel_m):
        problem = f"has pixels of {pixel_m:.4g} m, the bundle was trained on {info.pixel_m:.4g} m"
        fix = "resample it (gdalwarp -tr)"
    if problem:
        raise LcsegError(image.path, problem, fix)

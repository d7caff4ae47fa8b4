"""What maps are held against: one pass of the network over the whole scene, mirrored by numpy."""

from pathlib import Path

import numpy as np
import rasterio

from lcseg.model.bundle import Bundle

CLOSE = 1e-5
"""How far probabilities may be apart and still be the same."""


def make_values(height: int, width: int, bands: int = 4) -> np.ndarray:
    """Noise: with it, what a pixel is depends on all that the network sees around it."""
    return np.random.default_rng([height, width]).integers(0, 256, (height, width, bands), np.uint8)


def infer_whole(bundle: Bundle, image_hwc: np.ndarray) -> np.ndarray:
    """Probabilities of a whole scene in one pass, float64 [H, W, K]."""
    (height, width), halo, stride = image_hwc.shape[:2], bundle.info.halo_px, bundle.info.stride_px
    pad = [(halo, halo + -size % stride) for size in (height, width)]
    plane_hwc = np.pad(image_hwc, [*pad, (0, 0)], mode="reflect")
    logits = bundle.model(plane_hwc[None], training=False).numpy()[0].astype(np.float64)
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probs = powers / powers.sum(axis=-1, keepdims=True)
    return probs[halo : halo + height, halo : halo + width]


def is_sure(probs_hwk: np.ndarray) -> np.ndarray:
    """Where the two best probabilities differ by more than rounding can, bool [H, W]."""
    best = np.sort(probs_hwk, axis=-1)
    return best[..., -1] - best[..., -2] > CLOSE


def read(path: Path) -> np.ndarray:
    """The bands of a raster, [H, W, C]."""
    with rasterio.open(path) as dataset:
        return np.moveaxis(dataset.read(), 0, -1)

"""What a map may say of each pixel, as rasters.

values = PRODUCTS["confidence"].values(probs_hwk)      # uint8 [H, W]
profile = PRODUCTS["confidence"].profile(scheme, tags)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lcseg.classes import IGNORE, ClassScheme
from lcseg.raster.cog import CogProfile, class_map_profile

PROBABILITY_ONE = 254
"""The value of probability 1 in a raster; 255 is no data."""

CLASSES = "classes"
"""The product that every map has: class indices."""

PROBABILITIES = "probabilities"
"""The product that holds a band for each class."""


@dataclass(frozen=True)
class Product:
    """A raster of probabilities; each value is a share of 254."""

    bands: Callable[[ClassScheme], tuple[str, ...]]  # Their names.
    select: Callable[[np.ndarray], np.ndarray]  # [H, W, K] of probabilities to [H, W, bands].

    def values(self, probs_hwk: np.ndarray) -> np.ndarray:
        """Values from 0 to 254, uint8 [H, W, bands], of probabilities, float32 [H, W, K]."""
        return np.rint(self.select(probs_hwk) * PROBABILITY_ONE).astype(np.uint8)


PRODUCTS = {
    PROBABILITIES: Product(lambda scheme: scheme.names, lambda probs: probs),
    "confidence": Product(lambda _: ("confidence",), lambda probs: probs.max(-1, keepdims=True)),
    "margin": Product(
        lambda _: ("margin",),
        lambda probs: np.diff(np.partition(probs, -2, axis=-1)[..., -2:]),
    ),
}
"""Beside the classes; by the flag that asks for each."""


def profile_of(product: str, scheme: ClassScheme, tags: dict[str, str]) -> CogProfile:
    """The profile of a product's raster."""
    if product == CLASSES:
        return class_map_profile(scheme, tags)
    bands = PRODUCTS[product].bands(scheme)
    return CogProfile("uint8", bands, IGNORE, scale=1 / PROBABILITY_ONE, tags=tags)

"""What a map may say of each pixel, as rasters.

values = PRODUCTS["confidence"].values(probs_hwk)      # uint8 [H, W]
profile = PRODUCTS["confidence"].profile(scheme, tags)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lcseg.classes import ClassScheme
from lcseg.raster.cog import CogProfile, class_map_profile
from lcseg.raster.probabilities import CONFIDENCE, probability_profile, to_shares

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
        return to_shares(self.select(probs_hwk))


PRODUCTS = {
    PROBABILITIES: Product(lambda scheme: scheme.names, lambda probs: probs),
    CONFIDENCE: Product(lambda _: (CONFIDENCE,), lambda probs: probs.max(-1, keepdims=True)),
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
    return probability_profile(PRODUCTS[product].bands(scheme), tags)

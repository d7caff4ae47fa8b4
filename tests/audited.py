"""Scenes to audit, as arrays in place of rasters: the pixels say what a model is sure of.

scene = ArrayEvidence(probs_hwk, label_hw)
scene = sure_scene(said_hw, label_hw, n_classes=4)     # a model that is sure of what it says
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lcseg.classes import IGNORE
from lcseg.raster.grid import Grid, Window, cover

CRS = "EPSG:26918"
ONE = 254


class ArrayEvidence:
    """What is known of a scene, from arrays."""

    def __init__(
        self,
        probs_hwk: np.ndarray,
        label_hw: np.ndarray,
        block_px: int = 1024,
        scene: str = "",
        crs: str | None = CRS,
        west_m: float = 400_000.0,
        pixel_m: float = 2.0,
    ) -> None:
        self._probs, self._label, self._block_px = probs_hwk, label_hw, block_px
        self.scene, self.date, self.path = scene, "", f"{scene}.tif"
        place = (pixel_m, 0.0, west_m, 0.0, -pixel_m, 4_300_000.0)
        self.grid = Grid(*label_hw.shape, place, crs)

    def blocks(self) -> Iterator[Window]:
        height, width = self._label.shape
        return (w.clip(height, width) for w in cover(height, width, self._block_px))

    def read(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        probs_hwk = np.zeros((window.height, window.width, self._probs.shape[-1]), np.uint8)
        label_hw = np.full((window.height, window.width), IGNORE, np.uint8)
        inside = window.clip(*self._label.shape)
        if inside.height and inside.width:
            place = inside.within(window).slices
            probs_hwk[place], label_hw[place] = (
                self._probs[inside.slices],
                self._label[inside.slices],
            )
        return probs_hwk, label_hw

    def picture(self, window: Window) -> np.ndarray | None:
        return None


def sure_scene(said_hw: np.ndarray, label_hw: np.ndarray, n_classes: int, **more) -> ArrayEvidence:
    """A model that is sure of its class everywhere."""
    probs_hwk = ONE * (said_hw[..., None] == np.arange(n_classes)).astype(np.uint8)
    return ArrayEvidence(probs_hwk, label_hw, **more)

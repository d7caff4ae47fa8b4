"""What an audit looks at: what a model says of a scene, and the labels of that scene.

with open_rasters(config, scheme) as evidence:
    for window in evidence.blocks():
        probs_hwk, label_hw = evidence.read(window)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Protocol

import numpy as np

from lcseg.audit.config import AuditConfig
from lcseg.classes import IGNORE, ClassScheme
from lcseg.errors import LcsegError
from lcseg.pictures import stretch
from lcseg.raster.alignment import is_same_grid
from lcseg.raster.grid import Grid, Window, cover
from lcseg.raster.label import LabelSource, open_label
from lcseg.raster.probabilities import Probabilities, open_probabilities
from lcseg.raster.source import ImageSource, open_image

BLOCK_PX = 1024
"""Side of what is read at once; it changes nothing but memory and speed."""


class Evidence(Protocol):
    """Probabilities and labels on the grid of one scene."""

    scene: str  # Its name; empty: there is but one.
    date: str  # Of the scene, as ISO 8601; empty: not known.
    path: str  # What errors name.
    grid: Grid  # Of the scene.

    def blocks(self) -> Iterator[Window]:
        """The squares in which there is anything, row-major, each once, on multiples of a side."""

    def read(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Read a window, which may overhang the scene.

        Returns:
            Probabilities uint8 [H, W, K], 0 to 254, all 0 where there are none, and labels uint8
            [H, W], 255 where there is no label or no probability.
        """

    def picture(self, window: Window) -> np.ndarray | None:
        """Picture the image, uint8 [H, W, 3]; None: there is none."""


class RasterEvidence:
    """Probabilities as `lcseg predict` wrote them, and a label raster, brought onto their grid."""

    scene = ""

    def __init__(
        self,
        probabilities: Probabilities,
        label: LabelSource,
        image: ImageSource | None,
        block_px: int = BLOCK_PX,
    ) -> None:
        self._probabilities, self._label, self._image = probabilities, label, image
        self._block_px = block_px
        self.path, self.grid = probabilities.path, probabilities.grid
        self.date = image.date if image else ""

    def blocks(self) -> Iterator[Window]:
        """All squares of the grid, cut off at its edge."""
        height, width = self.grid.height, self.grid.width
        return (w.clip(height, width) for w in cover(height, width, self._block_px))

    def read(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Read a window; see `Evidence`."""
        probs_hwk, is_known_hw = self._probabilities.read(window)
        label_hw = self._label.read(window)
        return probs_hwk, np.where(is_known_hw, label_hw, np.uint8(IGNORE))

    def picture(self, window: Window) -> np.ndarray | None:
        """Picture the image; see `Evidence`."""
        return stretch(*self._image.read(window)) if self._image else None


@contextmanager
def open_rasters(
    config: AuditConfig, scheme: ClassScheme, block_px: int = BLOCK_PX
) -> Iterator[RasterEvidence]:
    """Open the rasters that a configuration names.

    Raises:
        LcsegError: they are not what they should be, or do not lie on each other.
    """
    with ExitStack() as stack:
        opened = stack.enter_context
        probabilities = opened(open_probabilities(config.probabilities, scheme))
        label = opened(
            open_label(
                config.label,
                probabilities.grid,
                scheme,
                config.label_band,
                config.allow_ungeoreferenced,
            )
        )
        image = None
        if config.image:
            image = opened(open_image(config.image))
            _require_same_grid(image, probabilities.grid)
        yield RasterEvidence(probabilities, label, image, block_px)


def _require_same_grid(source: ImageSource, grid: Grid) -> None:
    if not is_same_grid(grid, source.grid):
        raise LcsegError(
            source.path,
            "does not lie on the grid of the probabilities",
            "give the image that they were made of",
        )

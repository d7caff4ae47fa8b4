"""Labels of coarse pixels by the majority of the fine ones in each.

rows, cols = count_samples(alignment)          # (10, 10) for labels of 0.1 m under pixels of 1 m
fine = refine(image.grid, rows, cols)          # the grid of the samples
label_hw = elect(sample_hw, rows, cols)        # from samples of that grid
"""

from __future__ import annotations

import numpy as np
from rasterio.transform import Affine

from lcseg.raster.alignment import Alignment
from lcseg.raster.grid import Grid

_MAX_ALONG = 1000


def count_samples(alignment: Alignment) -> tuple[int, int]:
    """How many label pixels there are along the sides of an image pixel: (down, across).

    Rounded, and at least 1; more than 1000 tell nothing new.
    """
    across, down = np.hypot(*alignment.jacobian)
    rows, cols = (int(np.clip(np.rint(n), 1, _MAX_ALONG)) for n in (down, across))
    return rows, cols


def refine(grid: Grid, rows: int, cols: int) -> Grid:
    """The grid whose pixels are those of `grid` divided into rows x cols."""
    affine = grid.affine @ Affine.scale(1 / cols, 1 / rows)
    return Grid(grid.height * rows, grid.width * cols, tuple(affine)[:6], grid.crs)


def elect(sample_hw: np.ndarray, rows: int, cols: int) -> np.ndarray:
    """The most frequent label of each rows x cols pixels.

    Args:
        sample_hw: uint8 [H * rows, W * cols], 255 where there is no label.
        rows: samples down a pixel.
        cols: samples across a pixel.

    Returns:
        uint8 [H, W]. Of labels that are equally frequent the lowest wins, so that 255, which
        votes like a class, loses to any.
    """
    height, width = sample_hw.shape[0] // rows, sample_hw.shape[1] // cols
    most_hw = np.zeros((height, width), np.int32)
    label_hw = np.zeros((height, width), np.uint8)
    # Sums in the narrowest type that holds them, one row after the other: numpy's sum over an
    # axis in the middle takes three times as long.
    narrow = np.min_scalar_type(rows)
    for label in np.flatnonzero(np.bincount(sample_hw.ravel(), minlength=256)):
        votes = (sample_hw == label).view(np.uint8)
        down = np.zeros((height, width * cols), narrow)
        for row in range(rows):
            down += votes[row::rows]
        votes_hw = np.zeros((height, width), np.int32)
        for col in range(cols):
            votes_hw += down[:, col::cols]
        has_won = votes_hw > most_hw
        most_hw[has_won] = votes_hw[has_won]
        label_hw[has_won] = label
    return label_hw

"""How much went from which class to which: counts that add in any order.

tally = Tally.empty(n_classes).merge(count(code_hw, before_hw, after_hw, row_m2, n_classes))
tally.pixels[before, after], tally.hectares
tally.losses, tally.gains, tally.net           # hectares by class
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lcseg.classes import IGNORE


@dataclass(frozen=True, eq=False)
class Tally:
    """Pixels and ground by transition; the last row and column are those of no data."""

    pixels: np.ndarray  # int64 [n + 1, n + 1]: before in rows, after in columns.
    m2: np.ndarray  # float64 [n + 1, n + 1], likewise.

    @classmethod
    def empty(cls, n_classes: int) -> Tally:
        """The tally of no pixels."""
        shape = n_classes + 1, n_classes + 1
        return cls(np.zeros(shape, np.int64), np.zeros(shape))

    def merge(self, other: Tally) -> Tally:
        """The tally of the pixels of both."""
        return Tally(self.pixels + other.pixels, self.m2 + other.m2)

    @property
    def n_classes(self) -> int:
        return len(self.pixels) - 1

    @property
    def hectares(self) -> np.ndarray:
        """Ground by transition where both maps say something, float64 [n, n]."""
        return self.m2[:-1, :-1] / 1e4

    @property
    def losses(self) -> np.ndarray:
        """Hectares that each class lost to others, float64 [n]."""
        return self.hectares.sum(axis=1) - self.hectares.diagonal()

    @property
    def gains(self) -> np.ndarray:
        """Hectares that each class took from others, float64 [n]."""
        return self.hectares.sum(axis=0) - self.hectares.diagonal()

    @property
    def net(self) -> np.ndarray:
        """By how many hectares each class grew, float64 [n]."""
        return self.gains - self.losses

    @property
    def changed_hectares(self) -> float:
        """Ground whose class is another one."""
        return float(self.losses.sum())

    @property
    def changed_pixels(self) -> int:
        """Pixels whose class is another one."""
        known = self.pixels[:-1, :-1]
        return int(known.sum() - known.trace())

    @property
    def known_hectares(self) -> float:
        """Ground of which both maps say something."""
        return float(self.hectares.sum())


def count(
    before_hw: np.ndarray,
    after_hw: np.ndarray,
    row_m2: np.ndarray,
    n_classes: int,
    is_counted_hw: np.ndarray | None = None,
) -> Tally:
    """Count the pixels of a window by what they were and what they are.

    Args:
        before_hw: uint8 class indices, 255 where not known.
        after_hw: likewise, of the same shape.
        row_m2: float64 [H]: ground of a pixel of each row.
        n_classes: how many classes there are.
        is_counted_hw: bool [H, W]; None: all pixels count.
    """
    side = n_classes + 1
    before, after = (
        np.where(label_hw == IGNORE, np.uint8(n_classes), label_hw).astype(np.intp)
        for label_hw in (before_hw, after_hw)
    )
    cells_hw = before * side + after
    chosen = np.ones(cells_hw.shape, bool) if is_counted_hw is None else is_counted_hw
    pixels, m2 = np.zeros(side * side, np.int64), np.zeros(side * side)
    # Rows of one area are counted together; in most CRSs that is all of them.
    for row_area in np.unique(row_m2):
        is_row = row_m2 == row_area
        counted = np.bincount(cells_hw[is_row][chosen[is_row]], minlength=side * side)
        pixels += counted
        m2 += counted * row_area
    return Tally(pixels.reshape(side, side), m2.reshape(side, side))

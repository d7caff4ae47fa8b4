"""Which differences between two maps are believed to be change, window by window.

probability_hw = change_probability(before_hwk, after_hwk)      # float32, 0 .. 1
is_core_hw = find_core(before_hw, after_hw, is_differing_hw, tolerance_px=1)
is_believed_hw = add_rim(is_core_hw, is_differing_hw, tolerance_px=1)

Two maps differ where the ground has changed, and where one of them errs. Of the second kind most
lie along borders, which are drawn a pixel to this or that side.
"""

from __future__ import annotations

import numpy as np

from lcseg.classes import IGNORE


def change_probability(before_hwk: np.ndarray, after_hwk: np.ndarray) -> np.ndarray:
    """The probability that the class is another one, float32 [H, W].

    It is 1 - sum of p(k) q(k): what two maps say of a pixel is taken to be independent of each
    other, given the imagery of each.

    Args:
        before_hwk: probabilities of the classes, float32 [H, W, K], 0 .. 1.
        after_hwk: likewise.
    """
    same_hw = np.einsum("hwk,hwk->hw", before_hwk, after_hwk)
    return np.clip(1 - same_hw, 0, 1).astype(np.float32)


def find_core(
    before_hw: np.ndarray, after_hw: np.ndarray, is_differing_hw: np.ndarray, tolerance_px: int
) -> np.ndarray:
    """Find differences that no border explains which has moved by some pixels.

    A difference is explained where the class that is now there was within `tolerance_px` before,
    and the one that was there is within `tolerance_px` now.

    Args:
        before_hw: uint8 class indices below 16, 255 where not known.
        after_hw: likewise.
        is_differing_hw: bool, the differences to judge.
        tolerance_px: by how much borders may move, diagonally too; 0: none is explained.

    Returns:
        bool [H, W]. It depends on the pixels within `tolerance_px` on each side.
    """
    if not tolerance_px or not is_differing_hw.any():
        return is_differing_hw
    around_before, around_after = (
        _spread(_to_bits(label_hw), tolerance_px) for label_hw in (before_hw, after_hw)
    )
    was_near = around_before & _to_bits(after_hw) != 0
    is_near = around_after & _to_bits(before_hw) != 0
    return is_differing_hw & ~(was_near & is_near)


def add_rim(is_core_hw: np.ndarray, is_differing_hw: np.ndarray, tolerance_px: int) -> np.ndarray:
    """Add the differences within `tolerance_px` of a core, which are its rim; bool [H, W]."""
    return is_core_hw | (is_differing_hw & _spread(is_core_hw, tolerance_px))


def _to_bits(label_hw: np.ndarray) -> np.ndarray:
    """A bit for each class, uint16 [H, W], none where it is not known."""
    table = np.zeros(IGNORE + 1, np.uint16)
    table[:16] = 1 << np.arange(16)
    return table[label_hw]


def _spread(bits_hw: np.ndarray, reach_px: int) -> np.ndarray:
    """Join the bits of all pixels within some steps of a chess king."""
    for axis in (0, 1):
        bits = np.moveaxis(bits_hw, axis, 0)
        spread_hw = bits_hw.copy()
        spread = np.moveaxis(spread_hw, axis, 0)
        for step in range(1, reach_px + 1):
            spread[step:] |= bits[:-step]
            spread[:-step] |= bits[step:]
        bits_hw = spread_hw
    return bits_hw

"""Which labels a model contradicts with confidence: confident learning, in counts that merge.

sums = SelfConfidence.empty(4).add(probs_hwk, label_hw)      # a first pass, in any order
least = sums.least                                           # what is confident, class by class
guess_hw = guess_classes(probs_hwk, least)                   # a second pass
joint = ConfidentJoint.empty(4).add(label_hw, guess_hw)
joint.estimate(sums.pixels)                                  # float64 [4, 4], sums to 1

The method is that of Northcutt, Jiang and Chuang, "Confident Learning: Estimating Uncertainty in
Dataset Labels" (2021, arXiv:1911.00068), for probabilities as rasters hold them: 0 to 254.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lcseg.classes import IGNORE
from lcseg.raster.probabilities import PROBABILITY_ONE

NONE = IGNORE
"""In place of a class: none."""


@dataclass(frozen=True)
class SelfConfidence:
    """How probable a model takes the classes to be where they are labelled."""

    pixels: np.ndarray  # int64 [K]: labelled pixels of each class.
    sums: np.ndarray  # int64 [K]: of the probability of that class over them, in 1/254.

    @classmethod
    def empty(cls, n_classes: int) -> SelfConfidence:
        """That of no pixels."""
        return cls(np.zeros(n_classes, np.int64), np.zeros(n_classes, np.int64))

    def add(self, probs_hwk: np.ndarray, label_hw: np.ndarray) -> SelfConfidence:
        """Count pixels.

        Args:
            probs_hwk: uint8 [H, W, K], 0 to 254.
            label_hw: uint8 class indices, 255 where a pixel does not count.
        """
        n = len(self.pixels)
        is_counted = label_hw != IGNORE
        labels = label_hw[is_counted]
        own = np.take_along_axis(probs_hwk[is_counted], labels[:, None].astype(np.intp), axis=1)
        # Sums of whole numbers, exact in float64 up to 2^53.
        sums = np.bincount(labels, own[:, 0], n).astype(np.int64)
        return SelfConfidence(
            self.pixels + np.bincount(labels, minlength=n).astype(np.int64), self.sums + sums
        )

    def merge(self, other: SelfConfidence) -> SelfConfidence:
        """That of the pixels of both."""
        return SelfConfidence(self.pixels + other.pixels, self.sums + other.sums)

    @property
    def least(self) -> np.ndarray:
        """The least probability of each class that is confident, uint8 [K] in 1/254.

        The threshold is the mean; as probabilities are whole numbers, those that reach it are those
        that reach the next whole number. A class that is labelled nowhere has 255, which none
        reaches: how sure the model is where it is right is not known.
        """
        counted = np.maximum(self.pixels, 1)
        return np.where(self.pixels > 0, -(-self.sums // counted), NONE).astype(np.uint8)

    @property
    def thresholds(self) -> tuple[float | None, ...]:
        """The thresholds as probabilities; None: the class is labelled nowhere."""
        return tuple(
            int(total) / (int(n) * PROBABILITY_ONE) if n else None
            for n, total in zip(self.pixels, self.sums, strict=True)
        )


def guess_classes(probs_hwk: np.ndarray, least: np.ndarray) -> np.ndarray:
    """Find the class that is confidently there, uint8 [H, W]; 255: none is.

    It is the most probable one of those that reach their thresholds; of equals, the first.

    Args:
        probs_hwk: uint8 [H, W, K], 0 to 254.
        least: uint8 [K], the least probability of each class that is confident.
    """
    guess_hw = np.full(probs_hwk.shape[:2], NONE, np.uint8)
    # One more than the probability, so that 0 is none.
    best_hw = np.zeros(probs_hwk.shape[:2], np.uint8)
    for index, limit in enumerate(least):
        own_hw = probs_hwk[..., index]
        value_hw = np.where(own_hw >= limit, own_hw + np.uint8(1), np.uint8(0))
        guess_hw[value_hw > best_hw] = index
        np.maximum(best_hw, value_hw, out=best_hw)
    return guess_hw


def find_issues(probs_hwk: np.ndarray, label_hw: np.ndarray, guess_hw: np.ndarray) -> np.ndarray:
    """Where a label is contradicted, bool [H, W].

    That is where another class is confidently there, and some class is more probable than the
    label: a rare class, whose threshold is low, may be both confident and less probable.
    """
    is_other = (guess_hw != NONE) & (label_hw != IGNORE) & (guess_hw != label_hw)
    index_hw = np.where(is_other, label_hw, 0).astype(np.intp)
    own_hw = np.take_along_axis(probs_hwk, index_hw[..., None], axis=-1)[..., 0]
    return is_other & (own_hw < probs_hwk.max(axis=-1))


@dataclass(frozen=True)
class ConfidentJoint:
    """Labelled pixels in which a class is confidently there: label in rows, class in columns."""

    counts: np.ndarray  # int64 [K, K].

    @classmethod
    def empty(cls, n_classes: int) -> ConfidentJoint:
        """That of no pixels."""
        return cls(np.zeros((n_classes, n_classes), np.int64))

    def add(self, label_hw: np.ndarray, guess_hw: np.ndarray) -> ConfidentJoint:
        """Count pixels; both uint8 class indices, 255 where a pixel does not count."""
        n = len(self.counts)
        is_counted = (label_hw != IGNORE) & (guess_hw != NONE)
        cells = label_hw[is_counted].astype(np.intp) * n + guess_hw[is_counted]
        return ConfidentJoint(self.counts + np.bincount(cells, minlength=n * n).reshape(n, n))

    def merge(self, other: ConfidentJoint) -> ConfidentJoint:
        """That of the pixels of both."""
        return ConfidentJoint(self.counts + other.counts)

    def estimate(self, label_pixels: np.ndarray) -> np.ndarray:
        """Estimate the joint distribution of given and true labels, float64 [K, K] that sums to 1.

        Each row is stretched to all labelled pixels of its class (equation 3 of the paper). A class
        without a confident pixel is taken to be right: nothing speaks against it.

        Args:
            label_pixels: int64 [K], labelled pixels of each class; some.
        """
        counts = self.counts.astype(np.float64)
        is_silent = counts.sum(axis=1) == 0
        counts[is_silent, is_silent] = 1
        rows = counts / counts.sum(axis=1, keepdims=True) * label_pixels[:, None]
        return np.asarray(rows / label_pixels.sum())

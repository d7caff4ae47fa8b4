"""The confusion matrix as an algebra: counts that add and merge in any order, and their scores.

confusion = Confusion.empty(scheme.n_classes)
for label_hw, prediction_hw in chips:
    confusion = confusion.add(label_hw, prediction_hw)
scores = confusion.merge(of_another_worker).scores(scheme.names)
print(scores.table())
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tabulate import tabulate

from lcseg.classes import IGNORE

NO_SCORE = "–"
_HEADERS = ("class", "IoU", "F1", "precision\n(user's)", "recall\n(producer's)", "support\n(px)")


@dataclass(frozen=True)
class ClassScores:
    """How well one class is mapped."""

    name: str  # What people call it.
    iou: float | None  # Intersection over union; None where neither labelled nor predicted.
    f1: float | None  # Harmonic mean of precision and recall; None as with iou.
    precision: float | None  # User's accuracy; None where never predicted.
    recall: float | None  # Producer's accuracy; None where not in the reference.
    support: int  # Pixels of the class in the reference.


@dataclass(frozen=True)
class Scores:
    """How good a map is; a score is None where no pixel says anything about it."""

    overall_accuracy: float | None  # Share of the pixels whose class is right.
    kappa: float | None  # Cohen's: agreement beyond chance; None if all is one class.
    mean_iou: float | None  # Over the classes that occur in the reference or the prediction.
    mean_f1: float | None  # Over the same classes.
    commonest_class: str | None  # The class with the largest support.
    commonest_class_accuracy: float | None  # Overall accuracy of answering it everywhere.
    commonest_class_mean_iou: float | None  # Mean IoU of answering it everywhere.
    n_pixels: int  # Pixels that have both a label and a prediction.
    classes: tuple[ClassScores, ...]  # In the order of the class indices.

    def table(self) -> str:
        """Set the scores as text: a line for each class, the whole, and the baseline."""
        rows = [(c.name, c.iou, c.f1, c.precision, c.recall, c.support) for c in self.classes]
        lines = tabulate(
            rows,
            _HEADERS,
            floatfmt=".3f",
            intfmt=",",
            missingval=NO_SCORE,
            disable_numparse=[0],
            colalign=("left", *["right"] * 5),
        )
        if not self.n_pixels:
            return f"{lines}\n\nno pixel has both a label and a prediction"
        return (
            f"{lines}\n\n"
            f"overall accuracy {format_score(self.overall_accuracy)}, "
            f"kappa {format_score(self.kappa)}, mean IoU {format_score(self.mean_iou)}, "
            f"mean F1 {format_score(self.mean_f1)} over {self.n_pixels:,} px\n"
            f"always {self.commonest_class}: "
            f"overall accuracy {format_score(self.commonest_class_accuracy)}, "
            f"mean IoU {format_score(self.commonest_class_mean_iou)}"
        )


@dataclass(frozen=True, eq=False)
class Confusion:
    """Pixels counted by what they are and what they were mapped as."""

    counts: np.ndarray  # int64 [n, n], in pixels: reference in rows, prediction in columns.

    def __post_init__(self) -> None:
        shape, dtype = self.counts.shape, self.counts.dtype
        if len(shape) != 2 or shape[0] != shape[1] or dtype != np.int64:
            raise ValueError(f"counts are {dtype} {list(shape)}, expected int64 [n, n]")

    @classmethod
    def empty(cls, n_classes: int) -> Confusion:
        """The confusion of no pixels."""
        return cls(np.zeros((n_classes, n_classes), np.int64))

    @property
    def cells(self) -> tuple[tuple[int, ...], ...]:
        """The counts as plain numbers, for a document."""
        return tuple(map(tuple, self.counts.tolist()))

    def add(self, label_hw: np.ndarray, prediction_hw: np.ndarray) -> Confusion:
        """Count the pixels that have both a label and a prediction.

        Args:
            label_hw: uint8 class indices of any shape; pixels of 255 count nowhere.
            prediction_hw: likewise, of the same shape; 255 (nodata: the map says nothing there)
                counts nowhere either, so a map is judged only where it speaks.

        Raises:
            ValueError: if the shapes or types do not fit, or a class index is out of range.
        """
        if label_hw.shape != prediction_hw.shape:
            raise ValueError(f"label is {label_hw.shape}, prediction is {prediction_hw.shape}")
        if label_hw.dtype != np.uint8 or prediction_hw.dtype != np.uint8:
            raise ValueError(
                f"label is {label_hw.dtype}, prediction is {prediction_hw.dtype}, expected uint8"
            )
        # Counting all 256 x 256 pairs costs less than masking the pixels that count nowhere.
        pairs = label_hw.ravel().astype(np.uint16) * np.uint16(256) + prediction_hw.ravel()
        table = np.bincount(pairs, minlength=1 << 16).reshape(256, 256)
        n = len(self.counts)
        if table[n:IGNORE].any() or table[:, n:IGNORE].any():
            raise ValueError(f"a class index is above {n - 1} and not {IGNORE} (ignored)")
        return Confusion(self.counts + table[:n, :n])

    def merge(self, other: Confusion) -> Confusion:
        """The confusion of the pixels of both."""
        if self.counts.shape != other.counts.shape:
            raise ValueError(f"{len(self.counts)} classes do not merge with {len(other.counts)}")
        return Confusion(self.counts + other.counts)

    def scores(self, names: Sequence[str]) -> Scores:
        """Score the counts; `names` are those of the n classes.

        Overall, user's and producer's accuracy and kappa are those of Congalton & Green,
        "Assessing the Accuracy of Remotely Sensed Data" (2019); IoU is the index of
        Jaccard (1912), F1 the coefficient of Dice (1945).
        """
        if len(names) != len(self.counts):
            raise ValueError(f"{len(names)} class names for {len(self.counts)} classes")
        right, support, predicted = _totals(self.counts)
        by_class = zip(
            names,
            _iou(self.counts),
            _f1(self.counts),
            _ratios(right, predicted),
            _ratios(right, support),
            support.tolist(),
            strict=True,
        )
        commonest = int(support.argmax())
        baseline = np.zeros_like(self.counts)
        baseline[:, commonest] = support
        n_pixels = int(support.sum())
        return Scores(
            overall_accuracy=_accuracy(self.counts),
            kappa=_kappa(self.counts),
            mean_iou=_mean(_iou(self.counts)),
            mean_f1=_mean(_f1(self.counts)),
            commonest_class=names[commonest] if n_pixels else None,
            commonest_class_accuracy=_accuracy(baseline),
            commonest_class_mean_iou=_mean(_iou(baseline)),
            n_pixels=n_pixels,
            classes=tuple(ClassScores(*values) for values in by_class),
        )


def format_score(score: float | None) -> str:
    """Set a score with three decimals, or a dash where there is none."""
    return NO_SCORE if score is None else f"{score:.3f}"


def _totals(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pixels of each class that are right, in the reference, and predicted; int64 [n] each."""
    return counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0)


def _accuracy(counts: np.ndarray) -> float | None:
    return _ratio(counts.trace(), counts.sum())


def _kappa(counts: np.ndarray) -> float | None:
    """(p_o - p_e) / (1 - p_e): Cohen, "A coefficient of agreement for nominal scales" (1960)."""
    right, reference, predicted = _totals(counts)
    n_pixels = counts.sum()
    if right.max() == n_pixels:  # No pixels, or all of one class: chance alone explains it.
        return None
    by_chance = float(reference / n_pixels @ (predicted / n_pixels))
    return (float(right.sum() / n_pixels) - by_chance) / (1 - by_chance)


def _iou(counts: np.ndarray) -> list[float | None]:
    """Right / (reference + predicted - right), by class."""
    right, reference, predicted = _totals(counts)
    return _ratios(right, reference + predicted - right)


def _f1(counts: np.ndarray) -> list[float | None]:
    """2 right / (reference + predicted), by class."""
    right, reference, predicted = _totals(counts)
    return _ratios(2 * right, reference + predicted)


def _ratios(parts: np.ndarray, wholes: np.ndarray) -> list[float | None]:
    return [_ratio(part, whole) for part, whole in zip(parts, wholes, strict=True)]


def _ratio(part: float, whole: float) -> float | None:
    return float(part / whole) if whole else None


def _mean(scores: Sequence[float | None]) -> float | None:
    known = [score for score in scores if score is not None]
    return sum(known) / len(known) if known else None

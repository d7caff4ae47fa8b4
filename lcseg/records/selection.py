"""Which chips are worth keeping.

selection = Selection.parse("tree/forest:0.9,water:0.99", min_labelled=0.1, scheme)
selection.judge(counts, "train")               # KEPT, or why not
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lcseg.classes import ClassScheme
from lcseg.errors import LcsegError

KEPT, UNLABELLED, SCARCE, COMMON = "kusc"
"""What may become of a chip, as one letter."""

REASONS = {
    UNLABELLED: "without label",
    SCARCE: "less label than --min_labelled",
    COMMON: "too common by --keep_below",
}
"""Why a chip was dropped."""


@dataclass(frozen=True)
class Selection:
    """What a chip must hold to be kept."""

    min_labelled: float  # Least share of the chip's pixels that are labelled.
    below: tuple[tuple[int, float], ...]  # (class, share): training chips hold less than this.

    @classmethod
    def parse(cls, keep_below: str, min_labelled: float, scheme: ClassScheme) -> Selection:
        """Read the rule `CLASS:SHARE,…`; share is that of the labelled pixels, above 0 to 1."""
        below = []
        for rule in filter(None, keep_below.split(",")):
            name, _, share = rule.rpartition(":")
            if name.strip() not in scheme.names:
                raise LcsegError(
                    f"--keep_below={keep_below}",
                    f"{rule.strip()!r} names no class of {scheme.name!r}",
                    f"expected CLASS:SHARE of {', '.join(scheme.names)}",
                )
            try:
                number = float(share)
            except ValueError:
                number = 0.0
            if not 0 < number <= 1:
                raise LcsegError(
                    f"--keep_below={keep_below}", f"{share!r} is not a share above 0, up to 1"
                )
            below.append((scheme.names.index(name.strip()), number))
        return cls(min_labelled, tuple(below))

    def judge(self, counts: np.ndarray, split: str) -> str:
        """Decide on a chip of a split by its counts, int64 [classes + 1], the last one ignored."""
        labelled = int(counts[:-1].sum())
        if not labelled:
            return UNLABELLED
        if labelled < self.min_labelled * counts.sum():
            return SCARCE
        if split == "train" and any(counts[i] >= share * labelled for i, share in self.below):
            return COMMON
        return KEPT

"""How the fates of chips look, in pictures and on pages.

LOOKS["train"].face                            # "#79B4DC"
"""

from __future__ import annotations

from dataclasses import dataclass

from lcseg.records.ground import REFUSED
from lcseg.records.selection import COMMON, REASONS, SCARCE, UNLABELLED


@dataclass(frozen=True)
class Look:
    """How chips of a fate look."""

    face: str  # Colour, as is the next.
    edge: str
    hatch: str = ""  # A pattern of matplotlib.


LOOKS = {
    "train": Look("#79B4DC", "#FFFFFF"),
    "val": Look("#F0A30A", "#FFFFFF"),
    "test": Look("#8C2D72", "#FFFFFF"),
    REASONS[UNLABELLED]: Look("#F0F1EF", "#C2C7C9"),
    REASONS[SCARCE]: Look("#D6DADB", "#FFFFFF"),
    REASONS[COMMON]: Look("#AAB1B5", "#FFFFFF"),
    REFUSED: Look("#FAFAF9", "#8A8F92", "/////"),
}
"""By fate. Blue, orange and purple of unlike lightness are told apart by all eyes, and in grey."""

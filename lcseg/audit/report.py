"""What an audit found, as JSON and as one HTML page.

report = make_report(subject, findings, listed, config)
write_report(report, thumbnails, "audit/")     # audit/report.json  audit/report.html
print(report.text())
"""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tabulate import tabulate

from lcseg.audit.places import NARROW, SMALL
from lcseg.audit.thumbnails import Thumbnail
from lcseg.classes import ClassScheme
from lcseg.documents import write_document
from lcseg.evaluation.confusion import format_score
from lcseg.pages import page_environment, write_page

SUSPECTS = "suspects.gpkg"
"""The file of the places, which people fill in."""

_REASONS = {
    NARROW: "are no wider than borders that are drawn off",
    SMALL: "are smaller than was asked for",
}


@dataclass(frozen=True)
class ClassRow:
    """A class."""

    name: str  # Of the class.
    pixels: int  # Labelled as it.
    threshold: float | None  # From which probability on it is confident; None: it has no label.
    wrong_share: float | None  # Of its labels, estimated; None: it has none.


@dataclass(frozen=True)
class PairRow:
    """Places whose labels are of one class, and in which one other is confidently there."""

    label: str  # Class that the label says.
    suggested: str  # Class that the model says.
    places: int  # How many, listed or not.
    pixels: int  # Of all of them.
    hectares: float | None  # Of all of them; None: not georeferenced.
    confidence: float  # Mean probability of the suggested class, where the model is sure of it.


@dataclass(frozen=True)
class PlaceRow:
    """A place that is listed."""

    id: int  # From 1, as in the file of the places.
    scene: str  # Its name; empty: there is but one.
    date: str  # Of the scene, as ISO 8601; empty: not known.
    row: int  # First row in the scene.
    col: int  # First column in the scene.
    label: str  # Class that the label says.
    suggested: str  # Class that the model says.
    pixels: int  # How many it has.
    area_m2: float | None  # On the ground; None: not georeferenced.
    confidence: float  # Mean probability of the suggested class, where the model is sure of it.
    label_probability: float  # Mean probability of the label's class there.
    score: float  # By which places are ordered: the difference of the two.


@dataclass(frozen=True)
class LeftOut:
    """Places that are no findings."""

    reason: str  # narrow: they may be borders that are drawn off; small: below --min_area_m2.
    places: int  # How many.
    pixels: int  # Of all of them.


@dataclass(frozen=True)
class AuditReport:
    """An audit, complete: all that its page shows but the pictures."""

    labels: str  # What was audited.
    predictions: str  # By what.
    scheme: ClassScheme  # The classes.
    classes: tuple[ClassRow, ...]  # In the order of the scheme.
    joint: tuple[tuple[float, ...], ...]  # Shares of labels (rows) and true classes, estimated.
    pairs: tuple[PairRow, ...]  # The one with the most pixels first.
    places: tuple[PlaceRow, ...]  # The most certain one first.
    left_out: tuple[LeftOut, ...]  # Places that are no findings, by reason.
    notes: tuple[str, ...]  # What weakens the findings, a sentence each.
    details: dict[str, str]  # More to show: name -> value.
    created: str  # When, as ISO 8601.

    @property
    def n_found(self) -> int:
        """Places that were found, listed or not."""
        return sum(pair.places for pair in self.pairs)

    @property
    def wrong_share(self) -> float:
        """Share of the labelled pixels whose label is wrong, estimated."""
        return 1 - math.fsum(row[index] for index, row in enumerate(self.joint))

    @property
    def has_areas(self) -> bool:
        """Whether areas are known."""
        return all(pair.hectares is not None for pair in self.pairs)

    def text(self) -> str:
        """Set what matters most as text."""
        size = "hectares" if self.has_areas else "pixels"
        rows = [
            [
                pair.label,
                pair.suggested,
                f"{pair.places:,}",
                f"{pair.hectares:,.2f}" if self.has_areas else f"{pair.pixels:,}",
                f"{pair.confidence:.2f}",
            ]
            for pair in self.pairs
        ]
        headers = ["label", "model", "places", size, "confidence"]
        align = ("left", "left", "right", "right", "right")
        found = tabulate(rows, headers, disable_numparse=True, colalign=align if rows else None)
        lines = [
            found,
            "",
            f"{self.n_found:,} places, {len(self.places):,} of them listed; by all pixels, "
            f"{100 * self.wrong_share:.1f} % of the labels are wrong (estimated)",
        ]
        lines += [
            f"left out: {left.places:,} that {_REASONS[left.reason]}"
            for left in self.left_out
            if left.places
        ]
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])


def created_now() -> str:
    """The time of a report."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def write_report(report: AuditReport, thumbnails: Sequence[Thumbnail], out: str | Path) -> None:
    """Write `report.json` and `report.html`, each aside and renamed."""
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    write_page(folder / "report.html", render_html(report, thumbnails))
    write_document(folder / "report.json", report)


def render_html(report: AuditReport, thumbnails: Sequence[Thumbnail] = ()) -> str:
    """Render a report as one page that asks for nothing else."""
    environment = page_environment(
        "lcseg.audit", "lcseg.evaluation", score=format_score, picture_url=_picture_url
    )
    return environment.get_template("audit.html").render(
        report=report, thumbnails=thumbnails, suspects=SUSPECTS, reasons=_REASONS
    )


def _picture_url(picture: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"

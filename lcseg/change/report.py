"""What was found between dates, as JSON and as one HTML page.

write_report(report, pictures, Path("change"))
# change/report.html  report.json  flow.png  maps.png
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tabulate import tabulate

from lcseg.change.comparison import Filtering
from lcseg.change.places import Place, Tiles
from lcseg.change.registration import Shift
from lcseg.change.search import Rules
from lcseg.change.tally import Tally
from lcseg.classes import ClassScheme
from lcseg.documents import write_document
from lcseg.evaluation.report import score_pages
from lcseg.files import replaced
from lcseg.pages import write_page
from lcseg.prediction.fitness import Fitness
from lcseg.raster.fit import LabelFit

NO_DATA = "no data"


@dataclass(frozen=True)
class Matrix:
    """How much went from which class (rows) to which (columns); the last ones are of no data."""

    pixels: tuple[tuple[int, ...], ...]
    hectares: tuple[tuple[float, ...], ...] | None  # None: the maps have no CRS.

    @classmethod
    def of(cls, tally: Tally, has_areas: bool) -> Matrix:
        rows = tuple(map(tuple, (tally.m2 / 1e4).tolist()))
        return cls(tuple(map(tuple, tally.pixels.tolist())), rows if has_areas else None)

    @property
    def changed_pixels(self) -> int:
        """Pixels whose class is another one."""
        n = len(self.pixels) - 1
        return sum(self.pixels[i][j] for i in range(n) for j in range(n) if i != j)

    @property
    def known_pixels(self) -> int:
        """Pixels of which both maps say something."""
        n = len(self.pixels) - 1
        return sum(self.pixels[i][j] for i in range(n) for j in range(n))

    @property
    def changed_hectares(self) -> float | None:
        """Ground whose class is another one."""
        if self.hectares is None:
            return None
        n = len(self.pixels) - 1
        return sum(self.hectares[i][j] for i in range(n) for j in range(n) if i != j)

    @property
    def cells(self) -> tuple[tuple[float, ...], ...]:
        """Hectares, or pixels where there are none."""
        return self.hectares or self.pixels

    def flows(self) -> list[ClassFlow]:
        """Gains and losses by class, without what has no data in one of the maps."""
        known = np.array(self.cells)[:-1, :-1]
        rows, cols, same = known.sum(axis=1), known.sum(axis=0), known.diagonal()
        return [
            ClassFlow(
                float(rows[i]), float(cols[i]), float(rows[i] - same[i]), float(cols[i] - same[i])
            )
            for i in range(len(known))
        ]


@dataclass(frozen=True)
class ClassFlow:
    """What became of a class; in hectares, or in pixels where there are none."""

    before: float
    after: float
    lost: float  # To other classes.
    gained: float  # From other classes.

    @property
    def net(self) -> float:
        return self.gained - self.lost


@dataclass(frozen=True)
class RegionChange:
    """What changed in a region."""

    name: str
    matrix: Matrix  # Of change.


@dataclass(frozen=True)
class Interval:
    """What changed between two dates."""

    before: str  # Name of the first date.
    after: str  # Name of the second.
    raw: Matrix  # All differences between the maps.
    change: Matrix  # Those that are taken for change.
    filtering: Filtering  # Why others are not.
    fit: LabelFit  # How the second map lies under the first.
    shift: Shift | None  # Of the second image against the first; None: not measured.
    regions: tuple[RegionChange, ...]
    places: tuple[Place, ...]
    folder: str  # Where its rasters are, below the report; empty: beside it.

    @property
    def name(self) -> str:
        return f"{self.before} to {self.after}"


@dataclass(frozen=True)
class DateInfo:
    """A date, and what it was taken from."""

    name: str
    map: str  # Path of the map.
    image: str  # Path of the image; empty: none was given.
    fitness: Fitness | None  # Of the image, for the model; None: not known.


@dataclass(frozen=True)
class ChangeReport:
    """All that the page shows."""

    scheme: ClassScheme
    dates: tuple[DateInfo, ...]
    intervals: tuple[Interval, ...]  # From each date to the next, then from the first to the last.
    rules: Rules
    has_probabilities: bool
    warnings: tuple[str, ...]  # What weakens it, a sentence each.
    created: str  # When, as ISO 8601.

    @property
    def unit(self) -> str:
        """Of areas."""
        return "ha" if self.intervals[0].raw.hectares else "px"

    def format_area(self, value: float | None, sign: bool = False) -> str:
        """Set an area in the unit of the report."""
        largest = max(max(map(max, interval.raw.cells)) for interval in self.intervals)
        return format_area(value, self.unit, largest, sign)

    def text(self) -> str:
        """Set gains and losses of each interval as text."""
        return "\n\n".join(self._interval_text(interval) for interval in self.intervals)

    def _interval_text(self, interval: Interval) -> str:
        area = self.format_area
        rows = [
            [name, area(f.before), area(f.lost), area(f.gained), area(f.net, sign=True)]
            for name, f in zip(self.scheme.names, interval.change.flows(), strict=True)
        ]
        table = tabulate(
            rows,
            [f"{interval.name}, {self.unit}", "before", "lost", "gained", "net"],
            disable_numparse=True,
            colalign=("left", *["right"] * 4),
        )
        known = max(interval.raw.known_pixels, 1)
        raw, change = (100 * m.changed_pixels / known for m in (interval.raw, interval.change))
        lines = [table, "", f"differing {raw:.2f} % of the area; taken for change {change:.2f} %"]
        if interval.fit.sampling != "as it is":
            lines.append(
                f"the second map is read on the pixels of the first: {interval.fit.sampling}"
            )
        if interval.shift:
            lines.append(f"the second image lies {interval.shift}")
        return "\n".join(lines)


def format_area(value: float | None, unit: str, largest: float, sign: bool = False) -> str:
    """Set an area, with as many decimals as the largest beside it makes sense of."""
    if value is None:
        return "–"
    decimals = 0 if unit == "px" else sum(largest < limit for limit in (1e5, 1e3, 10, 1))
    text = f"{value:{'+' if sign else ''},.{decimals}f}"
    # What rounds to nothing has no sign.
    return text.lstrip("+-") if not text.strip("+-0.") else text.replace("-", "−")


@dataclass(frozen=True)
class IntervalPictures:
    """What the page shows of an interval beside the numbers."""

    flow: bytes  # The transitions as a picture, PNG.
    panels: bytes  # Both maps and the change side by side, with a legend, PNG.
    maps: Tiles  # Both maps and the change.
    places: Sequence[Tiles]  # Of each of its places.


def write_report(
    report: ChangeReport,
    pictures: Sequence[IntervalPictures],
    trend: bytes | None,
    folder: Path,
) -> None:
    """Write the page, its pictures and the document into a folder, each aside and renamed."""
    template = score_pages("lcseg.change").get_template("change.html")
    html = template.render(report=report, pictures=pictures, trend=trend)
    write_page(folder / "report.html", html)
    write_document(folder / "report.json", report)
    for interval, of in zip(report.intervals, pictures, strict=True):
        for name, png in (("flow.png", of.flow), ("maps.png", of.panels)):
            with replaced(folder / interval.folder / name) as aside:
                aside.write_bytes(png)

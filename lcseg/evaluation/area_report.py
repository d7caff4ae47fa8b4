"""A report of accuracies and areas, as JSON and as one HTML page.

write_area_report(report, "area/")
# area/report.json  area/report.html
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lcseg.classes import ClassScheme
from lcseg.documents import write_document
from lcseg.evaluation.area import AreaEstimates, Estimate, format_estimate
from lcseg.evaluation.confusion import format_score
from lcseg.evaluation.net_change import ChangeEstimates
from lcseg.pages import page_environment, write_page


@dataclass(frozen=True)
class AreaReport:
    """What a sample tells of a map: all that the page shows."""

    map: str  # Path of the map.
    reference: str  # Path of the points.
    scheme: ClassScheme  # The classes; their codes are the values of the map's pixels.
    estimates: AreaEstimates  # Accuracies and areas.
    notes: tuple[str, ...]  # What weakens them, a sentence each.
    details: dict[str, str]  # More to show: name -> value.
    created: str  # When, as ISO 8601.
    change: ChangeEstimates | None = None  # Gains and losses; None: it is no map of change.

    @property
    def widest_hectares(self) -> float:
        """What the longest bar stands for."""
        return max(
            max(land.hectares.value + land.hectares.margin, land.mapped_hectares)
            for land in self.estimates.classes
        )


def write_area_report(report: AreaReport, out: str | Path) -> None:
    """Write `report.json` and `report.html`, each aside and renamed."""
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    write_page(folder / "report.html", render_area_html(report))
    write_document(folder / "report.json", report)


def render_area_html(report: AreaReport) -> str:
    """Render a report as one page that asks for nothing else."""
    environment = page_environment(
        "lcseg.evaluation",
        score=format_score,
        share=_share,
        accuracy=format_estimate,
        signed=_signed,
    )
    return environment.get_template("area.html").render(report=report)


def _signed(value: Estimate, how: str) -> str:
    return format_estimate(value, f"+{how}")


def _share(value: Estimate) -> str:
    return format_estimate(value, ".1f", 100, " %")

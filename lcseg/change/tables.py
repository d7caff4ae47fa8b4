"""What was found between dates as tables, for spreadsheets.

write_tables(report, Path("change"))           # matrix.csv  classes.csv  regions.csv
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from lcseg.change.report import NO_DATA, ChangeReport
from lcseg.files import replaced


def write_tables(report: ChangeReport, folder: Path) -> None:
    """Write the tables that have rows into a folder, each aside and renamed."""
    for name, rows in (
        ("matrix.csv", _list_matrix(report)),
        ("classes.csv", _list_classes(report)),
        ("regions.csv", _list_regions(report)),
    ):
        table = list(rows)
        if len(table) > 1:
            with replaced(folder / name) as aside:
                aside.write_text(_format_csv(table), encoding="utf-8")


def _format_csv(rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    # Hundredths of a square metre.
    rounded = ([round(v, 6) if isinstance(v, float) else v for v in row] for row in rows)
    csv.writer(text, lineterminator="\n").writerows(rounded)
    return text.getvalue()


def _list_matrix(report: ChangeReport) -> Iterable[Sequence[object]]:
    yield "interval", "before", "after", "raw_px", "raw_ha", "change_px", "change_ha"
    names = (*report.scheme.names, NO_DATA)
    for interval in report.intervals:
        for i, before in enumerate(names):
            for j, after in enumerate(names):
                cells = [
                    value
                    for matrix in (interval.raw, interval.change)
                    for value in (
                        matrix.pixels[i][j],
                        "" if matrix.hectares is None else matrix.hectares[i][j],
                    )
                ]
                yield interval.name, before, after, *cells


def _list_classes(report: ChangeReport) -> Iterable[Sequence[object]]:
    unit = report.unit
    figures = "before", "after", "lost", "gained", "net"
    raw_figures = "lost", "gained", "net"
    names = [f"{figure}_{unit}" for figure in figures]
    yield "interval", "class", *names, *(f"raw_{figure}_{unit}" for figure in raw_figures)
    for interval in report.intervals:
        flows = zip(report.scheme.names, interval.change.flows(), interval.raw.flows(), strict=True)
        for name, flow, raw in flows:
            values = [getattr(flow, figure) for figure in figures]
            yield interval.name, name, *values, *(getattr(raw, f) for f in raw_figures)


def _list_regions(report: ChangeReport) -> Iterable[Sequence[object]]:
    unit = report.unit
    figures = "before", "after", "lost", "gained", "net"
    yield "interval", "region", "class", *(f"{figure}_{unit}" for figure in figures)
    for interval in report.intervals:
        for region in interval.regions:
            for name, flow in zip(report.scheme.names, region.matrix.flows(), strict=True):
                yield interval.name, region.name, name, *(getattr(flow, f) for f in figures)

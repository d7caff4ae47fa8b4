"""The pictures of a report of change.

pictures = draw_interval(interval, comparison, scheme, place_tiles)
trend = draw_series(report)                    # PNG; None: there are two dates only
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from lcseg.change.comparison import Comparison
from lcseg.change.flow import draw_flow, draw_trend
from lcseg.change.places import Tiles
from lcseg.change.report import ChangeReport, Interval, IntervalPictures, format_area
from lcseg.classes import ClassScheme
from lcseg.pictures import draw_panels, encode_png, figure_png


def draw_interval(
    interval: Interval, comparison: Comparison, scheme: ClassScheme, places: Sequence[Tiles]
) -> IntervalPictures:
    """Draw what changed between two dates, as bands and as maps."""
    unit = "ha" if interval.raw.hectares else "px"
    cells = np.array(interval.change.cells)[:-1, :-1]
    show = partial(format_area, unit=unit, largest=float(np.max(interval.raw.cells)))
    dates = interval.before, interval.after
    flow = draw_flow(cells, scheme, dates, lambda area: f"{show(area)} {unit}")
    titles, maps = [*dates, "change"], comparison.overview.draw(scheme)
    panels = draw_panels(titles, [maps], scheme, has_ignored=False)
    tiles = [(title, encode_png(picture)) for title, picture in zip(titles, maps, strict=True)]
    return IntervalPictures(figure_png(flow), figure_png(panels), tiles, places)


def draw_series(report: ChangeReport) -> bytes | None:
    """Draw the areas of the maps over more than two dates."""
    if len(report.dates) < 3:
        return None
    steps = report.intervals[: len(report.dates) - 1]
    # All that a map shows on the ground of the first, though the other has no data there.
    areas = [np.sum(steps[0].raw.cells, axis=1)[:-1].tolist()]
    areas += [np.sum(step.raw.cells, axis=0)[:-1].tolist() for step in steps]
    names = [date.name for date in report.dates]
    return figure_png(draw_trend(areas, report.scheme, names, report.unit))

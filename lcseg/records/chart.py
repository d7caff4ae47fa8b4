"""The picture of where chips and splits lie: a panel for each site, in the colours of the splits.

png = draw_ground(plan, outcomes)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure
from matplotlib.patches import Patch

from lcseg.pictures import figure_png
from lcseg.raster.pairing import SPLITS
from lcseg.records.ground import FATES, REFUSED, Panel, look_at_ground
from lcseg.records.looks import LOOKS
from lcseg.records.panel import INK, SCALE_IN, TITLE_IN, plot_panel
from lcseg.records.parts import PartOutcome
from lcseg.records.plan import Plan

DPI = 160
_WIDTH_IN, _EDGE_IN, _GAP_IN, _LINE_IN = 8.4, 0.15, 0.35, 0.25
_QUIET = "#626b72"
_TALLEST_IN = {1: 6.0, 2: 5.0}
"""Of a panel, by the number of columns."""

_BESIDE_IN, _LEGEND_COLUMNS = 3.6, 3


@dataclass(frozen=True)
class _Block:
    """Some lines of the legend."""

    names: tuple[str, ...]  # Fates.
    left_in: float  # From the left edge of the picture.
    below_in: float  # From its upper edge.
    is_above: bool  # Over the panels, in columns; else beside one.

    @property
    def height_in(self) -> float:
        return _LINE_IN * -(-len(self.names) // _LEGEND_COLUMNS) + 0.08


def draw_ground(plan: Plan, outcomes: Sequence[PartOutcome]) -> bytes:
    """Draw where the chips and splits lie; returns a PNG."""
    panels, counts = look_at_ground(plan, outcomes)
    return figure_png(plot_ground(panels, counts, len(plan.sites)), DPI)


def plot_ground(panels: Sequence[Panel], counts: dict[str, int], sites: int) -> Figure:
    """Plot panels with a legend that gives counts.

    Args:
        panels: the sites to show.
        counts: chips by fate.
        sites: how many there are, those without a panel too.
    """
    columns = {1: 1, 2: 2, 3: 3, 4: 2, 5: 3, 6: 3}.get(len(panels), 4)
    width_in = (_WIDTH_IN - 2 * _EDGE_IN - (columns - 1) * _GAP_IN) / columns
    scales = [_scale(panel, width_in, _TALLEST_IN.get(columns, 1.5 * width_in)) for panel in panels]
    heights_in = [
        TITLE_IN + SCALE_IN + (panel.bounds[3] - panel.bounds[1]) / scale
        for panel, scale in zip(panels, scales, strict=True)
    ]
    rows_in = [max(heights_in[at : at + columns]) for at in range(0, len(panels), columns)]
    blocks = _block_legend(panels, scales, counts)
    legend_in = sum(block.height_in for block in blocks if block.is_above)
    notes = _note(panels, sites)
    height_in = legend_in + sum(rows_in) + _LINE_IN * len(notes) + 2 * _EDGE_IN
    figure = Figure(figsize=(_WIDTH_IN, height_in))
    for block in blocks:
        _add_legend(figure, block, counts)
    for at, (panel, scale) in enumerate(zip(panels, scales, strict=True)):
        row, column = divmod(at, columns)
        left_in = _EDGE_IN + column * (width_in + _GAP_IN)
        bottom_in = height_in - _EDGE_IN - legend_in - sum(rows_in[: row + 1])
        axis = figure.add_axes(
            (
                left_in / _WIDTH_IN,
                bottom_in / height_in,
                width_in / _WIDTH_IN,
                rows_in[row] / height_in,
            )
        )
        plot_panel(axis, panel, scale, width_in, rows_in[row])
    for line, note in enumerate(reversed(notes)):
        y_in = _EDGE_IN + line * _LINE_IN
        figure.text(_EDGE_IN / _WIDTH_IN, y_in / height_in, note, fontsize=9, color=_QUIET)
    return figure


def _scale(panel: Panel, width_in: float, tallest_in: float) -> float:
    """Pixels of the frame to an inch."""
    left, top, right, bottom = panel.bounds
    return max((right - left) / width_in, (bottom - top) / tallest_in)


def _note(panels: Sequence[Panel], sites: int) -> list[str]:
    notes = []
    if sites > len(panels):
        more = sites - len(panels)
        notes.append(
            f"and {more:,} more site{'s' if more > 1 else ''}: the largest are shown, "
            "the counts are of all."
        )
    most = max(panel.chips_per_square for panel in panels)
    if most > 1:
        notes.append(
            f"A square stands for up to {most} x {most} chips, and shows the one in its middle."
        )
    return notes


def _block_legend(
    panels: Sequence[Panel], scales: Sequence[float], counts: dict[str, int]
) -> list[_Block]:
    """The legend: beside a single panel that leaves room for it, else above all."""
    dropped = tuple(name for name in FATES if name not in SPLITS and counts[name])
    used_in = (panels[0].bounds[2] - panels[0].bounds[0]) / scales[0]
    if len(panels) == 1 and used_in < _WIDTH_IN - _BESIDE_IN:
        left_in = _EDGE_IN + used_in + _GAP_IN
        return [_Block(SPLITS + dropped, left_in, _EDGE_IN + TITLE_IN, is_above=False)]
    splits = _Block(SPLITS, _EDGE_IN, _EDGE_IN, is_above=True)
    below_in = _EDGE_IN + splits.height_in
    return [splits, _Block(dropped, _EDGE_IN, below_in, is_above=True)] if dropped else [splits]


def _add_legend(figure: Figure, block: _Block, counts: dict[str, int]) -> None:
    handles = [
        Patch(
            facecolor=LOOKS[name].face,
            edgecolor=LOOKS[name].face if name in SPLITS else LOOKS[REFUSED].edge,
            hatch=LOOKS[name].hatch,
            linewidth=0.6,
            label=f"{name}  {counts[name]:,}",
        )
        for name in block.names
    ]
    legend = figure.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(block.left_in / _WIDTH_IN, 1 - block.below_in / figure.get_figheight()),
        ncols=_LEGEND_COLUMNS if block.is_above else 1,
        frameon=False,
        fontsize=10,
        labelcolor=INK,
        borderpad=0,
        borderaxespad=0,
        handlelength=1.1,
        handleheight=1.0,
        handletextpad=0.5,
        columnspacing=1.6,
        labelspacing=0.6,
    )
    figure.add_artist(legend)

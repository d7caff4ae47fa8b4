"""What came of a conversion, pair by pair and split by split, as JSON and as one page.

report = make_report(plan, outcomes)
write_report(report, draw_ground(plan, outcomes), Path("data"))
# data/conversion.json  data/conversion.html
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lcseg import __version__
from lcseg.classes import ClassScheme
from lcseg.documents import write_document
from lcseg.files import make_folder
from lcseg.pages import page_environment, write_page
from lcseg.raster.pairing import SPLITS
from lcseg.records.advice import advise
from lcseg.records.config import ConvertConfig
from lcseg.records.correction_report import advise_corrections, sum_corrections
from lcseg.records.ground import sort_tallies
from lcseg.records.looks import LOOKS
from lcseg.records.manifest import CorrectionsInfo, SplitSummary
from lcseg.records.pair_report import PairReport, report_pair
from lcseg.records.parts import PartOutcome, PieceTally
from lcseg.records.plan import Plan
from lcseg.records.survey import common_pixel_m

MOST_ROWS = 500
"""Pairs that the page shows; the JSON has them all."""

_NOT_SETTINGS = ("out", "quiet", "workers", "scheduler", "plan")
"""Flags that do not change what is in a data set."""


@dataclass(frozen=True)
class ConversionReport:
    """What came of a conversion."""

    created_by: str  # Program and version.
    is_plan: bool  # No records were written.
    scheme: ClassScheme  # The classes.
    chip_px: int  # Side of a chip.
    bands: tuple[str, ...]  # Of the images.
    dtype: str  # Of the images.
    pixel_m: float | None  # Ground sample distance; None: not georeferenced.
    sites: int  # How many places there are that share no ground.
    pairs: tuple[PairReport, ...]  # In reading order.
    splits: dict[str, SplitSummary]  # By name.
    warnings: tuple[str, ...]  # What a user should know before training.
    settings: dict[str, str | int | float | bool]  # The flags that made it.
    corrections: CorrectionsInfo | None = None  # Of labels; None: there were none.

    @property
    def chips(self) -> int:
        """Chips that were kept."""
        return sum(split.chips for split in self.splits.values())

    @property
    def dropped(self) -> int:
        """Chips that were not kept."""
        return sum(sum(pair.dropped.values()) for pair in self.pairs)


def make_report(plan: Plan, outcomes: Sequence[PartOutcome]) -> ConversionReport:
    """Sum up the outcomes of all parts."""
    tallies = sort_tallies(plan, outcomes)
    site_of = {number: i for i, site in enumerate(plan.sites) for number in site.scenes}
    pairs = tuple(
        report_pair(plan, number, site_of[number], of_scene)
        for number, of_scene in enumerate(tallies)
    )
    flat = [tally for of_scene in tallies for tally in of_scene]
    splits = {split: _sum_split(split, pairs, flat) for split in SPLITS}
    config, first = plan.config, plan.scenes[0]
    return ConversionReport(
        created_by=f"lcseg {__version__}",
        is_plan=config.plan,
        scheme=plan.scheme,
        chip_px=config.chip_px,
        bands=first.bands,
        dtype=first.dtype,
        pixel_m=common_pixel_m(plan.scenes),
        sites=len(plan.sites),
        pairs=pairs,
        splits=splits,
        warnings=(
            *advise(pairs, splits, plan.scheme, _find_wanted(plan)),
            *advise_corrections(plan, outcomes),
        ),
        settings=list_settings(config),
        corrections=sum_corrections(plan, outcomes),
    )


def list_settings(config: ConvertConfig) -> dict[str, str | int | float | bool]:
    """The flags that decide what is in a data set, by name."""
    settings = dataclasses.asdict(config)
    return {name: value for name, value in settings.items() if name not in _NOT_SETTINGS}


def _find_wanted(plan: Plan) -> list[str]:
    """The splits that the user asked for."""
    told = {scene.pair.split for scene in plan.scenes}
    is_all_told = "" not in told
    shares = {"train": 1.0, "val": plan.config.val_share, "test": plan.config.test_share}
    return [name for name in SPLITS if name in told or (shares[name] > 0 and not is_all_told)]


def _sum_split(
    split: str, pairs: Sequence[PairReport], tallies: Sequence[PieceTally]
) -> SplitSummary:
    pixels = np.sum([tally.class_pixels[split] for tally in tallies], axis=0)
    chips = sum(pair.chips[split] for pair in pairs)
    return SplitSummary(chips, tuple(pixels[:-1].tolist()), int(pixels[-1]))


def write_report(report: ConversionReport, ground_png: bytes, folder: Path) -> None:
    """Write `conversion.json` and `conversion.html` into a folder, each aside and renamed.

    Args:
        report: what to write.
        ground_png: the picture of where the chips lie.
        folder: it is made where it is missing.
    """
    make_folder(folder)
    write_page(folder / "conversion.html", render_html(report, ground_png))
    write_document(folder / "conversion.json", report)


def render_html(report: ConversionReport, ground_png: bytes) -> str:
    """Render a report as one page that asks for nothing else."""
    environment = page_environment("lcseg.records", metres=_metres, shift=_shift)
    return environment.get_template("conversion.html").render(
        report=report,
        ground=ground_png,
        most_rows=MOST_ROWS,
        split_colors={split: LOOKS[split].face for split in SPLITS},
    )


def _metres(length_m: float | None) -> str:
    return f"{length_m:.3g} m" if length_m else "–"


def _shift(shift_px: tuple[float, float]) -> str:
    """Rows and columns, with their signs."""
    rows, cols = shift_px
    return f"shift {rows:+.2f}, {cols:+.2f} px".replace("-", "−")

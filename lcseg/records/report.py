"""What came of a conversion, pair by pair and split by split, as JSON and as one page.

report = make_report(plan, outcomes)
write_report(report, draw_ground(plan, outcomes), Path("data"))
# data/conversion.json  data/conversion.html
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lcseg import __version__
from lcseg.classes import ClassScheme
from lcseg.documents import write_document
from lcseg.raster.pairing import SPLITS
from lcseg.records.manifest import SplitSummary
from lcseg.records.parts import PartOutcome, PieceTally
from lcseg.records.plan import Plan
from lcseg.records.selection import KEPT, REASONS

REFUSED = "on the ground of another split"


@dataclass(frozen=True)
class PairReport:
    """What became of a pair of rasters."""

    key: str  # Its name.
    image: str  # Path of the image raster.
    label: str  # Path of the label raster.
    date: str  # When the image was taken, as ISO 8601; empty: not known.
    site: int  # The number of its site; scenes of a site share ground.
    height: int  # Rows of the image.
    width: int  # Columns of the image.
    crs: str  # Name of the image's CRS; empty: none.
    pixel_m: float | None  # Ground sample distance of the image.
    label_crs: str  # Name of the label raster's CRS; empty: none.
    label_pixel_m: float | None  # Ground sample distance of the label raster.
    sampling: str  # How labels were brought onto the image's grid.
    shift_px: tuple[float, float]  # Rows and columns from the image's grid to the label's.
    overlap: float  # Share of the image that the label raster covers, 0 to 1.
    nodata: float  # Share of the pixels without image, 0 to 1.
    ignored: float  # Share of the pixels with image but without label, 0 to 1.
    chips: dict[str, int]  # Kept, by split.
    dropped: dict[str, int]  # Not kept, by reason.
    class_pixels: tuple[int, ...]  # Labels of the chips kept, by class.


@dataclass(frozen=True)
class ConversionReport:
    """What came of a conversion."""

    created_by: str  # Program and version.
    is_plan: bool  # No records were written.
    scheme: ClassScheme  # The classes.
    chip_px: int  # Side of a chip.
    pairs: tuple[PairReport, ...]  # In reading order.
    splits: dict[str, SplitSummary]  # By name.
    warnings: tuple[str, ...]  # What a user should know before training.


def make_report(plan: Plan, outcomes: Sequence[PartOutcome]) -> ConversionReport:
    """Sum up the outcomes of all parts."""
    tallies: list[list[PieceTally]] = [[] for _ in plan.scenes]
    for outcome in outcomes:
        for tally in outcome.tallies:
            tallies[tally.scene].append(tally)
    site_of = {number: i for i, site in enumerate(plan.sites) for number in site.scenes}
    pairs = tuple(
        _report_pair(plan, number, site_of[number], of_scene)
        for number, of_scene in enumerate(tallies)
    )
    splits = {
        split: _sum_split(split, pairs, [t for of_scene in tallies for t in of_scene])
        for split in SPLITS
    }
    return ConversionReport(
        f"lcseg {__version__}",
        plan.config.plan,
        plan.scheme,
        plan.config.chip_px,
        pairs,
        splits,
        tuple(_warn(plan, pairs, splits)),
    )


def _sum_split(
    split: str, pairs: Sequence[PairReport], tallies: Sequence[PieceTally]
) -> SplitSummary:
    pixels = np.sum([tally.class_pixels[split] for tally in tallies], axis=0)
    chips = sum(pair.chips[split] for pair in pairs)
    return SplitSummary(chips, tuple(pixels[:-1].tolist()), int(pixels[-1]))


def _report_pair(plan: Plan, number: int, site: int, tallies: Sequence[PieceTally]) -> PairReport:
    scene, layout = plan.scenes[number], plan.layouts[number]
    fates = np.array(list("".join(tally.fates for tally in tallies)))
    kept = layout.splits[fates == KEPT] if len(fates) else layout.splits
    pixels = max(sum(tally.pixels for tally in tallies), 1)
    missing = sum(tally.missing for tally in tallies)
    ignored = sum(tally.ignored for tally in tallies)
    dropped = {text: int(np.count_nonzero(fates == fate)) for fate, text in REASONS.items()}
    dropped[REFUSED] = len(layout.refused)
    class_pixels = np.sum(
        [np.zeros(plan.scheme.n_classes + 1, np.int64)]
        + [counts for tally in tallies for counts in tally.class_pixels.values()],
        axis=0,
    )
    return PairReport(
        key=scene.pair.key,
        image=scene.pair.image,
        label=scene.pair.label,
        date=scene.date,
        site=site,
        height=scene.grid.height,
        width=scene.grid.width,
        crs=scene.grid.crs or "",
        pixel_m=scene.pixel_m,
        label_crs="",
        label_pixel_m=None,
        sampling="",
        shift_px=(0.0, 0.0),
        overlap=1.0,
        nodata=missing / pixels,
        ignored=(ignored - missing) / pixels,
        chips={split: int(np.count_nonzero(kept == i)) for i, split in enumerate(SPLITS)},
        dropped={text: n for text, n in dropped.items() if n},
        class_pixels=tuple(class_pixels[:-1].tolist()),
    )


def _warn(plan: Plan, pairs: Sequence[PairReport], splits: dict[str, SplitSummary]) -> list[str]:
    """What a user should know before training."""
    warnings = []
    for index, name in enumerate(plan.scheme.names):
        empty = [split for split, held in splits.items() if not held.class_pixels[index]]
        if len(empty) == len(splits):
            warnings.append(f"{name} occurs nowhere")
        elif empty:
            warnings.append(f"{name} is missing from {' and '.join(empty)}")
    for pair in pairs:
        if not sum(pair.chips.values()):
            warnings.append(f"{pair.key} gives no chip")
    return warnings


def draw_ground(plan: Plan, outcomes: Sequence[PartOutcome]) -> bytes:
    """Draw where the chips and splits lie; returns a PNG."""
    return b""


def write_report(report: ConversionReport, ground_png: bytes, folder: Path) -> None:
    """Write `conversion.json` and `conversion.html` into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    write_document(folder / "conversion.json", report)

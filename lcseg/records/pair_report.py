"""What became of one pair of rasters in a conversion.

pair = report_pair(plan, scene=0, site=0, tallies=tallies)
pair.chips["val"], pair.dropped, pair.nodata
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lcseg.raster.crs import crs_name
from lcseg.raster.pairing import SPLITS
from lcseg.records.ground import FATES, find_fates
from lcseg.records.parts import PieceTally
from lcseg.records.plan import Plan


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
    shift_px: tuple[float, float]  # Rows and columns from the image's first corner to the label's.
    off_px: tuple[float, float]  # What of it sampling cannot mend: less than a label pixel.
    overlap: float  # Share of the image that the label raster covers, 0 to 1.
    nodata: float  # Share of the pixels without image, 0 to 1.
    ignored: float  # Share of the pixels with image but without label, 0 to 1.
    chips: dict[str, int]  # Kept, by split.
    dropped: dict[str, int]  # Not kept, by reason.
    class_pixels: tuple[int, ...]  # Labels of the chips kept, by class.

    @property
    def kept(self) -> int:
        """Chips of all splits."""
        return sum(self.chips.values())


def report_pair(plan: Plan, scene: int, site: int, tallies: Sequence[PieceTally]) -> PairReport:
    """Sum up what was found in the pieces of a scene."""
    of = plan.scenes[scene]
    fates = np.bincount(find_fates(plan, scene, tallies), minlength=len(FATES)).tolist()
    counts = dict(zip(FATES, fates, strict=True))
    pixels = max(sum(tally.pixels for tally in tallies), 1)
    missing = sum(tally.missing for tally in tallies)
    ignored = sum(tally.ignored for tally in tallies)
    class_pixels = np.zeros(plan.scheme.n_classes + 1, np.int64)
    for tally in tallies:
        for of_split in tally.class_pixels.values():
            class_pixels += of_split
    return PairReport(
        key=of.pair.key,
        image=of.pair.image,
        label=of.pair.label,
        date=of.date,
        site=site,
        height=of.grid.height,
        width=of.grid.width,
        crs=crs_name(of.grid.crs) if of.grid.crs else "",
        pixel_m=of.pixel_m,
        label_crs=of.fit.crs,
        label_pixel_m=of.fit.pixel_m,
        sampling=of.fit.sampling,
        shift_px=of.fit.origin_px,
        off_px=of.fit.shift_px,
        overlap=of.fit.overlap,
        nodata=missing / pixels,
        ignored=(ignored - missing) / pixels,
        chips={split: counts[split] for split in SPLITS},
        dropped={fate: n for fate, n in counts.items() if n and fate not in SPLITS},
        class_pixels=tuple(class_pixels[:-1].tolist()),
    )

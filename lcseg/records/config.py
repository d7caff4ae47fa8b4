"""What a user may choose when packing and inspecting a data set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal


@dataclass(frozen=True)
class ConvertConfig:
    """How scenes become a data set."""

    classes: Annotated[str, "Class scheme: chesapeake-4, chesapeake-6, or a JSON file."]
    out: Annotated[str, "Folder of the new data set; must not exist yet."]
    images: Annotated[str, "Pattern of the image rasters; quote it, e.g. 'scenes/*_naip.tif'."] = ""
    labels: Annotated[str, "Pattern of the label rasters; mates share the text of the *."] = ""
    pairs: Annotated[str, "CSV with the columns image,label,split,date, instead of patterns."] = ""
    corrections: Annotated[
        str, "Vector file of places with a verdict on their labels, as lcseg audit makes."
    ] = ""
    label_band: Annotated[int, "Band of the label rasters with the codes, from 1; 0: only one."] = 0
    allow_ungeoreferenced: Annotated[bool, "Take rasters without CRS, pixel on pixel."] = False
    chip_px: Annotated[int, "Side of a chip, in pixels."] = 256
    stride_px: Annotated[
        int, "Distance between training chips; below --chip_px they overlap; 0: --chip_px."
    ] = 0
    min_labelled: Annotated[float, "Least labelled share of a chip, 0 to 1; 0: any label."] = 0.0
    keep_below: Annotated[
        str, "Thin out what is common: CLASS:SHARE,… keeps training chips with less of CLASS."
    ] = ""
    split_by: Annotated[Literal["block", "scene"], "What goes whole into one split."] = "block"
    block_chips: Annotated[int, "Side of a split block, in chips."] = 4
    split_buffer_px: Annotated[int, "Distance that is kept between blocks, in pixels."] = 32
    val_share: Annotated[float, "Share of the ground for validation, 0 to 1."] = 0.15
    test_share: Annotated[float, "Share of the ground for testing, 0 to 1."] = 0.15
    seed: Annotated[int, "Decides which blocks or scenes go into which split."] = 0
    compression: Annotated[
        Literal["none", "zlib"], "Of the records; zlib is smaller and slower to read."
    ] = "none"
    shard_mb: Annotated[int, "Most that a shard holds, and a worker does at a time, in MB."] = 128
    workers: Annotated[int, "Processes that convert; 0: one for each core."] = 0
    scheduler: Annotated[
        str, "Dask cluster to convert on, tcp://HOST:PORT; empty: this machine."
    ] = ""
    plan: Annotated[bool, "Write the report alone, into the folder OUT.plan."] = False
    quiet: Annotated[bool, "Show no progress."] = False

    def __post_init__(self) -> None:
        if bool(self.pairs) == bool(self.images) or bool(self.images) != bool(self.labels):
            raise ValueError("give either --images and --labels, or --pairs")
        for name, least in (
            ("chip_px", 16),
            ("block_chips", 1),
            ("shard_mb", 1),
            ("label_band", 0),
            ("stride_px", 0),
            ("split_buffer_px", 0),
            ("workers", 0),
        ):
            if getattr(self, name) < least:
                raise ValueError(f"--{name} is {getattr(self, name)}, expected at least {least}")
        if self.stride_px > self.chip_px:
            raise ValueError("--stride_px must be at most --chip_px")
        if not 0 <= self.min_labelled <= 1:
            raise ValueError(f"--min_labelled is {self.min_labelled}, expected 0 to 1")
        if min(self.val_share, self.test_share) < 0 or self.val_share + self.test_share >= 1:
            raise ValueError(
                "--val_share and --test_share must be at least 0 and sum to less than 1"
            )


@dataclass(frozen=True)
class InspectConfig:
    """What to look at in a data set."""

    data: Annotated[str, "Folder of the data set."]
    preview: Annotated[str, "PNG file for a picture of some chips with their labels."] = ""
    preview_chips: Annotated[int, "How many chips the picture shows."] = 6
    quiet: Annotated[bool, "Show no progress."] = False

    def __post_init__(self) -> None:
        if self.preview_chips < 1:
            raise ValueError(f"--preview_chips is {self.preview_chips}, expected at least 1")

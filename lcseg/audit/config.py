"""What a user may choose when labels are audited."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from lcseg.files import require_local


@dataclass(frozen=True)
class AuditConfig:
    """Which labels are looked through, and by whose predictions."""

    out: Annotated[str, "Folder for the findings; must not exist yet."]
    data: Annotated[str, "Data set whose labels to audit, with --model or --folds."] = ""
    folds: Annotated[int, "Train so many models, each for the ground that it has not seen."] = 0
    model: Annotated[str, "Bundle to predict with, one that was not trained on the split."] = ""
    split: Annotated[
        Literal["train", "val", "test"], "With --model: split of the data set to audit."
    ] = "test"
    probabilities: Annotated[str, "Probabilities as lcseg predict writes them, with --label."] = ""
    label: Annotated[str, "Label raster to audit."] = ""
    classes: Annotated[str, "Class scheme of the label raster: a name or a JSON file."] = ""
    image: Annotated[str, "Image that was predicted, to be shown."] = ""
    label_band: Annotated[int, "Band of the label raster with the codes, from 1; 0: only one."] = 0
    allow_ungeoreferenced: Annotated[bool, "Take rasters without CRS, pixel on pixel."] = False
    places: Annotated[int, "Most places to list, the most certain ones."] = 200
    min_area_m2: Annotated[float, "Least area of a place on the ground; 0: any."] = 0.0
    edge_tolerance_px: Annotated[
        int, "How far from where they are borders may be drawn: no place is all within that."
    ] = 3
    batch: Annotated[int, "Chips in a step."] = 8
    seed: Annotated[int, "With --folds: decides which ground is in which fold."] = 0
    keep: Annotated[
        str, "With --folds: folder for folds and models, so that another audit can use them."
    ] = ""
    quiet: Annotated[bool, "Show no progress."] = False
    training: Annotated[tuple[str, ...], "With --folds: flags of lcseg train, for each model."] = ()

    def __post_init__(self) -> None:
        require_local(self.out, "out")
        require_local(self.keep, "keep")
        ways = [bool(self.model), bool(self.folds), bool(self.probabilities or self.label)]
        has_rasters = bool(self.probabilities and self.label and self.classes)
        is_whole = has_rasters if ways[2] else bool(self.data)
        if sum(ways) != 1 or not is_whole or (ways[2] and self.data):
            raise ValueError(
                "give --folds and --data, or --model and --data, "
                "or --probabilities, --label and --classes"
            )
        if not ways[2] and (self.image or self.classes):
            raise ValueError("--image and --classes go with --probabilities")
        if self.training and not self.folds:
            raise ValueError(f"{self.training[0]}: flags of lcseg train go with --folds")
        if self.keep and not self.folds:
            raise ValueError("--keep goes with --folds")
        own = [flag for flag in self.training if _flag_name(flag) in ("data", "run", "flagfile")]
        if own:
            raise ValueError(f"-- {own[0]}: the audit decides on the data and the runs")
        if self.folds and self.folds < 3:
            raise ValueError(
                f"--folds={self.folds}, expected at least 3: to test, choose and train"
            )
        if min(self.places, self.batch) < 1:
            raise ValueError("--places and --batch must be at least 1")
        if min(self.min_area_m2, self.edge_tolerance_px, self.label_band, self.seed) < 0:
            raise ValueError(
                "--min_area_m2, --edge_tolerance_px, --label_band and --seed must not be negative"
            )


def _flag_name(argument: str) -> str:
    """The name of the flag that an argument sets, as `data` of --data=train."""
    return argument.lstrip("-").partition("=")[0] if argument.startswith("-") else ""

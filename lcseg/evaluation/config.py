"""What a user may choose when a model or a map is judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from lcseg.files import require_local


@dataclass(frozen=True)
class EvaluateConfig:
    """What is judged against what."""

    out: Annotated[str, "Folder for the report; must not exist yet."]
    model: Annotated[str, "Bundle to judge, with --data."] = ""
    data: Annotated[str, "Data set to judge the bundle on."] = ""
    split: Annotated[Literal["train", "val", "test"], "Split of the data set."] = "test"
    map: Annotated[str, "Map to judge, with --label and --classes, instead of a bundle."] = ""
    label: Annotated[str, "Label raster to judge the map by."] = ""
    classes: Annotated[str, "Class scheme of the label raster: a name or a JSON file."] = ""
    label_band: Annotated[int, "Band of the label raster with the codes, from 1; 0: only one."] = 0
    allow_ungeoreferenced: Annotated[bool, "Take rasters without CRS, pixel on pixel."] = False
    batch: Annotated[int, "Chips in a step."] = 8
    quiet: Annotated[bool, "Show no progress."] = False

    def __post_init__(self) -> None:
        has_model = bool(self.model and self.data)
        has_map = bool(self.map and self.label and self.classes)
        if has_model == has_map or (has_model and (self.map or self.label)):
            raise ValueError("give --model and --data, or --map, --label and --classes")
        require_local(self.out, "out")
        if self.batch < 1 or self.label_band < 0:
            raise ValueError("--batch must be at least 1, --label_band at least 0")

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
    probabilities: Annotated[str, "Probabilities of the map, as lcseg predict writes them."] = ""
    image: Annotated[str, "Image that the map was made of, to be shown."] = ""
    label_band: Annotated[int, "Band of the label raster with the codes, from 1; 0: only one."] = 0
    allow_ungeoreferenced: Annotated[bool, "Take rasters without CRS, pixel on pixel."] = False
    batch: Annotated[int, "Chips in a step."] = 8
    worst: Annotated[int, "How many of the worst chips or windows to picture."] = 6
    quiet: Annotated[bool, "Show no progress."] = False

    def __post_init__(self) -> None:
        has_model = bool(self.model and self.data)
        has_map = bool(self.map and self.label and self.classes)
        if has_model == has_map or (has_model and (self.map or self.label)):
            raise ValueError("give --model and --data, or --map, --label and --classes")
        if has_model and (self.probabilities or self.image):
            raise ValueError("--probabilities and --image go with --map")
        require_local(self.out, "out")
        if self.batch < 1 or self.label_band < 0 or self.worst < 0:
            raise ValueError("--batch must be at least 1, --label_band and --worst at least 0")


@dataclass(frozen=True)
class SampleConfig:
    """Which points of a map people are to look at."""

    map: Annotated[str, "Class map to draw points from."]
    out: Annotated[str, "File of the points, in the format of its extension; must not exist yet."]
    n: Annotated[int, "Points to draw; 0: as many as --standard_error takes."] = 0
    standard_error: Annotated[
        float, "Instead of --n: the standard error that overall accuracy is to have, as 0.01."
    ] = 0.0
    expected_accuracy: Annotated[
        str, "With --standard_error: user's accuracy to expect, one for all classes or for each."
    ] = "0.85"
    allocation: Annotated[
        Literal["proportional", "equal"], "Points by the area of the classes, or as many in each."
    ] = "proportional"
    min_per_class: Annotated[int, "Points of the rarest class, if it has as many pixels."] = 50
    classes: Annotated[
        str, "Class scheme, a name or a JSON file, of a map that does not name its classes."
    ] = ""
    seed: Annotated[int, "Decides which points are drawn."] = 0
    quiet: Annotated[bool, "Show no progress."] = False

    def __post_init__(self) -> None:
        require_local(self.out, "out")
        if (self.n > 0) == (self.standard_error > 0):
            raise ValueError("give --n or --standard_error")
        if self.n < 0 or self.standard_error < 0 or self.seed < 0 or self.min_per_class < 2:
            raise ValueError("--n and --seed must not be negative, --min_per_class at least 2")
        if not all(0 < accuracy < 1 for accuracy in self.accuracies):
            raise ValueError("--expected_accuracy must lie between 0 and 1")

    @property
    def accuracies(self) -> tuple[float, ...]:
        """The expected user's accuracies: one, or one for each class."""
        try:
            return tuple(map(float, self.expected_accuracy.split(",")))
        except ValueError as error:
            problem = f"--expected_accuracy={self.expected_accuracy}: expected numbers"
            raise ValueError(problem) from error


@dataclass(frozen=True)
class AreaConfig:
    """Which map is judged, and its areas estimated, by which points."""

    map: Annotated[str, "Class map that the points were drawn from."]
    reference: Annotated[str, "File of the points, with what people saw there filled in."]
    out: Annotated[str, "Folder for the report; must not exist yet. Empty: none is written."] = ""
    classes: Annotated[
        str, "Class scheme, a name or a JSON file, of a map that does not name its classes."
    ] = ""
    leave_out_unfilled: Annotated[
        bool, "Leave out points without a reference: they are taken to be like the others."
    ] = False
    quiet: Annotated[bool, "Show no progress."] = False

    def __post_init__(self) -> None:
        require_local(self.out, "out")

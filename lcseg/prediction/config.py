"""What a user may choose when rasters are mapped."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from lcseg.files import require_local

NAME = "{name}"
"""What stands for the name of each image in the paths of its maps."""


@dataclass(frozen=True)
class PredictConfig:
    """What is mapped, and where the maps go."""

    model: Annotated[str, "Bundle, or ONNX file of lcseg export, to map with."]
    image: Annotated[str, "Image raster to map."] = ""
    out: Annotated[str, "GeoTIFF for the class map; must not exist yet."] = ""
    probabilities: Annotated[str, "GeoTIFF for a probability of each class (254 is 1)."] = ""
    confidence: Annotated[str, "GeoTIFF for the probability of the class that is mapped."] = ""
    margin: Annotated[str, "GeoTIFF for its lead over the second best."] = ""
    polygons: Annotated[str, "Vector file (.gpkg, …) for the map as polygons."] = ""
    min_area_m2: Annotated[
        float, "Patches that are smaller join the largest neighbour, in the polygons alone."
    ] = 0.0
    images: Annotated[
        str, "Images to map, as a glob; {name} in the paths of the maps is that of each image."
    ] = ""
    mosaic: Annotated[bool, "Map all of --images as one; where they overlap, the first counts."] = (
        False
    )
    aoi: Annotated[str, "Polygons (GeoJSON, GeoPackage, …) outside of which nothing is mapped."] = (
        ""
    )
    bands: Annotated[
        tuple[str, ...],
        "Bands of the image in the order of the bundle's: numbers from 1, or names.",
    ] = ()
    scale: Annotated[
        float | None, "Bring values to those of the training imagery: value * scale + offset."
    ] = None
    offset: Annotated[float, "What is added to value * scale."] = 0.0
    resample: Annotated[bool, "Read an image of other pixels at the training imagery's size."] = (
        False
    )
    date: Annotated[str, "When the imagery was taken, as 2013-07-04; empty: what it says."] = ""
    backend: Annotated[
        Literal["auto", "keras", "onnx"],
        "What runs the model; auto: onnxruntime for an ONNX file, without TensorFlow, else Keras.",
    ] = "auto"
    block_px: Annotated[int, "Side of the blocks that are predicted at once, in pixels."] = 1024
    workers: Annotated[int, "Processes that predict; 0: one for each core."] = 1
    scheduler: Annotated[str, "Dask cluster that predicts instead: tcp://HOST:PORT."] = ""
    allow_ungeoreferenced: Annotated[bool, "Take images without CRS."] = False
    quiet: Annotated[bool, "Show no progress."] = False

    def __post_init__(self) -> None:
        if bool(self.image) == bool(self.images):
            raise ValueError("give --image, or --images")
        if (Path(self.model).suffix == ".onnx") != (self.runs_on == "onnx"):
            raise ValueError(
                f"--backend={self.backend} does not run --model={self.model}: onnx takes a file of "
                "lcseg export --format=onnx, keras a bundle"
            )
        if not self.out:
            raise ValueError("--out is empty")
        if self.block_px < 1:
            raise ValueError("--block_px must be at least 1")
        if self.workers < 0 or self.min_area_m2 < 0:
            raise ValueError("--workers and --min_area_m2 must be at least 0")
        if self.mosaic and not self.images:
            raise ValueError("--mosaic is for --images")
        if self.scale == 0:
            raise ValueError("--scale must not be 0")
        if self.scale is None and self.offset:
            raise ValueError("--offset goes with --scale")
        if self.workers != 1 and self.scheduler:
            raise ValueError("give --workers, or --scheduler with workers of its own")
        self._check_date()
        if self.min_area_m2 and not self.polygons:
            raise ValueError("--min_area_m2 is for --polygons")
        self._check_paths()

    def _check_date(self) -> None:
        try:
            datetime.fromisoformat(self.date or "2013-07-04")
        except ValueError:
            raise ValueError(f"--date={self.date} is no date as 2013-07-04") from None

    @property
    def runs_on(self) -> str:
        """The backend that is meant."""
        if self.backend != "auto":
            return self.backend
        return "onnx" if Path(self.model).suffix == ".onnx" else "keras"

    def _check_paths(self) -> None:
        taken: dict[Path, str] = {}
        for flag in ("out", "probabilities", "confidence", "margin", "polygons"):
            path = getattr(self, flag)
            if not path:
                continue
            require_local(path, flag)
            if flag != "polygons" and Path(path).suffix.lower() not in (".tif", ".tiff"):
                raise ValueError(f"--{flag}={path} is a GeoTIFF; end it with .tif")
            if self.images and not self.mosaic and NAME not in path:
                raise ValueError(f"--{flag} has no {NAME} for each image; write it, or --mosaic")
            if Path(path).resolve() in taken:
                other = taken[Path(path).resolve()]
                raise ValueError(f"--{flag} and --{other} are the same file")
            taken[Path(path).resolve()] = flag

    def named(self, image: str) -> PredictConfig:
        """The same for one image alone, whose name takes its place in the paths."""
        paths = {
            flag: getattr(self, flag).replace(NAME, Path(image).stem)
            for flag in ("out", "probabilities", "confidence", "margin", "polygons")
        }
        return dataclasses.replace(self, image=image, images="", **paths)

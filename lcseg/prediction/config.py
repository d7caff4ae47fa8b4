"""What a user may choose when a raster is mapped."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from lcseg.files import require_local


@dataclass(frozen=True)
class PredictConfig:
    """What is mapped, and where the map goes."""

    model: Annotated[str, "Bundle to map with."]
    image: Annotated[str, "Image raster to map."]
    out: Annotated[str, "GeoTIFF for the class map; must not exist yet."]
    probabilities: Annotated[str, "GeoTIFF for a probability of each class (254 is 1)."] = ""
    block_px: Annotated[int, "Side of the blocks that are predicted at once, in pixels."] = 1024
    allow_ungeoreferenced: Annotated[bool, "Take an image without CRS."] = False
    quiet: Annotated[bool, "Show no progress."] = False

    def __post_init__(self) -> None:
        if self.block_px < 1:
            raise ValueError("--block_px must be at least 1")
        require_local(self.out, "out")
        require_local(self.probabilities, "probabilities")
        if not self.out:
            raise ValueError("--out is empty")
        if self.probabilities and Path(self.probabilities).resolve() == Path(self.out).resolve():
            raise ValueError("--probabilities and --out are the same file")

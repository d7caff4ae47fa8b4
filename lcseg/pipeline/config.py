"""What a user may choose about the way from records to batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from lcseg.files import require_local


@dataclass(frozen=True)
class InputConfig:
    """How chips become batches for training."""

    batch: Annotated[int, "Crops in a step, over all devices."] = 16
    crop_px: Annotated[int, "Side of the random crop of a chip; 0: the whole chip."] = 0
    d4: Annotated[bool, "Turn and mirror crops at random (the 8 symmetries of the square)."] = True
    brightness: Annotated[float, "Most that a band is shifted, in standard deviations."] = 0.2
    contrast: Annotated[float, "Most that contrast changes, as a share; 0.2: x 0.8 to x 1.2."] = 0.2
    sampling: Annotated[
        Literal["uniform", "balanced"],
        "How chips are drawn: each once in an epoch, or each class alike, its pixels alike.",
    ] = "uniform"
    cache: Annotated[
        Literal["auto", "memory", "disk", "none"],
        "Where raw chips are kept between epochs; auto: in memory, else on disk, as they fit.",
    ] = "auto"
    cache_gb: Annotated[float, "Most memory for the chips; 0: 70 % of what is free."] = 0.0
    cache_dir: Annotated[str, "Folder of the cache on disk; empty: `cache` in that of the run."] = (
        ""
    )

    def __post_init__(self) -> None:
        require_local(self.cache_dir, "cache_dir")
        if self.batch < 1 or self.crop_px < 0 or self.cache_gb < 0:
            raise ValueError("--batch must be at least 1, --crop_px and --cache_gb at least 0")
        if not (0 <= self.contrast < 1 and self.brightness >= 0):
            raise ValueError("--contrast must be in [0, 1), --brightness at least 0")
        for name, choices in (("sampling", SAMPLINGS), ("cache", CACHES)):
            if getattr(self, name) not in choices:
                expected = ", ".join(choices)
                raise ValueError(f"--{name}={getattr(self, name)}, expected one of {expected}")


SAMPLINGS = ("uniform", "balanced")
CACHES = ("auto", "memory", "disk", "none")

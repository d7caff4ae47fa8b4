"""Whether imagery is like that which a bundle was trained on, and how it can be made so.

factor = require_fit(info, image, pixel_m, config)     # 1: it is read at its own distance
"""

from __future__ import annotations

from lcseg.errors import LcsegError
from lcseg.model.info import BundleInfo
from lcseg.prediction.config import PredictConfig
from lcseg.progress import counted
from lcseg.raster.grid import pixel_sizes_agree
from lcseg.raster.source import ImageSource, bands_agree

_MOST_COARSE = 2.0
"""Pixels of an image that is resampled may be so many times as large as those of training."""


def require_fit(
    info: BundleInfo, image: ImageSource, pixel_m: float | None, config: PredictConfig
) -> float:
    """Refuse an image that is not like those which the bundle was trained on.

    Bands are compared by number, and by name where both sides know it and the user did not choose
    them.

    Returns:
        How many pixels along a side to read for each one of the image.
    """
    problem = fix = ""
    if len(image.bands) != len(info.bands):
        has = "--bands names" if config.bands else "has"
        problem = f"{has} {counted(len(image.bands), 'band')}, "
        problem += f"the bundle was trained on {len(info.bands)}: "
        problem += ", ".join(info.bands)
        fix = "choose them with --bands" if len(image.bands) > len(info.bands) else ""
    elif not config.bands and not bands_agree(image.bands, info.bands):
        problem = f"has the bands {', '.join(image.bands)}, the bundle's are "
        problem += ", ".join(info.bands)
        fix = f"name them in this order: --bands={_say_order(image.bands, info.bands)}"
    elif config.scale is None and image.dtype != info.dtype:
        problem = f"has pixels of {image.dtype}, the bundle was trained on {info.dtype}"
        fix = "bring it to the values of the training imagery (--scale, --offset)"
    elif not config.resample and not pixel_sizes_agree(pixel_m, info.pixel_m):
        problem = f"has pixels of {pixel_m:.4g} m, the bundle was trained on {info.pixel_m:.4g} m"
        fix = "pass --resample to read it at that size"
    elif pixel_m and info.pixel_m and pixel_m > _MOST_COARSE * info.pixel_m:
        problem = f"has pixels of {pixel_m:.4g} m, the bundle was trained on {info.pixel_m:.4g} m"
        fix = "what is so coarse does not show what was learnt; find finer imagery"
    if problem:
        raise LcsegError(image.path, problem, fix)
    if not config.resample or pixel_sizes_agree(pixel_m, info.pixel_m):
        return 1.0
    return (pixel_m or 1.0) / (info.pixel_m or 1.0)


def _say_order(bands: tuple[str, ...], wanted: tuple[str, ...]) -> str:
    """The numbers of the wanted bands, N where it is not known which one that is."""
    numbers = {name: str(index) for index, name in enumerate(bands, start=1)}
    return ",".join(numbers.get(name, "N") for name in wanted)

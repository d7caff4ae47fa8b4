"""From parts that are done to files under the names that the user gave.

require_free(plan, config)                     # before anything is predicted
deliver(plan, config, shop, outcomes)          # when all parts are there
"""

from __future__ import annotations

import errno
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lcseg.errors import LcsegError
from lcseg.files import replaced
from lcseg.prediction.catalog import describe_map, is_foreign, item_path, write_item
from lcseg.prediction.config import PredictConfig
from lcseg.prediction.parts import piece_path
from lcseg.prediction.plan import Plan
from lcseg.prediction.products import CLASSES, profile_of
from lcseg.prediction.task import PartOutcome
from lcseg.prediction.workshop import Workshop, workshop_folder
from lcseg.raster.cog import read_tags, replace_cog
from lcseg.raster.dataset import bounded_cache
from lcseg.raster.legend import aux_path, style_path, write_legend, write_style
from lcseg.raster.pieces import join_pieces
from lcseg.raster.polygons import write_polygons

_LOG = logging.getLogger("lcseg")

_TAG = "lcseg_map"
"""The metadata by which a raster is known to be what a task makes."""


_JOIN_CACHE_MB = 8
"""What is read once, block by block, needs little of GDAL's cache."""

_TRACE_CACHE_MB = 64
"""What is read row by row needs a row of blocks, of any map."""


def require_free(plan: Plan, config: PredictConfig) -> None:
    """Refuse to write over anything but what a start that was killed has made of this very task."""
    has_begun = workshop_folder(Path(config.out)).exists()
    for path in _outs(config).values():
        if path.exists() and not (has_begun and _is_of(path, plan)):
            raise _taken(path)
    polygons, note = Path(config.polygons), _polygons_note(config)
    if config.polygons and polygons.exists():
        is_own = note.exists() and note.read_text() == str(polygons.resolve())
        if not is_own:
            raise _taken(polygons)
    if is_foreign(item_path(Path(config.out))):
        raise _taken(item_path(Path(config.out)))


def is_done(plan: Plan, config: PredictConfig) -> bool:
    """Whether an earlier start has made all of a map."""
    if workshop_folder(Path(config.out)).exists():
        return False
    is_there = not config.polygons or Path(config.polygons).exists()
    return is_there and all(path.exists() and _is_of(path, plan) for path in _outs(config).values())


def clear(plan: Plan, config: PredictConfig) -> None:
    """Remove rasters under the names of a map that are not what its task makes."""
    for path in _outs(config).values():
        if path.exists() and not _is_of(path, plan):
            path.unlink()


def deliver(
    plan: Plan, config: PredictConfig, shop: Workshop, outcomes: Sequence[PartOutcome]
) -> None:
    """Join the pieces of each product, and give all of them their names together."""
    outs = _outs(config)
    if not config.quiet:
        files = [*outs.values(), *_polygons(config)]
        _LOG.info("writing %s", ", ".join(path.name for path in files))
    made = {product: shop.folder / f"{product}.tif" for product in outs}
    for product, path in made.items():
        _join(plan, product, shop.folder, outcomes, path)
    if config.polygons:
        # By this note the next start knows its own.
        _polygons_note(config).write_text(str(Path(config.polygons).resolve()))
        with bounded_cache(_TRACE_CACHE_MB):
            polygons = Path(config.polygons)
            write_polygons(str(made[CLASSES]), polygons, plan.scheme, config.min_area_m2)
    for product, path in made.items():
        give_name(path, outs[product])
        aux_path(outs[product]).unlink(missing_ok=True)
    write_legend(outs[CLASSES], plan.scheme, count_classes(outcomes))
    # People change styles to their liking.
    if not style_path(outs[CLASSES]).exists():
        write_style(style_path(outs[CLASSES]), plan.scheme)
    item = item_path(outs[CLASSES])
    try:
        described = describe_map(plan, outs, item) if plan.grid.crs else None
    except LcsegError as error:
        # A CRS need not have longitude and latitude.
        _LOG.warning("warning: the map has no catalogue entry: %s", error)
        described = None
    if described:
        write_item(described, item)


def count_classes(outcomes: Sequence[PartOutcome]) -> tuple[int, ...]:
    """Pixels of each class."""
    return tuple(np.sum([outcome.class_pixels for outcome in outcomes], axis=0).tolist())


def _join(
    plan: Plan, product: str, folder: Path, outcomes: Sequence[PartOutcome], path: Path
) -> None:
    """Join the pieces of a product into a COG."""
    tags = {
        "lcseg_model": plan.info.model_sha256,
        "lcseg_classes": plan.scheme.name,
        _TAG: plan.task.digest,
    }
    profile = profile_of(product, plan.scheme, tags)
    pieces = [
        (piece_path(folder, product, part), part.window.within(plan.window))
        for part, outcome in zip(plan.parts, outcomes, strict=True)
        if product in outcome.files
    ]
    joined = folder / f"{product}.vrt"
    with bounded_cache(_JOIN_CACHE_MB):
        join_pieces(joined, pieces, plan.grid, profile)
        replace_cog(joined, path, profile)


def give_name(path: Path, out: Path) -> None:
    """Have a file that is whole take its name, on whatever disk."""
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.replace(out)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        with replaced(out) as aside:
            shutil.copyfile(path, aside)
        path.unlink()


def _outs(config: PredictConfig) -> dict[str, Path]:
    """The files of the products that are wanted."""
    flags = ("probabilities", "confidence", "margin")
    wanted = {flag: Path(getattr(config, flag)) for flag in flags if getattr(config, flag)}
    return {CLASSES: Path(config.out), **wanted}


def _polygons(config: PredictConfig) -> list[Path]:
    return [Path(config.polygons)] if config.polygons else []


def _polygons_note(config: PredictConfig) -> Path:
    return workshop_folder(Path(config.out)) / "polygons"


def _is_of(path: Path, plan: Plan) -> bool:
    """Whether a raster is what a task makes."""
    return read_tags(path).get(_TAG) == plan.task.digest


def _taken(path: Path) -> LcsegError:
    return LcsegError(path, "exists already", "name another file, or remove it first")

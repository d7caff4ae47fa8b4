"""From image rasters to class maps, part by part.

summary = predict_map(PredictConfig(model="run/bundle", image="scene.tif", out="map.tif"))
summaries = predict_maps(PredictConfig(model="run/bundle", images="*.tif", out="maps/{name}.tif"))
"""

from __future__ import annotations

import glob
import logging
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from lcseg.documents import read_document, write_document
from lcseg.errors import LcsegError
from lcseg.prediction.catalog import describe_map, is_foreign, item_path, write_item
from lcseg.prediction.config import PredictConfig
from lcseg.prediction.parts import forget, piece_path, predict_part
from lcseg.prediction.plan import Plan, make_plan
from lcseg.prediction.products import CLASSES, profile_of
from lcseg.prediction.task import Part, PartOutcome
from lcseg.processes import count_cores, run_parts
from lcseg.progress import Progress
from lcseg.raster.cog import read_tags, replace_cog
from lcseg.raster.dataset import bounded_cache
from lcseg.raster.legend import aux_path, style_path, write_legend, write_style
from lcseg.raster.pieces import join_pieces
from lcseg.raster.polygons import write_polygons
from lcseg.records.folder import claimed

_LOG = logging.getLogger("lcseg")

_TAG = "lcseg_map"
"""The metadata by which a raster is known to be what a task makes."""


@dataclass(frozen=True)
class PredictSummary:
    """What was mapped."""

    out: str  # Path of the class map.
    pixels: int  # Of the map.
    class_pixels: tuple[int, ...]  # By class.
    names: tuple[str, ...]  # Of the classes.
    pixel_m: float | None  # Ground sample distance.
    seconds: float  # Taken.

    @property
    def speed_mpx_s(self) -> float:
        """Million pixels a second."""
        return self.pixels / 1e6 / self.seconds


def predict_maps(config: PredictConfig) -> list[PredictSummary]:
    """Map an image, a mosaic of images, or each of several images.

    Of several, those that an earlier start has mapped in the same way are left as they are, and
    those outside of the area of interest are left out.
    """
    if config.image or config.mosaic:
        return [predict_map(config)]
    images = _find_images(config)
    named = [config.named(image) for image in images]
    if len({each.out for each in named}) < len(named):
        raise LcsegError(f"--images={config.images}", "two images have the same name", "rename one")
    summaries = []
    is_anything_there = False
    for each in named:
        started_s = time.monotonic()
        plan = make_plan(each, [each.image])
        is_anything_there |= bool(plan.parts)
        if plan.parts and not _is_done(plan, each):
            summaries.append(_carry_out(plan, each, started_s))
    if not is_anything_there:
        raise _nothing_there(config)
    return summaries


def predict_map(config: PredictConfig) -> PredictSummary:
    """Make one map, of an image or of a mosaic; it appears whole or not at all.

    Blocks are read with a halo as wide as the model sees, so the map is the same as if the whole
    scene, mirrored at its edge, had been predicted at once. Invalid pixels are 255 in the map. A
    prediction that was interrupted goes on with the same call.
    """
    started_s = time.monotonic()
    images = _find_images(config) if config.images else [config.image]
    plan = make_plan(config, images)
    if not plan.parts:
        raise _nothing_there(config)
    return _carry_out(plan, config, started_s)


def _carry_out(plan: Plan, config: PredictConfig, started_s: float) -> PredictSummary:
    with _workshop(plan, config) as folder:
        outcomes = _finish_parts(plan, config, folder)
        _finish_maps(plan, config, folder, outcomes)
    return PredictSummary(
        config.out,
        plan.grid.height * plan.grid.width,
        _count(outcomes),
        plan.scheme.names,
        plan.pixel_m,
        time.monotonic() - started_s,
    )


def _count(outcomes: Sequence[PartOutcome]) -> tuple[int, ...]:
    """Pixels of each class."""
    return tuple(np.sum([outcome.class_pixels for outcome in outcomes], axis=0).tolist())


@contextmanager
def _workshop(plan: Plan, config: PredictConfig) -> Iterator[Path]:
    """Yield a folder beside the map for what is made on the way.

    If the work ends early, it is kept if anything in it can be used by the next start.
    """
    out = Path(config.out)
    folder = out.absolute().with_name(f".{out.name}.partial")
    has_begun = folder.exists()
    for path in _outs(config).values():
        # What this very task has made was put there by a start that was killed before it had ended.
        if path.exists() and not (has_begun and read_tags(path).get(_TAG) == plan.task.digest):
            raise _taken(path)
    for path in [Path(config.polygons)] if config.polygons else []:
        if path.exists() and not has_begun:
            raise _taken(path)
    if is_foreign(item_path(out)):
        raise _taken(item_path(out))
    folder.mkdir(parents=True, exist_ok=True)
    with claimed(folder, out, "--out"):
        try:
            yield folder
            shutil.rmtree(folder)
        finally:
            forget()
            if folder.exists() and not any(folder.glob("part-*.json")):
                shutil.rmtree(folder)


def _finish_parts(plan: Plan, config: PredictConfig, folder: Path) -> list[PartOutcome]:
    """Do the parts that an earlier start has not done; returns the outcomes of all, in order."""
    found = {part.number: _find_outcome(folder, part) for part in plan.parts}
    done = {number: outcome for number, outcome in found.items() if outcome}
    if done:
        _LOG.info("%d of %d parts were done by an earlier start", len(done), len(plan.parts))
    todo = [part for part in plan.parts if part.number not in done]
    _sweep(folder, plan.parts, done)
    workers = config.workers or count_cores()
    # Local workers share the cores; one alone, or those of a cluster, have theirs.
    threads = max(count_cores() // workers, 1) if workers > 1 and not config.scheduler else 0
    work = partial(predict_part, folder=str(folder), threads=threads)
    total = sum(_pixels(part) for part in plan.parts)
    before = total - sum(map(_pixels, todo))
    with Progress("predict", total, "px", config.quiet, before, scale=True) as progress:
        for part, outcome in run_parts(todo, work, workers, config.scheduler):
            for product, size in outcome.files.items():
                path = piece_path(folder, product, part)
                if not path.exists() or path.stat().st_size != size:
                    raise LcsegError(
                        path,
                        "is not what a worker has written",
                        "all workers must have this file system at the same path",
                    )
            write_document(_note_path(folder, part), outcome)
            done[part.number] = outcome
            progress.advance(_pixels(part))
    return [done[part.number] for part in plan.parts]


def _pixels(part: Part) -> int:
    return part.window.height * part.window.width


def _note_path(folder: Path, part: Part) -> Path:
    return folder / f"part-{part.number:05d}.json"


def _find_outcome(folder: Path, part: Part) -> PartOutcome | None:
    """What an earlier start has noted of a part, if the part and its files are as they were."""
    try:
        outcome = read_document(_note_path(folder, part), PartOutcome)
    except LcsegError:
        # Not there, or half written when the power went: the part is done again.
        return None
    paths = {piece_path(folder, product, part): size for product, size in outcome.files.items()}
    is_whole = all(path.exists() and path.stat().st_size == size for path, size in paths.items())
    return outcome if is_whole and outcome.digest == part.digest else None


def _sweep(folder: Path, parts: Sequence[Part], done: dict[int, PartOutcome]) -> None:
    """Remove what does not belong to the parts that are done."""
    kept = set()
    for part in parts:
        if part.number in done:
            kept.add(_note_path(folder, part))
            kept |= {piece_path(folder, name, part) for name in done[part.number].files}
    for path in folder.iterdir():
        if path not in kept:
            path.unlink()


def _finish_maps(
    plan: Plan, config: PredictConfig, folder: Path, outcomes: Sequence[PartOutcome]
) -> None:
    """Join the pieces of each product, and give all of them their names together."""
    tags = {
        "lcseg_model": plan.info.model_sha256,
        "lcseg_classes": plan.scheme.name,
        _TAG: plan.task.digest,
    }
    outs = _outs(config)
    made = {}
    class_pixels = _count(outcomes)
    for product in plan.task.products:
        profile = profile_of(product, plan.scheme, tags)
        pieces = [
            (piece_path(folder, product, part), part.window.within(plan.window))
            for part, outcome in zip(plan.parts, outcomes, strict=True)
            if product in outcome.files
        ]
        joined, made[product] = (folder / f"{product}.{kind}" for kind in ("vrt", "tif"))
        with bounded_cache():
            join_pieces(joined, pieces, plan.grid, profile)
            replace_cog(joined, made[product], profile)
    if config.polygons:
        write_polygons(str(made[CLASSES]), Path(config.polygons), plan.scheme, config.min_area_m2)
    for product, path in made.items():
        give_name(path, outs[product])
    write_legend(outs[CLASSES], plan.scheme, class_pixels)
    # People change styles to their liking.
    if not style_path(outs[CLASSES]).exists():
        write_style(style_path(outs[CLASSES]), plan.scheme)
    if plan.grid.crs:
        item = item_path(outs[CLASSES])
        write_item(describe_map(plan, outs, item), item)


def give_name(path: Path, out: Path) -> None:
    """Have a raster that is whole take its name."""
    out.parent.mkdir(parents=True, exist_ok=True)
    path.replace(out)
    aux_path(out).unlink(missing_ok=True)


def _outs(config: PredictConfig) -> dict[str, Path]:
    """The files of the products that are wanted."""
    flags = ("probabilities", "confidence", "margin")
    wanted = {flag: Path(getattr(config, flag)) for flag in flags if getattr(config, flag)}
    return {CLASSES: Path(config.out), **wanted}


def _is_done(plan: Plan, config: PredictConfig) -> bool:
    """Whether an earlier start has made all of a map."""
    out = Path(config.out)
    if out.absolute().with_name(f".{out.name}.partial").exists():
        return False
    paths = _outs(config).values()
    return all(path.exists() and read_tags(path).get(_TAG) == plan.task.digest for path in paths)


def _taken(path: Path) -> LcsegError:
    return LcsegError(path, "exists already", "name another file, or remove it first")


def _find_images(config: PredictConfig) -> list[str]:
    images = sorted(glob.glob(config.images, recursive=True))  # noqa: PTH207
    if not images:
        raise LcsegError(f"--images={config.images}", "matches no file")
    return images


def _nothing_there(config: PredictConfig) -> LcsegError:
    images = config.images or config.image
    return LcsegError(config.aoi, f"there is nothing to map in it: {images} lies elsewhere")

"""From image rasters to class maps, part by part.

summary = predict_map(PredictConfig(model="run/bundle", image="scene.tif", out="map.tif"))
summaries = predict_maps(PredictConfig(model="run/bundle", images="*.tif", out="maps/{name}.tif"))
"""

from __future__ import annotations

import glob
import logging
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lcseg.errors import InterruptedRunError, LcsegError
from lcseg.prediction.config import PredictConfig
from lcseg.prediction.delivery import clear, count_classes, deliver, is_done, require_free
from lcseg.prediction.parts import forget, predict_part
from lcseg.prediction.plan import Plan, make_plan
from lcseg.prediction.task import Part, PartOutcome
from lcseg.prediction.workshop import Workshop, open_workshop
from lcseg.processes import Team, count_cores, open_team, run_parts
from lcseg.progress import Progress

_LOG = logging.getLogger("lcseg")


@dataclass(frozen=True)
class PredictSummary:
    """What was mapped."""

    out: str  # Path of the class map.
    pixels: int  # Of the map.
    earlier: int  # Of these, predicted by an earlier start.
    class_pixels: tuple[int, ...]  # By class.
    names: tuple[str, ...]  # Of the classes.
    pixel_m: float | None  # Ground sample distance.
    seconds: float  # Taken.

    @property
    def speed_mpx_s(self) -> float:
        """Million pixels a second, in this start."""
        return (self.pixels - self.earlier) / 1e6 / self.seconds


def predict_maps(config: PredictConfig) -> list[PredictSummary]:
    """Map an image, a mosaic of images, or each of several images.

    Of several, those that an earlier start has mapped in the same way are left as they are, and
    those outside of the area of interest are left out.

    Raises:
        LcsegError: names how many of several images do not fit, when the others are mapped.
    """
    if config.image or config.mosaic:
        return [predict_map(config)]
    images = _find_images(config)
    named = [config.named(image) for image in images]
    if len({each.out for each in named}) < len(named):
        raise LcsegError(f"--images={config.images}", "two images have the same name", "rename one")
    summaries = []
    is_anything_there = False
    refused: list[LcsegError] = []
    with open_team(config.workers, config.scheduler) as team:
        for each in named:
            started_s = time.monotonic()
            try:
                plan = make_plan(each, [each.image])
                is_there = bool(plan.parts) and is_done(plan, each)
                if plan.parts and not is_there:
                    require_free(plan, each)
                    summaries.append(_carry_out(plan, each, started_s, team))
                    is_there = True
                is_anything_there |= is_there
            except _NothingThereError:
                continue
            except InterruptedRunError:
                raise
            except LcsegError as error:
                # The others can be mapped all the same.
                _LOG.warning("left out: %s", error)
                refused.append(error)
    if refused:
        raise LcsegError(
            f"--images={config.images}",
            f"{len(refused)} of {len(named)} images were left out; the first: {refused[0]}",
            "what is said of each stands above; the same command then goes on from here",
        )
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
    return _make_map(plan, config, started_s)


def _make_map(plan: Plan, config: PredictConfig, started_s: float) -> PredictSummary:
    require_free(plan, config)
    workers = min(config.workers or count_cores(), len(plan.parts))
    with open_team(workers, config.scheduler) as team:
        return _carry_out(plan, config, started_s, team)


def ensure_map(plan: Plan, config: PredictConfig) -> None:
    """Make a map that was planned, unless an earlier call has made just that; replace another."""
    if not is_done(plan, config):
        clear(plan, config)
        _make_map(plan, config, time.monotonic())


def _carry_out(plan: Plan, config: PredictConfig, started_s: float, team: Team) -> PredictSummary:
    with open_workshop(Path(config.out)) as shop:
        found = {part.number: shop.find(part) for part in plan.parts}
        done = {number: outcome for number, outcome in found.items() if outcome}
        earlier = sum(_pixels(part) for part in plan.parts if part.number in done)
        try:
            outcomes = _finish_parts(plan, config, shop, done, team)
        finally:
            # GDAL takes the room of the network when it joins the parts, not room beside it.
            forget()
        if not any(count_classes(outcomes)) and config.aoi:
            shop.sweep(plan.parts, {})
            raise _nothing_there(config)
        deliver(plan, config, shop, outcomes)
    return PredictSummary(
        config.out,
        plan.grid.height * plan.grid.width,
        earlier,
        count_classes(outcomes),
        plan.scheme.names,
        plan.pixel_m,
        time.monotonic() - started_s,
    )


def _finish_parts(
    plan: Plan, config: PredictConfig, shop: Workshop, done: dict[int, PartOutcome], team: Team
) -> list[PartOutcome]:
    """Do the parts that an earlier start has not done; returns the outcomes of all, in order."""
    if done:
        _LOG.info("%d of %d parts were done by an earlier start", len(done), len(plan.parts))
    todo = [part for part in plan.parts if part.number not in done]
    shop.sweep(plan.parts, done)
    # Local workers share the cores; one alone, or those of a cluster, have theirs.
    is_shared = not team.is_alone and not team.scheduler and len(todo) > 1
    threads = max(count_cores() // team.workers, 1) if is_shared else 0
    work = partial(predict_part, folder=str(shop.stage), threads=threads)
    total = sum(_pixels(part) for part in plan.parts)
    before = total - sum(map(_pixels, todo))
    with Progress("predict", total, "px", config.quiet, before, scale=True) as progress:
        for part, outcome in run_parts(todo, work, team):
            shop.keep(part, outcome)
            done[part.number] = outcome
            progress.advance(_pixels(part))
    return [done[part.number] for part in plan.parts]


def _pixels(part: Part) -> int:
    return part.window.height * part.window.width


def _find_images(config: PredictConfig) -> list[str]:
    images = sorted(glob.glob(config.images, recursive=True))  # noqa: PTH207
    if not images:
        raise LcsegError(f"--images={config.images}", "matches no file")
    return images


class _NothingThereError(LcsegError):
    """No pixel with data is in the area of interest."""


def _nothing_there(config: PredictConfig) -> LcsegError:
    images = config.images or config.image
    return _NothingThereError(
        config.aoi, f"there is nothing to map in it: {images} has no data there"
    )

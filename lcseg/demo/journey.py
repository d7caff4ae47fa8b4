"""The whole way once: scenes, data set, model, report, map, and a page that shows them.

stages = travel(DemoConfig(out="demo-run"))
print(describe(stages))
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tabulate import tabulate

from lcseg.change.analysis import find_change
from lcseg.change.config import ChangeConfig
from lcseg.cli import format_flags
from lcseg.demo.config import DemoConfig
from lcseg.demo.landscape import SPLITS, write_later, write_scenes
from lcseg.demo.page import write_page
from lcseg.errors import InterruptedRunError, LcsegError
from lcseg.evaluation.assessment import assess
from lcseg.evaluation.config import EvaluateConfig
from lcseg.model.config import UNetConfig
from lcseg.pipeline.config import InputConfig
from lcseg.prediction.config import PredictConfig
from lcseg.prediction.mapping import predict_map
from lcseg.records.config import ConvertConfig
from lcseg.records.conversion import convert
from lcseg.training.config import TrainConfig
from lcseg.training.trainer import train

_LOG = logging.getLogger("lcseg")

EPOCH_STEPS = 50

BEFORE, AFTER = "2013-07-04", "2019-09-21"
"""The dates of the last scene."""

SHOWN = "maps.toml"
"""The file that names to `lcseg serve` what to show."""

_SHOWN = """\
# lcseg serve --config=maps.toml
[demo]
title = "A made-up place"
model = "run/bundle"
image = "scenes/scene-{last}_image.tif"
label = "scenes/scene-{last}_label.tif"
map = "map.tif"
date = "{before}"
beside = "later"
change = "change/transitions.tif"

[later]
title = "The same place, later"
model = "run/bundle"
image = "later/image.tif"
label = "later/label.tif"
map = "change/maps/{after}.tif"
date = "{after}"
beside = "demo"
change = "change/transitions.tif"
"""


@dataclass(frozen=True)
class Stage:
    """A part of the way."""

    name: str  # What was done.
    result: str  # What came out.
    place: str  # Where it lies.
    seconds: float  # How long it took.


@dataclass(frozen=True)
class Plan:
    """The configuration of every verb on the way."""

    convert: ConvertConfig
    train: TrainConfig
    evaluate: EvaluateConfig
    predict: PredictConfig
    change: ChangeConfig
    label: str  # The label raster of the scene that is mapped.


def plan_way(config: DemoConfig) -> Plan:
    """Decide on every verb's configuration; the scenes of the test split come last."""
    out = Path(config.out)
    data, run = f"{out}/data", f"{out}/run"
    last = f"{out}/scenes/scene-{len(SPLITS) - 1}"
    return Plan(
        ConvertConfig("chesapeake-4", data, pairs=f"{out}/scenes/pairs.csv", quiet=config.quiet),
        TrainConfig(
            data,
            run,
            UNetConfig(depth=3, width=16),
            InputConfig(batch=8, crop_px=128),
            epochs=config.epochs,
            steps_per_epoch=EPOCH_STEPS,
            seed=config.seed,
            quiet=config.quiet,
        ),
        EvaluateConfig(f"{out}/report", f"{run}/bundle", data, "test", quiet=config.quiet),
        PredictConfig(
            f"{run}/bundle",
            f"{last}_image.tif",
            f"{out}/map.tif",
            f"{out}/probabilities.tif",
            quiet=config.quiet,
        ),
        ChangeConfig(
            f"{out}/change",
            images=(f"{BEFORE}={last}_image.tif", f"{AFTER}={out}/later/image.tif"),
            model=f"{run}/bundle",
            quiet=config.quiet,
        ),
        f"{last}_label.tif",
    )


def travel(config: DemoConfig) -> list[Stage]:
    """Go the whole way; nothing here does what the verbs do not."""
    out = Path(config.out)
    if out.exists():
        raise LcsegError(out, "exists already", "name another --out, or remove it first")
    plan = plan_way(config)
    stages: list[Stage] = []

    def go(name: str, place: str, work: Callable[[], str]) -> None:
        started_s = time.monotonic()
        result = work()
        stages.append(Stage(name, result, place, time.monotonic() - started_s))

    go("scenes", f"{out}/scenes", lambda: _make_scenes(out, config.seed))
    go("convert", plan.convert.out, lambda: _convert(plan.convert))
    go("train", plan.train.run, lambda: _train(plan.train))
    go("evaluate", f"{plan.evaluate.out}/report.html", lambda: _evaluate(plan.evaluate))
    go("predict", plan.predict.out, lambda: _predict(plan.predict))
    go("change", f"{plan.change.out}/report.html", lambda: _find_change(plan.change))
    go("show", f"{out}/index.html", lambda: write_page(out, plan.predict, plan.label))
    shown = _SHOWN.format(last=len(SPLITS) - 1, before=BEFORE, after=AFTER)
    (out / SHOWN).write_text(shown, encoding="utf-8")
    return stages


def describe(stages: list[Stage]) -> str:
    """A table of the stages: what each did, how long it took, and where its result lies."""
    rows = [[s.name, s.result, f"{s.seconds:.1f}", s.place] for s in stages]
    rows.append(["", "", f"{sum(s.seconds for s in stages):.1f}", ""])
    return tabulate(
        rows,
        ["stage", "what came out", "seconds", "where"],
        disable_numparse=True,
        colalign=("left", "left", "right", "left"),
    )


def _make_scenes(out: Path, seed: int) -> str:
    write_scenes(out / "scenes", seed)
    write_later(out / "later", seed)
    return f"{len(SPLITS)} pairs of image and label, and a later date of the last"


def _convert(config: ConvertConfig) -> str:
    _LOG.info("$ lcseg convert %s", format_flags(config))
    manifest = convert(config)
    chips = ", ".join(f"{s.chips} {name}" for name, s in manifest.splits.items())
    return f"chips of {manifest.chip_px} px: {chips}"


def _train(config: TrainConfig) -> str:
    _LOG.info("$ lcseg train %s", format_flags(config))
    try:
        summary = train(config)
    except InterruptedRunError as error:
        raise InterruptedRunError(
            error.where,
            error.problem,
            "remove the demo's folder and start again",
            error.signal_number,
        ) from error
    return f"{summary.steps} steps, mean IoU {summary.best_mean_iou:.3f} on val"


def _evaluate(config: EvaluateConfig) -> str:
    _LOG.info("$ lcseg evaluate %s", format_flags(config))
    scores = assess(config).scores
    return (
        f"mean IoU {scores.mean_iou or 0:.3f} on test "
        f"(always {scores.commonest_class}: {scores.commonest_class_mean_iou or 0:.3f})"
    )


def _predict(config: PredictConfig) -> str:
    _LOG.info("$ lcseg predict %s", format_flags(config))
    summary = predict_map(config)
    return f"{summary.pixels / 1e6:.2f} Mpx mapped, at {summary.speed_mpx_s:.1f} Mpx/s"


def _find_change(config: ChangeConfig) -> str:
    _LOG.info("$ lcseg change %s", format_flags(config))
    (interval,) = find_change(config).intervals
    return f"{interval.change.changed_hectares:.2f} ha changed from {BEFORE} to {AFTER}"

"""What a worker measures of its steps, and what all workers of a size have measured together.

pace = read_document("run/worker-0.json", Pace)
measured = join_paces([pace, …], cores=1, is_crowded=False)
measured.workers, measured.step_s, measured.spread_s
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from lcseg.scaling.model import ReducePoint
from lcseg.training.config import TrainConfig

CALL_STEPS = 10
"""Steps in one call, as `lcseg train` makes them."""


@dataclass(frozen=True)
class PaceConfig:
    """What a worker is to measure."""

    train: TrainConfig
    steps: Annotated[int, "Steps that are timed."]


@dataclass(frozen=True)
class ReduceTime:
    """How long an all-reduce took, alone."""

    bytes: int  # Of each device.
    seconds: float  # Median.


@dataclass(frozen=True)
class Pace:
    """What one worker has measured."""

    device: str  # What it computes on.
    devices: int  # How many of them it has.
    weights: int  # Of the network, those that are trained.
    device_batch: int  # Crops of each device in a step.
    crop_px: int  # Side of a crop.
    cache: str  # Where its chips are kept.
    load_s: float  # Seconds in which they came there.
    first_s: float  # Seconds of the first call, which makes the graph and one step.
    call_steps: tuple[int, ...]  # Steps of each timed call.
    call_s: tuple[float, ...]  # Seconds of each timed call.
    wait_s: float  # Of those, spent waiting for input.
    single_s: tuple[float, ...]  # Seconds of single steps, timed apart.
    input_s: float  # Seconds in which it makes the input of a step, with nothing else to do.
    gradients: ReduceTime | None  # All-reduce of tensors like the weights; None: alone.
    probes: tuple[ReduceTime, ...]  # All-reduces of other sizes, the smallest first.
    sums: int  # Small sums over all workers in a step, beside the gradients.


@dataclass(frozen=True)
class Measured:
    """What was measured with a number of workers."""

    workers: int  # Processes that trained together.
    cores: int  # Cores of each.
    is_crowded: bool  # There are more workers than cores: they share them.
    step_s: float  # Mean seconds of a step; of the slowest worker, as all of the following.
    wait_s: float  # Of those, spent waiting for input.
    spread_s: float  # Standard deviation of the seconds of a single step.
    input_s: float  # Seconds in which the input of a step is made, with nothing else to do.
    reduce_s: float  # An all-reduce of the gradients, alone; 0 for one worker.
    sum_s: float  # A small sum over all workers, alone; 0 for one worker.
    load_s: float  # Filling the cache.
    first_s: float  # The first call: making the graph, and one step.


def join_paces(paces: Sequence[Pace], cores: int, is_crowded: bool) -> Measured:
    """Join what the workers of a size have measured: all wait for the slowest."""
    slowest = max(paces, key=lambda pace: sum(pace.call_s))
    steps = sum(slowest.call_steps)
    return Measured(
        workers=len(paces),
        cores=cores,
        is_crowded=is_crowded,
        step_s=sum(slowest.call_s) / steps,
        wait_s=slowest.wait_s / steps,
        spread_s=max(statistics.stdev(pace.single_s) for pace in paces),
        input_s=max(pace.input_s for pace in paces),
        reduce_s=max(pace.gradients.seconds if pace.gradients else 0.0 for pace in paces),
        sum_s=max(pace.probes[0].seconds if pace.probes else 0.0 for pace in paces),
        load_s=max(pace.load_s for pace in paces),
        first_s=max(pace.first_s for pace in paces),
    )


def list_reduces(paces: Sequence[Pace]) -> list[ReducePoint]:
    """The all-reduces of the workers of a size, as all of them have seen them."""
    rows = [(*pace.probes, pace.gradients) for pace in paces if pace.gradients]
    return [
        ReducePoint(len(paces), same[0].bytes, max(one.seconds for one in same if one))
        for same in zip(*rows, strict=True)
        if same[0]
    ]

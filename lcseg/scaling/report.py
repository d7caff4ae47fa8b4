"""How training scales: what was measured, what follows for more workers, and on which grounds.

report = read_document("scaling/report.json", ScalingReport)
report.measured[1].efficiency, report.projections[0].rows[-1].speedup

Every number is of one kind: measured here, fitted to what was measured, counted, assumed, projected
from all of these, or published by others. A speed-up is that of the crops a second, and an
efficiency the speed-up over the number of workers; their base is one worker, with the same batch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from lcseg.scaling.model import Network, Step, Terms


@dataclass(frozen=True)
class Base:
    """What a speed-up is over: one worker."""

    device: str  # What it computes on.
    devices: int  # How many of them it has.
    cores: int  # Cores of the machine that it has for its own.
    device_batch: int  # Crops of each device in a step.
    crop_px: int  # Side of a crop.
    cache: str  # Where its chips are kept.
    weights: int  # Of the network, those that are trained.
    chips: int  # Of the training split.

    @property
    def batch(self) -> int:
        """Crops of a worker in a step."""
        return self.device_batch * self.devices


@dataclass(frozen=True)
class MeasuredRow:
    """What was measured with a number of workers."""

    workers: int  # How many.
    cores: int  # Of each.
    is_crowded: bool  # They share cores.
    step_s: float  # Seconds of a step.
    steps_per_s: float  # Steps in a second.
    crops_per_s: float  # Crops in a second, of all workers.
    speedup: float  # Over the base.
    efficiency: float  # Of the workers.
    spread_s: float  # Standard deviation of the seconds of a step.
    wait_s: float  # Waiting for input, in a step.
    reduce_s: float  # An all-reduce of the gradients, alone.
    sum_s: float  # A small sum over all workers, alone.
    load_s: float  # Filling the cache, in epoch 1 alone.
    first_s: float  # Making the graph and the first step, in epoch 1 alone.
    first_epoch_s: float  # Epoch 1: both, and the other steps at the pace that was measured.
    epoch_s: float  # Any other epoch, at the pace that was measured.
    model_s: float | None  # What the model makes of these times; None: not of shared cores.
    kind: Literal["measured"] = "measured"


@dataclass(frozen=True)
class ProjectedRow:
    """What is projected to a number of workers."""

    workers: int  # How many.
    step: Step  # Seconds of a step, by what takes them.
    step_s: float  # Their sum.
    crops_per_s: float  # Crops in a second, of all workers.
    speedup: float  # Over one worker.
    efficiency: float  # Of the workers.
    kind: Literal["projected"] = "projected"


@dataclass(frozen=True)
class Projection:
    """What is projected from a step to several numbers of workers."""

    name: str  # Whose step it is.
    terms: Terms  # What a step is made of.
    rows: tuple[ProjectedRow, ...]  # By number of workers, rising.

    def row_of(self, workers: int) -> ProjectedRow:
        return next(row for row in self.rows if row.workers == workers)


@dataclass(frozen=True)
class PublishedRow:
    """What others have published."""

    gpus: int  # How many.
    speedup: float  # Over one.
    efficiency: float  # Of the GPUs.
    kind: Literal["published"] = "published"


@dataclass(frozen=True)
class Fit:
    """The network of this machine, as a ring's."""

    beta_gb_s: float | None  # 10^9 bytes a second; None: too many to tell.
    alpha_us: float  # Microseconds of latency.
    error: float  # Root mean square of the relative differences.
    points: int  # All-reduces that it is fitted to.
    sizes: tuple[int, ...]  # Numbers of workers that these were measured with.
    kind: Literal["fitted"] = "fitted"

    @property
    def network(self) -> Network:
        return Network(self.beta_gb_s or math.inf, self.alpha_us)


@dataclass(frozen=True)
class ScalingReport:
    """What was measured, and what follows."""

    created_by: str  # Program and version.
    created: str  # When, as ISO 8601.
    base: Base  # One worker.
    machine_cores: int  # Cores that all workers may use.
    machine_load: float  # Processes of others that wanted a core before.
    measured: tuple[MeasuredRow, ...]  # By number of workers, rising from 1.
    fit: Fit | None  # None: no all-reduce was measured among workers with cores of their own.
    network: Network  # The assumed one, that is projected to.
    network_name: str  # What it is called.
    projections: tuple[Projection, ...]  # From the step of this machine, then from the stated one.
    published: tuple[PublishedRow, ...]  # What others reached.
    steps: int  # That were timed with each number of workers.
    command: str  # With the flags that differ from their defaults.

"""What a user may choose about measuring how training scales.

config = ScalingConfig("data", "1,2,4", "scaling")
config.sizes                                   # (1, 2, 4)
"""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import dataclass, field
from typing import Annotated

from lcseg.files import require_local
from lcseg.model.config import LossConfig, UNetConfig
from lcseg.pipeline.config import InputConfig
from lcseg.training.config import OptimizerConfig, TrainConfig


@dataclass(frozen=True)
class ScalingConfig:
    """What to measure, and where to project it."""

    data: Annotated[str, "Folder of the data set."]
    workers: Annotated[str, "Numbers of workers to measure, rising from 1, as 1,2,4."]
    out: Annotated[str, "Folder of the report; must not exist yet."]
    model: UNetConfig = field(default_factory=UNetConfig)
    input: InputConfig = field(default_factory=InputConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    accumulate: Annotated[
        int, "Parts in which a batch is computed, one after the other, to save memory."
    ] = 1
    jit: Annotated[bool, "Compile the network with XLA."] = False
    gpus_per_worker: Annotated[int, "GPUs of each worker's own; 0: there are none."] = 0
    steps: Annotated[int, "Steps that are timed with each number of workers."] = 60
    project: Annotated[str, "Numbers of workers to project to, rising."] = "8,16,64,148"
    beta_gb_s: Annotated[
        float, "Speed of the network that is projected to, in GB/s; 1.1: 10 Gb Ethernet."
    ] = 1.1
    alpha_us: Annotated[float, "Its latency from one worker to the next, in microseconds."] = 50.0
    step_s: Annotated[
        float, "Seconds of a step on another device, to project with as well; 0: none."
    ] = 0.0

    def __post_init__(self) -> None:
        require_local(self.out, "out")
        if len(self.sizes) < 2 or self.sizes[0] != 1:
            raise ValueError(f"--workers={self.workers}, expected 1 and more, as 1,2,4")
        _parse_sizes("project", self.project)
        if self.steps < 2:
            raise ValueError(f"--steps={self.steps}, expected at least 2")
        if self.beta_gb_s <= 0 or min(self.alpha_us, self.step_s, self.gpus_per_worker) < 0:
            raise ValueError(
                "--beta_gb_s must be above 0, --alpha_us, --step_s and --gpus_per_worker at least 0"
            )
        self.train_with(1, "")

    @property
    def sizes(self) -> tuple[int, ...]:
        """Numbers of workers to measure."""
        return _parse_sizes("workers", self.workers)

    @property
    def projected_sizes(self) -> tuple[int, ...]:
        """Numbers of workers to project to."""
        return _parse_sizes("project", self.project)

    def train_with(self, workers: int, run: str) -> TrainConfig:
        """The training of which steps are timed; each worker takes the batch of one."""
        return TrainConfig(
            self.data,
            run,
            self.model,
            dataclasses.replace(self.input, batch=workers * self.input.batch),
            self.loss,
            self.optimizer,
            accumulate=self.accumulate,
            jit=self.jit,
            quiet=True,
        )


def _parse_sizes(flag: str, text: str) -> tuple[int, ...]:
    expected = f"--{flag}={text}, expected rising whole numbers from 1, as 1,2,4"
    try:
        sizes = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ValueError(expected) from None
    if sizes[0] < 1 or any(a >= b for a, b in itertools.pairwise(sizes)):
        raise ValueError(expected)
    return sizes

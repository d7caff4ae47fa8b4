"""What a user may choose about training."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from lcseg.model.config import LossConfig, UNetConfig
from lcseg.pipeline.config import InputConfig


@dataclass(frozen=True)
class OptimizerConfig:
    """How weights are changed."""

    optimizer: Annotated[Literal["adamw", "sgd"], "Rule by which weights change."] = "adamw"
    learning_rate: Annotated[float, "Learning rate after warm-up."] = 1e-3
    weight_decay: Annotated[float, "Decay of the weights of convolutions, a step."] = 1e-4
    momentum: Annotated[float, "Nesterov momentum of sgd."] = 0.9
    warmup_share: Annotated[float, "Share of the steps in which the rate rises from 0."] = 0.05

    def __post_init__(self) -> None:
        if self.learning_rate <= 0 or self.weight_decay < 0:
            raise ValueError("--learning_rate must be above 0, --weight_decay at least 0")
        if not (0 <= self.warmup_share < 1 and 0 <= self.momentum < 1):
            raise ValueError("--warmup_share and --momentum must be in [0, 1)")


@dataclass(frozen=True)
class TrainConfig:
    """A training run; the same configuration gives the same weights."""

    data: Annotated[str, "Folder of the data set."]
    run: Annotated[str, "Folder of the run; one that was stopped goes on."]
    model: UNetConfig = field(default_factory=UNetConfig)
    input: InputConfig = field(default_factory=InputConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    epochs: Annotated[int, "Most epochs; validation comes after each."] = 50
    steps_per_epoch: Annotated[int, "Steps in an epoch; 0: until every chip came once."] = 0
    steps_per_call: Annotated[int, "Steps between two looks of the host (log, signals)."] = 10
    patience: Annotated[int, "Epochs without a better mean IoU before stopping; 0: never."] = 0
    checkpoint_steps: Annotated[int, "Steps between checkpoints; 0: after each epoch."] = 0
    seed: Annotated[int, "Decides weights, order, crops and augmentation."] = 0
    quiet: Annotated[bool, "Show no progress."] = False

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.steps_per_call < 1:
            raise ValueError("--epochs and --steps_per_call must be at least 1")
        if min(self.steps_per_epoch, self.patience, self.checkpoint_steps, self.seed) < 0:
            raise ValueError("--steps_per_epoch, --patience, --checkpoint_steps and --seed: from 0")
        if self.seed >= 2**31:
            raise ValueError(f"--seed is {self.seed}, expected less than 2^31")
        if self.input.crop_px % self.model.stride_px:
            raise ValueError(
                f"--crop_px={self.input.crop_px} is not a multiple of {self.model.stride_px}, "
                f"as --depth={self.model.depth} needs"
            )

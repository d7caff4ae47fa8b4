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
    lr_scaling: Annotated[
        Literal["none", "linear", "sqrt"],
        "How the rate follows --batch over --base_batch: linear suits sgd, sqrt adamw.",
    ] = "none"
    base_batch: Annotated[int, "The batch that --learning_rate is for."] = 16

    def __post_init__(self) -> None:
        if self.learning_rate <= 0 or self.weight_decay < 0 or self.base_batch < 1:
            raise ValueError(
                "--learning_rate must be above 0, --weight_decay at least 0, --base_batch 1"
            )
        if not (0 <= self.warmup_share < 1 and 0 <= self.momentum < 1):
            raise ValueError("--warmup_share and --momentum must be in [0, 1)")

    def rate_for(self, batch: int) -> float:
        """The learning rate after warm-up for a batch.

        Linear scaling is that of Goyal et al. 2017 (arXiv:1706.02677), the square root that of
        Krizhevsky 2014 (arXiv:1404.5997).
        """
        power = {"none": 0.0, "linear": 1.0, "sqrt": 0.5}[self.lr_scaling]
        return self.learning_rate * (batch / self.base_batch) ** power


@dataclass(frozen=True)
class ClusterConfig:
    """How workers find each other."""

    start_timeout_s: Annotated[float, "Seconds to wait for all workers to start."] = 300.0

    def __post_init__(self) -> None:
        if self.start_timeout_s <= 0:
            raise ValueError("--start_timeout_s must be above 0")


@dataclass(frozen=True)
class TrainConfig:
    """A training run; the same configuration gives the same weights."""

    data: Annotated[str, "Folder of the data set."]
    run: Annotated[str, "Folder of the run; one that was stopped goes on."]
    model: UNetConfig = field(default_factory=UNetConfig)
    input: InputConfig = field(default_factory=InputConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    cluster: ClusterConfig = field(default_factory=ClusterConfig)
    epochs: Annotated[int, "Most epochs; validation comes after each."] = 50
    steps_per_epoch: Annotated[int, "Steps in an epoch; 0: until every chip came once."] = 0
    steps_per_call: Annotated[int, "Steps between two looks of the host (log, signals)."] = 10
    patience: Annotated[int, "Epochs without a better mean IoU before stopping; 0: never."] = 0
    checkpoint_steps: Annotated[int, "Steps between checkpoints; 0: after each epoch."] = 0
    accumulate: Annotated[
        int, "Parts in which a batch is computed, one after the other, to save memory."
    ] = 1
    jit: Annotated[bool, "Compile the network with XLA."] = False
    profile_steps: Annotated[
        str, "FIRST,LAST: steps that the chief profiles for TensorBoard; empty: none."
    ] = ""
    seed: Annotated[int, "Decides weights, order, crops and augmentation."] = 0
    quiet: Annotated[bool, "Show no progress."] = False

    def __post_init__(self) -> None:
        if min(self.epochs, self.steps_per_call, self.accumulate) < 1:
            raise ValueError("--epochs, --steps_per_call and --accumulate must be at least 1")
        _parse_span(self.profile_steps)
        if self.accumulate > 1 and self.loss.loss == "dice_cross_entropy":
            raise ValueError("--accumulate needs a loss that is a mean; Dice is none")
        if self.model.norm == "sync_batch" and (self.jit or self.accumulate > 1):
            raise ValueError(
                "--jit and --accumulate cannot go with --norm=sync_batch; use batch, group or none"
            )
        if min(self.steps_per_epoch, self.patience, self.checkpoint_steps, self.seed) < 0:
            raise ValueError("--steps_per_epoch, --patience, --checkpoint_steps and --seed: from 0")
        if self.seed >= 2**31:
            raise ValueError(f"--seed is {self.seed}, expected less than 2^31")
        if self.input.crop_px % self.model.stride_px:
            raise ValueError(
                f"--crop_px={self.input.crop_px} is not a multiple of {self.model.stride_px}, "
                f"as --depth={self.model.depth} needs"
            )

    @property
    def profile_span(self) -> tuple[int, int]:
        """The first step that is profiled, and the one after the last."""
        return _parse_span(self.profile_steps)


def _parse_span(text: str) -> tuple[int, int]:
    try:
        first, last = map(int, (text or "0,0").split(","))
    except ValueError:
        first, last = 0, -1
    if not 0 <= first <= last:
        raise ValueError(f"--profile_steps={text}, expected FIRST,LAST as 10,20")
    return first, last

"""What may be chosen about training."""

import pytest

from lcseg.model.config import UNetConfig
from lcseg.pipeline.config import InputConfig
from lcseg.training.config import OptimizerConfig, TrainConfig


def test_run_needs_only_data_and_a_folder():
    config = TrainConfig(data="data", run="run")
    assert config.epochs == 50
    assert config.optimizer.learning_rate == 1e-3


@pytest.mark.parametrize(
    ("choice", "says"),
    [
        ({"epochs": 0}, "--epochs, --steps_per_call and --accumulate must be at least 1"),
        ({"steps_per_call": 0}, "--epochs, --steps_per_call and --accumulate must be at least 1"),
        *(
            ({name: -1}, f"--{name}")
            for name in ("steps_per_epoch", "patience", "checkpoint_steps", "seed")
        ),
        (
            {"input": InputConfig(crop_px=24), "model": UNetConfig(depth=4)},
            "--crop_px=24 is not a multiple of 16, as --depth=4 needs",
        ),
    ],
)
def test_choice_that_makes_no_sense_is_refused_by_its_flag(choice, says):
    with pytest.raises(ValueError, match=says):
        TrainConfig(data="data", run="run", **choice)


@pytest.mark.parametrize(
    ("choice", "says"),
    [
        ({"learning_rate": 0}, "--learning_rate must be above 0"),
        ({"weight_decay": -1}, "--weight_decay"),
        ({"momentum": 1.5}, "--momentum"),
        ({"warmup_share": 1}, "--warmup_share"),
    ],
)
def test_optimizer_that_cannot_learn_is_refused_by_its_flag(choice, says):
    with pytest.raises(ValueError, match=says):
        OptimizerConfig(**choice)

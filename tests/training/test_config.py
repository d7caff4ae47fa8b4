"""What may be chosen about training."""

import pytest

from lcseg.model.config import LossConfig, UNetConfig
from lcseg.pipeline.config import InputConfig
from lcseg.training.config import ClusterConfig, OptimizerConfig, TrainConfig


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
        ({"accumulate": 0}, "--epochs, --steps_per_call and --accumulate must be at least 1"),
        (
            {"accumulate": 2, "loss": LossConfig("dice_cross_entropy")},
            "--accumulate needs a loss that is a mean; Dice is none",
        ),
        *(
            ({**choice, "model": UNetConfig(norm="sync_batch")}, "cannot go with --norm=sync_batch")
            for choice in ({"jit": True}, {"accumulate": 2})
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
        ({"base_batch": 0}, "--base_batch"),
    ],
)
def test_optimizer_that_cannot_learn_is_refused_by_its_flag(choice, says):
    with pytest.raises(ValueError, match=says):
        OptimizerConfig(**choice)


def test_norms_of_one_device_may_be_compiled_and_taken_in_parts():
    for norm in ("batch", "group", "none"):
        for loss in ("cross_entropy", "focal"):
            chosen = {"model": UNetConfig(norm=norm), "loss": LossConfig(loss)}
            TrainConfig(data="data", run="run", accumulate=4, jit=True, **chosen)


@pytest.mark.parametrize(
    ("scaling", "rates"),
    [("none", [0.1, 0.1, 0.1]), ("linear", [0.05, 0.1, 0.8]), ("sqrt", [0.0707107, 0.1, 0.282843])],
)
def test_rate_follows_the_batch_as_it_is_told_to(scaling, rates):
    config = OptimizerConfig(learning_rate=0.1, lr_scaling=scaling, base_batch=32)
    assert [config.rate_for(batch) for batch in (16, 32, 256)] == pytest.approx(rates, rel=1e-5)


def test_workers_that_are_not_waited_for_are_refused_by_the_flag():
    with pytest.raises(ValueError, match="--start_timeout_s must be above 0"):
        ClusterConfig(start_timeout_s=0)

"""Checkpoints: restored, damaged, unreadable."""

import logging

import keras
import numpy as np
import pytest

from lcseg.errors import LcsegError
from lcseg.training.checkpoint import CheckpointKeeper, RunState


class Run:
    """A model of one layer with its optimizer, kept in a folder."""

    def __init__(self, folder):
        self.model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
        self.optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.AdamW(0.1))
        self.optimizer.build(self.model.trainable_variables)
        self.state = RunState()
        self.keeper = CheckpointKeeper(folder, self.model, self.optimizer, self.state)

    def save_steps(self, n):
        for _ in range(n):
            self.optimizer.apply([w * 0 + 0.5 for w in self.model.trainable_variables])
            self.state.step.assign_add(1)
            self.keeper.save()

    def numbers(self):
        numbers = [*self.model.variables, *self.optimizer.variables, *self.state.variables]
        return [np.asarray(x) for x in numbers]


def assert_same(one, two):
    assert len(one.numbers()) == len(two.numbers()) > 10
    for a, b in zip(one.numbers(), two.numbers(), strict=True):
        np.testing.assert_array_equal(a, b)


def newest_data(folder):
    return max(folder.glob("*.data-*"), key=lambda path: int(path.name[5:].split(".")[0]))


def test_run_goes_on_where_it_was_saved(tmp_path):
    run = Run(tmp_path)
    run.state.best_mean_iou.assign(1 / 3)
    run.state.stale_epochs.assign(4)
    run.state.epoch_loss_sum.assign(0.1)
    run.save_steps(3)
    again = Run(tmp_path)
    again.keeper.restore()
    assert_same(run, again)
    assert float(again.state.best_mean_iou) == 1 / 3
    assert int(again.optimizer.inner_optimizer.iterations) == 3


def test_without_a_checkpoint_a_run_begins_anew(tmp_path):
    run = Run(tmp_path / "none")
    run.keeper.restore()
    assert int(run.state.step) == 0


def test_two_checkpoints_are_kept(tmp_path):
    Run(tmp_path).save_steps(5)
    assert sorted(p.name for p in tmp_path.glob("*.index")) == ["ckpt-4.index", "ckpt-5.index"]


@pytest.mark.parametrize("left", [0, 20], ids=["emptied", "cut off"])
def test_damaged_newest_is_said_and_the_one_before_is_used(tmp_path, caplog, left):
    run = Run(tmp_path)
    run.save_steps(2)
    path = newest_data(tmp_path)
    path.write_bytes(path.read_bytes()[:left])
    again = Run(tmp_path)
    with caplog.at_level(logging.WARNING, logger="lcseg"):
        logging.getLogger("lcseg").propagate = True
        again.keeper.restore()
    assert int(again.state.step) == 1
    assert int(again.optimizer.inner_optimizer.iterations) == 1
    assert "ckpt-2 cannot be read, trying the one before" in caplog.text
    # The one that was used is kept, not the damaged one.
    again.save_steps(1)
    assert sorted(p.name for p in tmp_path.glob("*.index")) == ["ckpt-1.index", "ckpt-3.index"]


def test_none_that_can_be_read_is_one_line(tmp_path):
    Run(tmp_path).save_steps(2)
    for path in tmp_path.glob("*.data-*"):
        path.write_bytes(b"")
    with pytest.raises(LcsegError) as caught:
        Run(tmp_path).keeper.restore()
    assert str(caught.value) == (
        f"{tmp_path}: none of its checkpoints can be read; remove the folder"
    )


def test_checkpoint_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(LcsegError, match="no checkpoint can be written") as caught:
        Run(tmp_path / "file" / "checkpoints").save_steps(1)
    assert "\n" not in str(caught.value)

"""The folder of a run: made, found again, refused."""

import dataclasses

import pytest

from lcseg.errors import LcsegError
from lcseg.model.config import UNetConfig
from lcseg.pipeline.config import InputConfig
from lcseg.training.config import ClusterConfig, OptimizerConfig, TrainConfig
from lcseg.training.run import EpochRow, History, RunFolder, fingerprint, flatten, open_run


@pytest.fixture
def config(tmp_path):
    return TrainConfig(data="data", run=str(tmp_path / "run"))


def row(epoch: int) -> EpochRow:
    return EpochRow(epoch, 10 * epoch, 0.5, 0.6, None, {"water": 0.5, "road": None})


def test_run_is_made_once_and_found_again(config):
    folder = open_run(config, "digest")
    assert (folder.path / "run.json").exists()
    assert folder.read_history() == History()
    folder.write_history(History((row(1), row(2))))
    assert open_run(config, "digest").read_history().rows == (row(1), row(2))


def test_settings_that_change_no_result_may_differ(config):
    open_run(config, "digest")
    begin(config)
    chosen = InputConfig(cache="disk", cache_gb=1, cache_dir="/fast")
    other = dataclasses.replace(
        config, data="elsewhere", quiet=True, steps_per_call=3, input=chosen
    )
    open_run(other, "digest")


def begin(config):
    """A run that has a checkpoint."""
    folder = open_run(config, "digest")
    folder.checkpoints.mkdir()
    (folder.checkpoints / "ckpt-1.index").touch()


def test_settings_of_a_run_that_never_began_may_change(config):
    open_run(config, "digest")
    open_run(dataclasses.replace(config, seed=4), "another")


def test_changed_settings_are_refused_by_their_flags(config):
    begin(config)
    other = dataclasses.replace(
        config, seed=4, model=UNetConfig(depth=3), optimizer=OptimizerConfig(learning_rate=0.5)
    )
    with pytest.raises(LcsegError) as caught:
        open_run(other, "digest")
    for flag in ("--seed was 0, now 4", "--depth was 4, now 3", "--learning_rate was 0.001, now"):
        assert flag in str(caught.value)
    assert str(caught.value).endswith("; name another --run")


def test_other_data_are_refused(config):
    begin(config)
    with pytest.raises(LcsegError, match="was trained on other data; name another --run"):
        open_run(config, "another")


def test_folder_of_something_else_is_refused_and_an_empty_one_taken(config, tmp_path):
    (tmp_path / "run").mkdir()
    open_run(config, "digest")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.doc").touch()
    other = dataclasses.replace(config, run=str(tmp_path / "other"))
    with pytest.raises(LcsegError, match="other: exists, and is not a run; name another --run"):
        open_run(other, "digest")
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["thesis.doc"]


def test_every_setting_has_a_name_of_its_own(config):
    nested = [dataclasses.asdict(config)]
    leaves = 0
    while nested:
        for value in nested.pop().values():
            if isinstance(value, dict):
                nested.append(value)
            else:
                leaves += 1
    assert len(flatten(config)) == leaves


def test_history_until_a_step_holds_the_epochs_that_had_ended(tmp_path):
    history = History((row(1), row(2), row(3)))
    assert history.until(25).rows == (row(1), row(2))
    assert history.until(9) == History()
    RunFolder(tmp_path).write_history(history)
    assert RunFolder(tmp_path).read_history() == history


@pytest.mark.parametrize(
    "choice",
    [
        {"run": "/scratch/run"},
        {"data": "/scratch/data"},
        {"quiet": True},
        {"input": InputConfig(cache="disk", cache_gb=1, cache_dir="/fast")},
        {"cluster": ClusterConfig(start_timeout_s=1)},
    ],
)
def test_workers_may_differ_in_where_things_lie_and_how_long_they_wait(config, choice):
    other = dataclasses.replace(config, **choice)
    assert other != config
    assert fingerprint(other, "digest") == fingerprint(config, "digest")


@pytest.mark.parametrize(
    "choice",
    [
        {"seed": 1},
        {"epochs": 3},
        {"steps_per_call": 5},
        {"checkpoint_steps": 5},
        {"accumulate": 2},
        {"jit": True},
        {"profile_steps": "1,2"},
        {"model": UNetConfig(norm="group")},
        {"input": InputConfig(batch=8)},
        {"input": InputConfig(sampling="balanced")},
        {"optimizer": OptimizerConfig(learning_rate=1.1e-3)},
    ],
)
def test_workers_may_not_differ_in_what_they_do_at_the_same_time(config, choice):
    other = dataclasses.replace(config, **choice)
    assert fingerprint(other, "digest") != fingerprint(config, "digest")


def test_workers_may_not_see_other_data_nor_be_of_another_version(config, monkeypatch):
    own = fingerprint(config, "digest")
    assert fingerprint(config, "another") != own
    monkeypatch.setattr("lcseg.training.run.__version__", "0.0.0")
    assert fingerprint(config, "digest") != own


def test_fingerprint_is_a_whole_number_that_float64_can_hold(config):
    for digest in map(str, range(50)):
        number = fingerprint(config, digest)
        assert int(float(number)) == number < 2**48

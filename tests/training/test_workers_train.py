"""Runs of two workers, each a process: what they leave, how they end together, what they refuse."""

import dataclasses
import json
import os
import shutil
import signal
from contextlib import ExitStack
from pathlib import Path
from unittest import mock

import pytest
import tensorflow as tf
from processes import free_addresses, team_of, workers
from runs import checkpoint_of, saved_number
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lcseg.errors import InterruptedRunError, LcsegError
from lcseg.evaluation.scoring import ChipScorer
from lcseg.model.bundle import load_bundle
from lcseg.model.config import UNetConfig
from lcseg.pipeline.config import InputConfig
from lcseg.pipeline.memory import load_chips
from lcseg.records.config import ConvertConfig
from lcseg.records.conversion import convert
from lcseg.records.manifest import read_manifest
from lcseg.training import trainer
from lcseg.training.cluster import Cluster
from lcseg.training.config import OptimizerConfig, TrainConfig
from lcseg.training.run import RunFolder, flatten
from lcseg.training.signals import StopRequest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def data(scenes, tmp_path_factory):
    """A data set of 22 and 5 chips of 48 px, in one shard each."""
    out = tmp_path_factory.mktemp("data") / "dataset"
    chosen = ConvertConfig(
        classes="chesapeake-4",
        out=str(out),
        images=f"{scenes}/*_image.tif",
        labels=f"{scenes}/*_label.tif",
        chip_px=48,
        block_chips=1,
        val_share=0.2,
        test_share=0,
        quiet=True,
    )
    convert(chosen)
    manifest = read_manifest(out)
    assert [(s.split, s.records) for s in manifest.shards] == [("train", 22), ("val", 5)]
    return out


def make_config(data, run, **choice):
    """A run of eight steps, in which the host looks up after 3, 4, 6 and 8."""
    standard = {
        "model": UNetConfig(depth=1, width=2),
        "input": InputConfig(batch=4, crop_px=16),
        "optimizer": OptimizerConfig(learning_rate=0.02),
        "epochs": 2,
        "steps_per_epoch": 4,
        "steps_per_call": 4,
        "checkpoint_steps": 3,
        "quiet": True,
    }
    return TrainConfig(data=str(data), run=str(run), **{**standard, **choice})


def train_really(cluster, configs):
    return trainer.train(configs[cluster.index], cluster)


class Signalled(StopRequest):
    """A request that comes as soon as it can be noted."""

    def __enter__(self):
        super().__enter__()
        os.kill(os.getpid(), signal.SIGTERM)
        return self


def train_again(cluster, configs, is_stopped=False):
    """Train with the team that this process is of already; a signal comes to worker 1 alone."""
    with ExitStack() as stack:
        team = team_of(cluster)
        stack.enter_context(mock.patch.object(trainer, "form_team", lambda *_: team))
        if is_stopped and cluster.index == 1:
            stack.enter_context(mock.patch.object(trainer, "StopRequest", Signalled))
        return trainer.train(configs[cluster.index], cluster)


@pytest.fixture(scope="module")
def two_workers():
    with workers(2) as both:
        yield both


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    """A run from its start to its end: its configuration, the summaries, the processes."""
    folder = tmp_path_factory.mktemp("finished")
    config = make_config(data, folder / "run")
    # What may differ among workers does.
    chosen = dataclasses.replace(config.input, cache="none", cache_gb=3)
    mirror = shutil.copytree(data, folder / "mirror")
    other = dataclasses.replace(config, input=chosen, data=str(mirror), quiet=False)
    with workers(2) as both:
        summaries = both.results(train_really, [config, other])
        return config, summaries, both.process_numbers


def folder_of(config):
    return RunFolder(Path(config.run))


def state_of(config):
    """The bytes of everything in the newest checkpoint, but how often one was saved."""
    reader = tf.train.load_checkpoint(str(checkpoint_of(config.run, saved_number(config.run))))
    names = reader.get_variable_to_shape_map()
    left_out = ("_CHECKPOINTABLE", "save_counter")
    return {n: reader.get_tensor(n).tobytes() for n in names if not n.startswith(left_out)}


def test_run_of_two_workers_leaves_what_a_run_of_one_does(finished):
    config, (summary, of_other), _ = finished
    folder = folder_of(config)
    assert {path.name for path in folder.path.iterdir()} == {
        "run.json",
        "history.json",
        "checkpoints",
        "tensorboard",
        "bundle",
    }
    asked = json.loads((folder.path / "run.json").read_text())
    assert asked["config"] == json.loads(json.dumps(flatten(config)))
    rows = folder.read_history().rows
    assert [(row.epoch, row.step) for row in rows] == [(1, 4), (2, 8)]
    assert rows[1].loss < rows[0].loss
    assert load_bundle(summary.bundle).info.scores["mean_iou"] == summary.best_mean_iou
    assert summary.best_mean_iou == max(row.mean_iou for row in rows)
    assert dataclasses.replace(of_other, seconds=summary.seconds) == summary
    assert summary.steps == 8


def test_chief_alone_writes_the_curves_and_each_worker_its_own(finished):
    config, _, numbers = finished
    writers = {}
    for path in folder_of(config).tensorboard.rglob("events.*"):
        # events.out.tfevents.TIME.HOST.PROCESS.COUNT.v2
        place = str(path.parent.relative_to(folder_of(config).tensorboard))
        writers.setdefault(place, set()).add(int(path.name.split(".")[-3]))
    chief, other = ({number} for number in numbers)
    assert writers == {
        "train": chief,
        "validation": chief,
        "workers/0": chief,
        "workers/1": other,
    }


@pytest.mark.parametrize("index", [0, 1])
def test_curves_of_each_worker_say_how_fast_it_is(finished, index):
    config, _, _ = finished
    folder = folder_of(config).tensorboard / "workers" / str(index)
    events = EventAccumulator(str(folder))
    events.Reload()
    tags = {f"worker/{name}" for name in ("step_seconds", "input_wait_share", "resident_gb")}
    assert set(events.Tags()["tensors"]) == tags
    assert [event.step for event in events.Tensors("worker/step_seconds")] == [3, 4, 6, 8]


def test_scores_of_shares_of_two_and_three_chips_are_those_of_all_five(finished):
    config, (summary, _), _ = finished
    manifest = read_manifest(config.data)
    names = manifest.class_scheme.names
    bundle = load_bundle(summary.bundle)
    store = load_chips(config.data, manifest, "val")
    confusion, loss = ChipScorer(bundle.model, len(names)).score(store, 5, 2)
    scores = confusion.scores(names)
    (row,) = (row for row in folder_of(config).read_history().rows if row.step == bundle.info.step)
    assert confusion.counts.sum() == sum(manifest.splits["val"].class_pixels)
    assert row.iou == {land.name: land.iou for land in scores.classes}
    assert (row.mean_iou, bundle.info.scores["kappa"]) == (scores.mean_iou, scores.kappa)
    assert row.validation_loss == pytest.approx(loss, rel=1e-6)


def test_worker_of_a_finished_run_does_not_wait_for_the_others(finished):
    config, (summary, _), _ = finished
    again = trainer.train(config, Cluster(free_addresses(2), 1, "TF_CONFIG"))
    assert dataclasses.replace(again, seconds=summary.seconds) == summary


@pytest.fixture(scope="module")
def stopped(data, two_workers, tmp_path_factory):
    """A run whose worker 1 was asked to stop within an epoch, and what both said."""
    config = make_config(data, tmp_path_factory.mktemp("stopped") / "run")
    return config, two_workers.errors(train_again, [config] * 2, True)


def copy_of(config, folder):
    """The same run, elsewhere."""
    shutil.copytree(config.run, folder)
    return dataclasses.replace(config, run=str(folder))


def test_signal_to_one_worker_stops_all_at_the_same_step(stopped):
    config, errors = stopped
    says = f"{config.run}: stopped and saved at step 3 of 8; the same command again goes on"
    assert [type(error) for error in errors] == [InterruptedRunError] * 2
    assert all(str(error).startswith(says) for error in errors)
    assert {error.exit_code for error in errors} == {128 + signal.SIGTERM}


def test_run_that_was_stopped_twice_ends_with_the_weights_of_one_that_was_not(
    two_workers, stopped, finished, tmp_path, caplog
):
    config = copy_of(stopped[0], tmp_path / "run")
    errors = two_workers.errors(train_again, [config] * 2, True)
    assert all("stopped and saved at step 4 of 8" in str(error) for error in errors)
    between_epochs = copy_of(config, tmp_path / "alone")
    two_workers.results(train_again, [config] * 2)
    assert state_of(config) == state_of(finished[0])
    assert folder_of(config).read_history() == folder_of(finished[0]).read_history()

    with caplog.at_level("INFO", "lcseg"):
        assert trainer.train(between_epochs).steps == 8
    assert "goes on with 1 worker after an epoch with 2" in caplog.text
    assert state_of(between_epochs).keys() == state_of(config).keys()
    assert state_of(between_epochs) != state_of(config)


def test_another_number_of_workers_is_refused_within_an_epoch(stopped, tmp_path):
    config = copy_of(stopped[0], tmp_path / "run")
    with pytest.raises(LcsegError) as caught:
        trainer.train(config)
    assert str(caught.value) == (
        f"{config.run}: was stopped at step 3, within an epoch, with 2 workers, and cannot go on "
        "from there with 1; go on with 2 to the end of the epoch"
    )


def test_run_folder_that_is_not_shared_is_refused_by_the_name_of_who_does_not_see_it(
    two_workers, stopped, tmp_path
):
    config = copy_of(stopped[0], tmp_path / "chief")
    other = dataclasses.replace(config, run=str(tmp_path / "other"))
    errors = two_workers.errors(train_again, [config, other])
    says = (
        f"{two_workers.names[1]} finds the checkpoint of step 0 there, others that of step 3; "
        "put it on a disk that all workers share"
    )
    assert [str(error) for error in errors] == [f"{config.run}: {says}", f"{other.run}: {says}"]
    assert not Path(other.run).exists()


def test_worker_that_does_not_see_the_folder_of_a_new_run_writes_its_own_curves_alone(
    two_workers, data, tmp_path
):
    config = make_config(data, tmp_path / "chief")
    other = dataclasses.replace(config, run=str(tmp_path / "other"))
    summary, of_other = two_workers.results(train_again, [config, other])
    files = [path for path in Path(other.run).rglob("*") if path.is_file()]
    assert {str(path.parent) for path in files} == {f"{other.run}/tensorboard/workers/1"}
    assert (of_other.steps, of_other.best_mean_iou) == (summary.steps, summary.best_mean_iou)


@pytest.mark.parametrize(
    "choice", [{"seed": 1}, {"steps_per_call": 2}, {"model": UNetConfig(1, 2, "group")}]
)
def test_worker_that_was_told_something_else_is_refused_by_its_name(
    two_workers, data, tmp_path, choice
):
    config = make_config(data, tmp_path / "run")
    other = dataclasses.replace(config, **choice)
    errors = two_workers.errors(train_again, [config, other])
    says = f"{two_workers.names[1]}: has other flags, other data or another version of lcseg"
    assert all(type(error) is LcsegError and str(error).startswith(says) for error in errors)
    assert not Path(config.run).exists()


def test_worker_that_cannot_read_its_chips_ends_all_before_they_begin(two_workers, data, tmp_path):
    config = make_config(data, tmp_path / "run")
    mirror = shutil.copytree(data, tmp_path / "mirror")
    (mirror / read_manifest(data).shards_of("train")[0].file).unlink()
    errors = two_workers.errors(
        train_again, [config, dataclasses.replace(config, data=str(mirror))]
    )
    assert str(errors[0]).startswith(f"{two_workers.names[1]}: cannot go on; ")
    assert str(mirror) in str(errors[1])
    assert not list(folder_of(config).checkpoints.glob("*"))


def test_batch_that_does_not_divide_among_workers_is_refused_by_each(two_workers, data, tmp_path):
    config = make_config(data, tmp_path / "run", input=InputConfig(batch=6, crop_px=16))
    errors = two_workers.errors(train_again, [dataclasses.replace(config, accumulate=2)] * 2)
    says = "--batch=6: is not a multiple of the 2 devices x --accumulate=2"
    assert [str(error) for error in errors] == [says] * 2


def test_more_workers_than_chips_are_refused_before_they_look_for_each_other(
    data, tmp_path, monkeypatch
):
    monkeypatch.setattr(trainer, "form_team", lambda *_: pytest.fail("they met"))
    cluster = Cluster(tuple(f"h{n}:1" for n in range(6)), 0, "TF_CONFIG")
    with pytest.raises(LcsegError) as caught:
        trainer.train(make_config(data, tmp_path / "run"), cluster)
    says = "6 workers: are more than the 5 chips of the val split; use fewer workers, or smaller ch"
    assert str(caught.value).startswith(says)
    assert not (tmp_path / "run").exists()

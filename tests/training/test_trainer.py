"""Training, by training."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest

from lcseg.errors import LcsegError
from lcseg.model.bundle import load_bundle
from lcseg.model.config import UNetConfig
from lcseg.pipeline.config import InputConfig
from lcseg.records.manifest import describe, read_manifest, write_manifest
from lcseg.training.config import OptimizerConfig, TrainConfig
from lcseg.training.run import History, RunFolder, flatten, open_run
from lcseg.training.signals import StopRequest
from lcseg.training.trainer import Trainer, train


def make_config(dataset, run, **choice):
    standard = {
        "model": UNetConfig(depth=1, width=4),
        "input": InputConfig(batch=4, crop_px=32),
        "optimizer": OptimizerConfig(learning_rate=0.02),
        "epochs": 2,
        "quiet": True,
    }
    return TrainConfig(data=str(dataset), run=str(run), **{**standard, **choice})


@pytest.fixture(scope="module")
def finished(dataset, tmp_path_factory):
    """A run of two epochs: its configuration and its summary."""
    config = make_config(dataset, tmp_path_factory.mktemp("trainer") / "run")
    return config, train(config)


def summary_path(summary):
    return Path(summary.run)


def stamps_of(folder):
    return {
        p: p.stat().st_mtime_ns for p in sorted(folder.rglob("*")) if "tensorboard" not in p.parts
    }


def test_two_epochs_of_training_leave_a_bundle_that_has_learnt(finished):
    config, summary = finished
    manifest = read_manifest(config.data)
    rows = RunFolder(summary_path(summary)).read_history().rows
    assert summary.steps == 2 * -(-manifest.chips_of("train") // 4)
    assert [row.epoch for row in rows] == [1, 2]
    assert rows[1].step == summary.steps
    assert rows[1].loss < rows[0].loss
    assert summary.best_mean_iou == max(row.mean_iou for row in rows)
    assert list(rows[0].iou) == list(manifest.class_scheme.names)


def test_run_folder_holds_what_was_asked_and_what_came_out(finished):
    config, summary = finished
    folder = summary_path(summary)
    names = {path.name for path in folder.iterdir()}
    assert names == {"run.json", "history.json", "checkpoints", "tensorboard", "bundle"}
    asked = json.loads((folder / "run.json").read_text())
    assert asked["config"] == json.loads(json.dumps(flatten(config)))
    manifest = read_manifest(config.data)
    info = load_bundle(summary.bundle).info
    assert asked["data_digest"] == info.data_digest == manifest.digest
    assert (info.bands, info.dtype, info.mean) == (
        manifest.bands,
        manifest.dtype,
        manifest.statistics.mean,
    )
    assert info.scores["mean_iou"] == summary.best_mean_iou
    assert info.step in [row.step for row in RunFolder(folder).read_history().rows]
    card = (Path(summary.bundle) / "MODEL_CARD.md").read_text()
    assert f"Trained for {info.step:,} steps with lcseg" in card
    assert describe(manifest.splits, manifest.class_scheme) in card
    assert f"mean IoU {summary.best_mean_iou:.3f}" in card


def test_finished_run_is_left_as_it_is(finished):
    config, summary = finished
    folder = summary_path(summary)
    before = stamps_of(folder)
    again = train(config)
    assert dataclasses.replace(again, seconds=summary.seconds) == summary
    assert stamps_of(folder) == before


def test_run_of_other_settings_is_refused_by_its_flags(finished):
    config, _ = finished
    with pytest.raises(LcsegError, match="--epochs was 2, now 3, --seed was 0, now 1; name ano"):
        train(dataclasses.replace(config, epochs=3, seed=1))


def test_run_of_other_data_is_refused(finished, tmp_path):
    config, _ = finished
    other = shutil.copytree(config.data, tmp_path / "data")
    manifest = read_manifest(other)
    shard = dataclasses.replace(manifest.shards[0], crc32c="0" * 8)
    write_manifest(other, dataclasses.replace(manifest, shards=(shard, *manifest.shards[1:])))
    with pytest.raises(LcsegError, match="was trained on other data; name another --run"):
        train(dataclasses.replace(config, data=str(other)))


def test_folder_that_is_no_run_is_refused_and_left(dataset, tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(LcsegError, match="exists, and is not a run"):
        train(make_config(dataset, tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


@pytest.mark.parametrize(
    ("choice", "says"),
    [
        ({"input": InputConfig(crop_px=128)}, "--crop_px=128: is larger than the chips, which ha"),
        ({"model": UNetConfig(7, 2)}, "--crop_px=64: is not a multiple of 128, as --depth=7 need"),
        (
            {"input": InputConfig(cache="memory", cache_gb=1e-6)},
            "do not fit into 1e-06 GB of memory; raise --cac",
        ),
    ],
)
def test_settings_that_do_not_fit_the_data_are_refused_before_a_run_is_made(
    dataset, tmp_path, choice, says
):
    choice = {"input": InputConfig(), **choice}
    with pytest.raises(LcsegError, match=says):
        train(make_config(dataset, tmp_path / "run", **choice))
    assert not (tmp_path / "run").exists()


def test_budget_is_for_training_and_validation_together(dataset, tmp_path):
    manifest = read_manifest(dataset)
    of_train = manifest.chips_of("train") * manifest.spec.chip_bytes
    chosen = InputConfig(cache="memory", cache_gb=of_train / 1e9)
    config = make_config(dataset, tmp_path / "run", input=chosen)
    with pytest.raises(LcsegError, match="do not fit"):
        train(config)


def weights_of(summary):
    """The bytes of every weight of the best bundle."""
    return [w.numpy().tobytes() for w in load_bundle(summary.bundle).model.weights]


@pytest.mark.parametrize("choice", [{"cache": "none"}, {"cache_gb": 1e-6}, {"cache": "disk"}])
def test_run_ends_with_the_same_weights_wherever_chips_are_kept(
    finished, dataset, tmp_path, caplog, choice
):
    config, summary = finished
    chosen = dataclasses.replace(config.input, **choice)
    config = make_config(dataset, tmp_path / "run", input=chosen)
    with caplog.at_level("INFO", "lcseg"):
        assert weights_of(train(config)) == weights_of(summary)
    kind = "none" if choice == {"cache": "none"} else "disk"
    assert any(line.startswith(f"cache: {kind}, ") for line in caplog.messages)
    assert len(list((tmp_path / "run").glob("cache/*.chips"))) == (2 if kind == "disk" else 0)


def test_run_in_memory_ends_without_the_data_it_began_with(finished, dataset, tmp_path):
    _, summary = finished
    data = shutil.copytree(dataset, tmp_path / "data")
    config = make_config(data, tmp_path / "run")
    manifest = read_manifest(data)
    trainer = Trainer(config, manifest, open_run(config, manifest.digest))
    shutil.rmtree(data)
    with StopRequest() as stop:
        trainer.run(stop)
    assert trainer.step == summary.steps


def test_shard_that_is_damaged_while_it_is_read_is_told_in_one_line(dataset, tmp_path):
    data = shutil.copytree(dataset, tmp_path / "data")
    path = data / read_manifest(data).shards_of("train")[0].file
    content = bytearray(path.read_bytes())
    content[2000] ^= 1
    path.write_bytes(content)
    chosen = InputConfig(batch=4, crop_px=32, cache="none")
    with pytest.raises(LcsegError, match="is damaged at the record that begins at byte 0; convert"):
        train(make_config(data, tmp_path / "run", input=chosen))


def test_balanced_run_trains_and_is_not_gone_on_with_otherwise(dataset, tmp_path):
    chosen = InputConfig(batch=4, crop_px=32, sampling="balanced")
    config = make_config(dataset, tmp_path / "run", input=chosen)
    assert train(config).best_mean_iou > 0
    other = dataclasses.replace(config, input=dataclasses.replace(chosen, sampling="uniform"))
    with pytest.raises(LcsegError, match="--sampling was balanced, now uniform"):
        train(other)


def test_batch_that_its_parts_do_not_divide_is_refused_in_one_line(dataset, tmp_path):
    with pytest.raises(LcsegError) as caught:
        train(make_config(dataset, tmp_path / "run", accumulate=3))
    assert str(caught.value).startswith("--batch=4: is not a multiple of the 1 device")
    assert str(caught.value).endswith(" x --accumulate=3")


def test_run_in_parts_trains_and_is_not_gone_on_with_at_once(dataset, tmp_path):
    model = UNetConfig(1, 4, "group")
    config = make_config(dataset, tmp_path / "run", model=model, accumulate=2)
    train(config)
    first, second = RunFolder(tmp_path / "run").read_history().rows
    assert second.loss < first.loss
    with pytest.raises(LcsegError, match="--accumulate was 2, now 1"):
        train(dataclasses.replace(config, accumulate=1))


def test_data_without_a_validation_split_are_refused(dataset, tmp_path):
    other = shutil.copytree(dataset, tmp_path / "data")
    manifest = read_manifest(other)
    shards = tuple(shard for shard in manifest.shards if shard.split != "val")
    nothing = dataclasses.replace(
        manifest.splits["val"],
        chips=0,
        class_pixels=(0,) * manifest.class_scheme.n_classes,
        ignored_pixels=0,
    )
    splits = {**manifest.splits, "val": nothing}
    write_manifest(other, dataclasses.replace(manifest, shards=shards, splits=splits))
    with pytest.raises(LcsegError, match=r"no chips in its val split.*convert with a --val_share"):
        train(make_config(other, tmp_path / "run"))


def test_patience_ends_a_run_that_no_longer_improves(dataset, tmp_path):
    # A rate that float32 holds as 0: the first epoch stays the best.
    still = OptimizerConfig("sgd", learning_rate=1e-50, weight_decay=0)
    config = make_config(
        dataset,
        tmp_path / "run",
        model=UNetConfig(0, 1, norm="none"),
        optimizer=still,
        epochs=9,
        patience=2,
        steps_per_epoch=1,
    )
    assert train(config).steps == 3
    assert train(config).steps == 3


@pytest.mark.parametrize("epoch_steps", [1, 6], ids=["seen in validation", "seen in training"])
def test_loss_that_is_not_finite_is_refused_and_not_saved(dataset, tmp_path, epoch_steps):
    config = make_config(
        dataset,
        tmp_path / "run",
        model=UNetConfig(1, 2, norm="none"),
        optimizer=OptimizerConfig("sgd", learning_rate=1e38, warmup_share=0),
        steps_per_epoch=epoch_steps,
        epochs=6,
    )
    with pytest.raises(LcsegError) as caught:
        train(config)
    assert "the loss is " in str(caught.value)
    assert str(caught.value).endswith("; lower --learning_rate and name another --run")
    assert RunFolder(tmp_path / "run").read_history() == History()
    assert not list((tmp_path / "run").glob("checkpoints/*"))

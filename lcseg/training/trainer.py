"""Training: from a data set to a bundle.

summary = train(TrainConfig(data="data", run="run", epochs=20))
summary.bundle, summary.best_mean_iou
"""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass
from pathlib import Path

import keras
import tensorflow as tf

from lcseg import __version__
from lcseg.errors import InterruptedRunError, LcsegError
from lcseg.evaluation.assessment import PANEL_CHIPS, choose_chips, draw_predictions
from lcseg.evaluation.confusion import Confusion, Scores
from lcseg.evaluation.scoring import ChipScorer
from lcseg.model import bundle as bundles
from lcseg.model.bundle import BundleInfo, save_bundle
from lcseg.model.losses import LOSSES, weigh_classes
from lcseg.model.receptive import measure_halo
from lcseg.model.unet import ModelInput, build_unet
from lcseg.pipeline.caching import CachePlan, plan_cache
from lcseg.pipeline.dataset import training_batches
from lcseg.progress import Progress
from lcseg.records.folder import claimed
from lcseg.records.manifest import Manifest, read_manifest
from lcseg.training.checkpoint import CheckpointKeeper, RunState
from lcseg.training.strategy import build_strategy
from lcseg.training.config import TrainConfig
from lcseg.training.monitor import Monitor
from lcseg.training.run import EpochRow, RunFolder, flatten, open_run
from lcseg.training.signals import StopRequest
from lcseg.training.step import build_optimizer, make_train_steps

_LOG = logging.getLogger("lcseg")


@dataclass(frozen=True)
class TrainSummary:
    """How a run ended."""

    run: str  # Its folder.
    bundle: str  # Folder of the best bundle.
    steps: int  # Steps that were made, over all starts.
    best_mean_iou: float  # On the validation split.
    seconds: float  # Of this start.


def train(config: TrainConfig) -> TrainSummary:
    """Train, or go on with training, until the epochs are over or nothing improves.

    The same configuration, data and machine give the same weights bit for bit, however often the
    run is stopped and started again.

    Raises:
        InterruptedRunError: SIGINT or SIGTERM came; the state is saved.
        LcsegError: the data do not fit the settings, or the loss is no longer finite.
    """
    started_s = time.monotonic()
    manifest = read_manifest(config.data)
    _require_fit(config, manifest)
    cache = _plan_cache(config, manifest)
    _LOG.info("%s", cache)
    folder = open_run(config, manifest.digest)
    keras.utils.set_random_seed(config.seed)
    tf.config.experimental.enable_op_determinism()
    with claimed(folder.path, config.run, "--run"), StopRequest() as stop:
        trainer = Trainer(config, manifest, folder, cache)
        trainer.run(stop)
    best = float(trainer.state.best_mean_iou)
    seconds = time.monotonic() - started_s
    return TrainSummary(config.run, str(folder.bundle), trainer.step, best, seconds)


class Trainer:
    """A run in progress: everything that lives from its start to its end."""

    def __init__(
        self,
        config: TrainConfig,
        manifest: Manifest,
        folder: RunFolder,
        cache: CachePlan | None = None,
    ) -> None:
        self._config, self._manifest, self._folder = config, manifest, folder
        self._scheme = manifest.class_scheme
        self._strategy = build_strategy()
        self._require_even_batch()
        cache = cache or _plan_cache(config, manifest)
        self._chips = cache.open("train", config.quiet)
        self._validation = cache.open("val", config.quiet)
        batch = config.input.batch
        self._epoch_steps = config.steps_per_epoch or math.ceil(len(self._chips) / batch)
        self._total_steps = config.epochs * self._epoch_steps
        weights = weigh_classes(config.loss, manifest.splits["train"].class_pixels)
        loss = LOSSES[config.loss.loss]
        with self._strategy.scope():
            self._model = build_unet(config.model, _model_input(manifest), self._scheme.n_classes)
            self._optimizer = build_optimizer(
                config.optimizer, self._total_steps, config.model.mixed_precision
            )
            self._optimizer.build(self._model.trainable_variables)
            self.state = RunState()
        self._keeper = CheckpointKeeper(
            folder.checkpoints, self._model, self._optimizer, self.state
        )
        self._keeper.restore()
        self._history = folder.read_history().until(self.step)
        self._train_steps = make_train_steps(
            self._strategy, self._model, self._optimizer, loss, weights
        )
        self._scorer = ChipScorer(self._model, self._scheme.n_classes, loss, weights)
        self._shown = choose_chips(self._validation, PANEL_CHIPS)
        self._monitor = Monitor(folder.tensorboard, self._scheme)
        _LOG.info(
            "%s weights, %d chips, batch %d on %d devices; %d epochs of %d steps, from step %d",
            f"{self._model.count_params():,}",
            len(self._chips),
            batch,
            self._strategy.num_replicas_in_sync,
            config.epochs,
            self._epoch_steps,
            self.step,
        )

    @property
    def step(self) -> int:
        """Steps that were made, over all starts."""
        return int(self.state.step)

    @property
    def is_finished(self) -> bool:
        """Whether all epochs are over, or none of the latest improved."""
        patience = self._config.patience
        return self.step >= self._total_steps or 0 < patience <= int(self.state.stale_epochs)

    def run(self, stop: StopRequest) -> None:
        """Train until finished, or until a signal asks to stop."""
        if self.is_finished:
            _LOG.info("%s: the run is finished, there is nothing to do", self._config.run)
            return
        iterator = iter(self._distribute_batches())
        with Progress(
            "train", self._total_steps, "steps", self._config.quiet, self.step
        ) as progress:
            while not self.is_finished:
                steps = self._next_stop() - self.step
                note = self._advance(iterator, steps)
                if self.step % self._epoch_steps == 0:
                    self._end_epoch()
                elif self._is_due(self._config.checkpoint_steps):
                    self._keeper.save()
                progress.advance(steps, note)
                if stop.signal_number and not self.is_finished:
                    self._keeper.save()
                    self._monitor.flush()
                    raise InterruptedRunError(
                        self._config.run,
                        f"stopped and saved at step {self.step:,} of {self._total_steps:,}",
                        "the same command again goes on from there",
                        stop.signal_number,
                    )

    def _distribute_batches(self) -> tf.data.Dataset:
        """The batches of each device, from the next step on."""
        replicas = self._strategy.num_replicas_in_sync

        def make(context: tf.distribute.InputContext) -> tf.data.Dataset:
            return training_batches(
                self._chips,
                self._config.input,
                self._manifest.statistics,
                self._config.seed,
                context.get_per_replica_batch_size(self._config.input.batch),
                self.step * replicas,
                self._total_steps * replicas,
            )

        return self._strategy.distribute_datasets_from_function(make)

    def _is_due(self, every: int) -> bool:
        return every > 0 and self.step % every == 0

    def _next_stop(self) -> int:
        """The step at which the host looks next: never beyond an epoch or a checkpoint."""
        every = [self._epoch_steps, self._config.checkpoint_steps or self._epoch_steps]
        ends = [(self.step // n + 1) * n for n in every]
        return min(*ends, self.step + self._config.steps_per_call)

    def _advance(self, iterator: tf.data.Iterator, steps: int) -> str:
        """Make some steps; returns a note on how they went."""
        started_s = time.monotonic()
        with self._chips.named_faults():
            loss_sum, wait_s = (float(x) for x in self._train_steps(iterator, tf.constant(steps)))
        seconds = time.monotonic() - started_s
        self.state.step.assign_add(steps)
        self.state.epoch_loss_sum.assign_add(loss_sum)
        loss = loss_sum / steps
        self._require_finite(loss, f"in the {steps} steps before step {self.step}")
        speed = steps * self._config.input.batch / seconds
        rate = float(keras.ops.convert_to_numpy(self._optimizer.learning_rate))
        self._monitor.record_steps(self.step, loss, rate, speed, wait_s / seconds)
        best = float(self.state.best_mean_iou)
        return f"loss {loss:.3f}" + (f", best mean IoU {best:.3f}" if best >= 0 else "")

    def _require_even_batch(self) -> None:
        batch, devices = self._config.input.batch, self._strategy.num_replicas_in_sync
        if batch % devices:
            raise LcsegError(f"--batch={batch}", f"is not a multiple of the {devices} devices")

    def _require_finite(self, loss: float, where: str) -> None:
        if not math.isfinite(loss):
            raise LcsegError(
                self._config.run,
                f"the loss is {loss} {where}",
                "lower --learning_rate and name another --run",
            )

    def _end_epoch(self) -> None:
        """Validate, keep the bundle if it is the best, and save the state, in this order.

        A run that is killed in between repeats the epoch's end from the checkpoint before.
        """
        batch, stride_px = self._config.input.batch, self._config.model.stride_px
        confusion, loss = self._scorer.score(self._validation, batch, stride_px)
        self._require_finite(loss, f"on the validation split at step {self.step}")
        scores = confusion.scores(self._scheme.names)
        self._record_epoch(confusion, scores, loss)
        mean_iou = scores.mean_iou if scores.mean_iou is not None else -1.0
        if mean_iou > float(self.state.best_mean_iou):
            self.state.best_mean_iou.assign(mean_iou)
            self.state.stale_epochs.assign(0)
            save_bundle(self._folder.bundle, self._model, self._bundle_info(scores))
        else:
            self.state.stale_epochs.assign_add(1)
        self.state.epoch_loss_sum.assign(0.0)
        self._keeper.save()

    def _record_epoch(self, confusion: Confusion, scores: Scores, loss: float) -> None:
        rows = draw_predictions(
            self._model, self._validation, self._shown, self._scheme, self._config.model.stride_px
        )
        self._monitor.record_validation(self.step, loss, confusion, rows)
        row = EpochRow(
            epoch=self.step // self._epoch_steps,
            step=self.step,
            loss=float(self.state.epoch_loss_sum) / self._epoch_steps,
            validation_loss=loss,
            mean_iou=scores.mean_iou,
            iou={land.name: land.iou for land in scores.classes},
        )
        self._history = type(self._history)((*self._history.rows, row))
        self._folder.write_history(self._history)

    def _bundle_info(self, scores: Scores) -> BundleInfo:
        config, manifest = self._config, self._manifest
        kept = ("mean_iou", "overall_accuracy", "kappa", "mean_f1")
        return BundleInfo(
            format=bundles.FORMAT,
            format_version=bundles.VERSION,
            created_by=f"lcseg {__version__}",
            model_file="",
            model_sha256="",
            class_scheme=self._scheme,
            bands=manifest.bands,
            dtype=manifest.dtype,
            pixel_m=manifest.pixel_m,
            stride_px=config.model.stride_px,
            halo_px=measure_halo(self._model, config.model.stride_px),
            mean=manifest.statistics.mean,
            std=manifest.statistics.std,
            data_digest=manifest.digest,
            step=self.step,
            scores={name: getattr(scores, name) for name in kept},
            config=flatten(config),
        )


def _model_input(manifest: Manifest) -> ModelInput:
    statistics = manifest.statistics
    return ModelInput(len(manifest.bands), manifest.dtype, statistics.mean, statistics.std)


def _require_fit(config: TrainConfig, manifest: Manifest) -> None:
    """Refuse settings that do not fit the data set, before anything is made."""
    crop_px, stride_px = config.input.crop_px or manifest.chip_px, config.model.stride_px
    if crop_px > manifest.chip_px:
        raise LcsegError(
            f"--crop_px={crop_px}", f"is larger than the chips, which have {manifest.chip_px} px"
        )
    if crop_px % stride_px:
        raise LcsegError(
            f"--crop_px={crop_px}",
            f"is not a multiple of {stride_px}, as --depth={config.model.depth} needs",
        )
    if not manifest.chips_of("val"):
        raise LcsegError(
            Path(config.data),
            "has no chips in its val split, which the best bundle is chosen by",
            "convert with a --val_share above 0",
        )


def _plan_cache(config: TrainConfig, manifest: Manifest) -> CachePlan:
    chosen = config.input
    folder = chosen.cache_dir or f"{config.run}/cache"
    return plan_cache(
        config.data, manifest, ("train", "val"), chosen.cache, chosen.cache_gb, folder
    )

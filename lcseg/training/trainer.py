"""Training: from a data set to a bundle, on one machine or as one worker of several.

summary = train(TrainConfig(data="data", run="run", epochs=20), find_cluster(os.environ))
summary.bundle, summary.best_mean_iou

All workers go through the same steps and take the same decisions; the chief alone writes the run.
"""

from __future__ import annotations

import logging
import math
import time
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from lcseg.errors import InterruptedRunError, LcsegError
from lcseg.evaluation.scoring import ChipScorer
from lcseg.files import is_remote, locate
from lcseg.model.losses import LOSSES, weigh_classes
from lcseg.model.unet import ModelInput, build_unet
from lcseg.pipeline.caching import CachePlan, plan_cache
from lcseg.pipeline.dataset import training_batches
from lcseg.pipeline.share import Share
from lcseg.progress import Progress, counted
from lcseg.records.folder import claimed
from lcseg.records.manifest import Manifest, read_manifest
from lcseg.training.announcement import announce
from lcseg.training.breakage import told_breakage
from lcseg.training.checkpoint import CheckpointKeeper, RunState
from lcseg.training.cluster import ALONE, Cluster
from lcseg.training.config import TrainConfig
from lcseg.training.monitor import WorkerMonitor
from lcseg.training.profiling import Profiler
from lcseg.training.recorder import Recorder
from lcseg.training.requirements import require_alike, require_fit
from lcseg.training.run import RunFolder, open_run
from lcseg.training.signals import StopRequest
from lcseg.training.step import StepPlan, build_optimizer, fix_chance, make_train_steps
from lcseg.training.team import Team, form_team, share_of

_LOG = logging.getLogger("lcseg")


@dataclass(frozen=True)
class TrainSummary:
    """How a run ended."""

    run: str  # Its folder.
    bundle: str  # Folder of the best bundle.
    steps: int  # Steps that were made, over all starts.
    best_mean_iou: float  # On the validation split.
    seconds: float  # Of this start.


def train(config: TrainConfig, cluster: Cluster = ALONE) -> TrainSummary:
    """Train, or go on with training, until the epochs are over or nothing improves.

    The same configuration, data, machines and number of workers give the same weights bit for bit,
    however often the run is stopped and started again; with `config.jit` that is left to XLA.

    Args:
        config: what to do; alike for all workers.
        cluster: who trains together, and which of them this process is.

    Raises:
        InterruptedRunError: SIGINT or SIGTERM came to one of the workers; the state is saved.
        PeerLostError: another worker is lost, or did not come.
        LcsegError: the data do not fit the settings, or the loss is no longer finite.
    """
    started_s = time.monotonic()
    manifest = read_manifest(config.data)
    require_fit(config, manifest, cluster.size)
    folder = RunFolder(locate(config.run))
    if folder.read_history().is_finished:
        # A worker that is started again alone must not wait for the others.
        open_run(config, manifest.digest)
        _LOG.info("%s: the run is finished, there is nothing to do", config.run)
        rows = folder.read_history().rows
        best = max(row.mean_iou or 0.0 for row in rows)
        return TrainSummary(config.run, str(folder.bundle), rows[-1].step, best, 0.0)
    cache = _plan_cache(config, manifest, share_of(cluster))
    _LOG.info("%s", cache)
    team = form_team(cluster, config.cluster.start_timeout_s)
    fix_chance(config.seed, config.jit)
    with told_breakage(cluster), ExitStack() as stack:
        # An error that a signal raises is swallowed where TensorFlow converts functions to graphs.
        stop = stack.enter_context(StopRequest())
        require_alike(team, config, manifest)
        with team.council.together():
            if team.is_chief:
                open_run(config, manifest.digest)
                stack.enter_context(claimed(folder.path, config.run, "--run"))
        trainer = Trainer(config, manifest, folder, cache, team)
        trainer.run(stop)
    best, seconds = float(trainer.state.best_mean_iou), time.monotonic() - started_s
    return TrainSummary(config.run, str(folder.bundle), trainer.step, best, seconds)


class Trainer:
    """A run in progress: everything that lives from its start to its end."""

    def __init__(
        self,
        config: TrainConfig,
        manifest: Manifest,
        folder: RunFolder,
        cache: CachePlan | None = None,
        team: Team | None = None,
    ) -> None:
        self._config, self._manifest = config, manifest
        self._names = manifest.class_scheme.names
        self._team = team = team or form_team()
        self._quiet = config.quiet or not team.is_chief
        self._device_batch = team.split_batch(config.input.batch, config.accumulate)
        cache = cache or _plan_cache(config, manifest, share_of(team.cluster))
        with team.council.together():
            self._chips = cache.open("train", self._quiet)
            self._validation = cache.open("val", self._quiet)
        chips = manifest.chips_of("train")
        self._epoch_steps = config.steps_per_epoch or math.ceil(chips / config.input.batch)
        self._total_steps = config.epochs * self._epoch_steps
        weights = weigh_classes(config.loss, manifest.splits["train"].class_pixels)
        loss = LOSSES[config.loss.loss]
        with team.strategy.scope():
            self._model = build_unet(config.model, ModelInput.of(manifest), len(self._names))
            self._optimizer = build_optimizer(
                config.optimizer,
                self._total_steps,
                config.model.mixed_precision,
                config.input.batch,
            )
            self._optimizer.build(self._model.trainable_variables)
        # Each worker has a state of its own; as all decide alike, they stay the same.
        self.state = RunState()
        self._keeper = CheckpointKeeper(
            folder.checkpoints, self._model, self._optimizer, self.state
        )
        self._restore()
        plan = StepPlan(config.accumulate, config.jit)
        self._train_steps = make_train_steps(
            team.strategy, self._model, self._optimizer, loss, weights, plan
        )
        self._scorer = ChipScorer(self._model, len(self._names), loss, weights)
        self._recorder = (
            Recorder(config, manifest, folder, self._model, self._validation, self.step)
            if team.is_chief
            else None
        )
        self._monitor = WorkerMonitor(folder.tensorboard, team.cluster.index)
        self._profiler = Profiler(folder.tensorboard / "train", *config.profile_span)
        if team.is_chief:
            announce(
                config, manifest, team, self._model.count_params(), self._epoch_steps, self.step
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
        """Train until finished, or until a signal asks one of the workers to stop."""
        iterator = iter(self._distribute_batches())
        with Progress("train", self._total_steps, "steps", self._quiet, self.step) as progress:
            while not self.is_finished:
                steps = self._next_stop() - self.step
                note = self._advance(iterator, steps)
                if self.step % self._epoch_steps == 0:
                    self._end_epoch()
                elif self._is_due(self._config.checkpoint_steps):
                    self._save()
                progress.advance(steps, note)
                self._heed(stop)
        with self._team.council.together():
            if self._recorder:
                self._recorder.finish()
                self._recorder.flush()
            self._monitor.flush()

    def _heed(self, stop: StopRequest) -> None:
        """If a signal came to any worker, have all save the same step and end."""
        signal_number = int(self._team.council.gather(stop.signal_number).max())
        if not signal_number or self.is_finished:
            return
        self._save()
        if self._recorder:
            self._recorder.flush()
        raise InterruptedRunError(
            self._config.run,
            f"stopped and saved at step {self.step:,} of {self._total_steps:,}",
            "the same command again goes on from there",
            signal_number,
        )

    def _save(self) -> None:
        """Save the state; no worker goes on, or ends, before that is done."""
        with self._team.council.together():
            if self._team.is_chief:
                self._keeper.save()

    def _restore(self) -> None:
        """Go on from the newest checkpoint that can be read, which must be one for all workers."""
        with self._team.council.together():
            self._keeper.restore()
        steps = self._team.council.gather(self.step)[:, 0]
        if np.ptp(steps):
            behind = int(np.argmin(steps))
            raise LcsegError(
                self._config.run,
                f"{self._team.cluster.name_of(behind)} finds the checkpoint of step "
                f"{steps.min():.0f} there, others that of step {steps.max():.0f}",
                "put it on a disk that all workers share",
            )
        before, now = int(self.state.workers), self._team.cluster.size
        if self.step and before != now:
            self._require_border(before, now)
        self.state.workers.assign(now)

    def _require_border(self, before: int, now: int) -> None:
        """Refuse another number of workers within an epoch: chips would come twice, or never."""
        if self.step % self._epoch_steps:
            raise LcsegError(
                self._config.run,
                f"was stopped at step {self.step:,}, within an epoch, with {before} workers, "
                f"and cannot go on from there with {now}",
                f"go on with {before} to the end of the epoch",
            )
        _LOG.info("goes on with %s after an epoch with %d", counted(now, "worker"), before)

    def _distribute_batches(self) -> tf.data.Dataset:
        """The batches of each device, from the next step on."""
        devices = self._team.devices

        def make(context: tf.distribute.InputContext) -> tf.data.Dataset:
            return training_batches(
                self._chips,
                self._config.input,
                self._manifest.statistics,
                self._config.seed,
                self._device_batch,
                self.step * devices,
                self._total_steps * devices,
            )

        return self._team.strategy.distribute_datasets_from_function(make)

    def _is_due(self, every: int) -> bool:
        return every > 0 and self.step % every == 0

    def _next_stop(self) -> int:
        """The step at which the host looks next: never beyond an epoch or a checkpoint."""
        every = [self._epoch_steps, self._config.checkpoint_steps or self._epoch_steps]
        ends = [(self.step // n + 1) * n for n in every]
        call = self.step + self._config.steps_per_call
        return min(*ends, call, self._profiler.limit(self.step))

    def _advance(self, iterator: tf.data.Iterator, steps: int) -> str:
        """Make some steps; returns a note on how they went."""
        started_s = time.monotonic()
        with self._chips.named_faults(), self._profiled():
            loss_sum, wait_s = (float(x) for x in self._train_steps(iterator, tf.constant(steps)))
        seconds = time.monotonic() - started_s
        self.state.step.assign_add(steps)
        self.state.epoch_loss_sum.assign_add(loss_sum)
        loss = loss_sum / steps
        self._require_finite(loss, f"in the {steps} steps before step {self.step}")
        speed, wait_share = steps * self._config.input.batch / seconds, wait_s / seconds
        if self._recorder:
            rate = float(keras.ops.convert_to_numpy(self._optimizer.learning_rate))
            self._recorder.record_steps(self.step, loss, rate, speed, wait_share)
        if self._team.cluster.size > 1:
            self._monitor.record(self.step, seconds / steps, wait_share)
        best = float(self.state.best_mean_iou)
        return f"loss {loss:.3f}" + (f", best mean IoU {best:.3f}" if best >= 0 else "")

    def _profiled(self) -> AbstractContextManager[None]:
        return self._profiler.around(self.step) if self._team.is_chief else nullcontext()

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
        batch, stride_px = self._device_batch, self._config.model.stride_px
        confusion, loss = self._scorer.score(
            self._validation, batch, stride_px, add=self._team.council.add
        )
        self._require_finite(loss, f"on the validation split at step {self.step}")
        scores = confusion.scores(self._names)
        mean_loss = float(self.state.epoch_loss_sum) / self._epoch_steps
        mean_iou = scores.mean_iou if scores.mean_iou is not None else -1.0
        is_better = mean_iou > float(self.state.best_mean_iou)
        self.state.best_mean_iou.assign(max(mean_iou, float(self.state.best_mean_iou)))
        self.state.stale_epochs.assign(0 if is_better else self.state.stale_epochs + 1)
        self.state.epoch_loss_sum.assign(0.0)
        with self._team.council.together():
            if self._recorder:
                epoch = self.step, self._epoch_steps, mean_loss
                self._recorder.record_epoch(*epoch, confusion, loss)
                if is_better:
                    self._recorder.keep_bundle(self.step, scores)
                self._keeper.save()


def _plan_cache(config: TrainConfig, manifest: Manifest, share: Share) -> CachePlan:
    chosen = config.input
    folder = chosen.cache_dir or ("" if is_remote(config.run) else f"{config.run}/cache")
    return plan_cache(
        config.data, manifest, ("train", "val"), chosen.cache, chosen.cache_gb, folder, share
    )

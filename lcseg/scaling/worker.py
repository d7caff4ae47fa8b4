"""One of the workers whose pace is measured: it trains as `lcseg train` does, and times it.

pace = measure_pace(PaceConfig(train_config, steps=60), find_cluster(os.environ))
pace.call_s, pace.gradients

As a program it leaves this as RUN/worker-N.json.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from lcseg import cli
from lcseg.documents import write_document
from lcseg.model.losses import LOSSES, weigh_classes
from lcseg.model.unet import ModelInput, build_unet
from lcseg.pipeline.caching import plan_cache
from lcseg.pipeline.dataset import training_batches
from lcseg.pipeline.store import ChipStore
from lcseg.records.manifest import Manifest, read_manifest
from lcseg.scaling.pace import CALL_STEPS, Pace, PaceConfig, ReduceTime
from lcseg.training.breakage import told_breakage
from lcseg.training.cluster import Cluster, find_cluster
from lcseg.training.config import TrainConfig
from lcseg.training.requirements import require_alike, require_fit
from lcseg.training.step import StepPlan, build_optimizer, fix_chance, make_train_steps
from lcseg.training.team import Team, form_team, share_of

PROBE_BYTES = (1 << 10, 1 << 20, 1 << 24)
"""All-reduces that are timed beside that of the gradients; the smallest stands for small sums."""

_RATE_STEPS = 1000
"""Of the run whose learning rate is taken, which changes nothing of the seconds of a step."""

_WARM_STEPS = 3
_REDUCE_CALLS, _REDUCES = 5, 3
_FIRST_BATCHES = 4
"""Batches that are not timed when input is made alone: they fill buffers."""

Shapes = Sequence[tuple[int, ...]]


def main() -> None:
    """Measure as the flags say, as the worker that the environment says."""
    cli.run(cli.ConfigFlags(PaceConfig), _measure)


def _measure(config: PaceConfig) -> None:
    cluster = find_cluster(os.environ)
    pace = measure_pace(config, cluster)
    write_document(Path(config.train.run) / f"worker-{cluster.index}.json", pace)


def measure_pace(config: PaceConfig, cluster: Cluster) -> Pace:
    """Train for some steps together with the other workers, and time what they are made of.

    Raises:
        LcsegError: what `lcseg train` would refuse.
        PeerLostError: another worker is lost, or did not come.
    """
    train = config.train
    manifest = read_manifest(train.data)
    require_fit(train, manifest, cluster.size)
    folder = train.input.cache_dir or f"{train.run}/cache"
    chosen = train.input.cache, train.input.cache_gb, folder
    cache = plan_cache(train.data, manifest, ("train",), *chosen, share_of(cluster))
    team = form_team(cluster, train.cluster.start_timeout_s)
    fix_chance(train.seed, train.jit)
    with told_breakage(cluster):
        require_alike(team, train, manifest)
        with team.council.together():
            started_s = time.perf_counter()
            chips = cache.open("train")
            load_s = time.perf_counter() - started_s
        training = _Training(train, manifest, team, chips)
        with chips.named_faults():
            return training.measure(config.steps, cache.kind, load_s)


class _Training:
    """A run whose steps are made one after the other, and timed."""

    def __init__(
        self, config: TrainConfig, manifest: Manifest, team: Team, chips: ChipStore
    ) -> None:
        self._config, self._manifest, self._team, self._chips = config, manifest, team, chips
        self._device_batch = team.split_batch(config.input.batch, config.accumulate)
        with team.strategy.scope():
            classes = manifest.class_scheme.n_classes
            model = build_unet(config.model, ModelInput.of(manifest), classes)
            optimizer = build_optimizer(
                config.optimizer, _RATE_STEPS, config.model.mixed_precision, config.input.batch
            )
            optimizer.build(model.trainable_variables)
        weights = weigh_classes(config.loss, manifest.splits["train"].class_pixels)
        plan, loss = StepPlan(config.accumulate, config.jit), LOSSES[config.loss.loss]
        self._train_steps: Any = make_train_steps(
            team.strategy, model, optimizer, loss, weights, plan
        )
        self._shapes = [tuple(variable.shape) for variable in model.trainable_variables]

    def measure(self, steps: int, cache: str, load_s: float) -> Pace:
        """Time so many steps in calls as training makes them, half as many alone, and the parts."""
        calls = [min(CALL_STEPS, steps - at) for at in range(0, steps, CALL_STEPS)]
        singles = [1] * max(steps // 2, 2)
        iterator = self._distribute_batches(1 + _WARM_STEPS + steps + len(singles))
        first_s, _ = self._time_steps(iterator, 1)
        self._time_steps(iterator, _WARM_STEPS)
        self._team.council.gather(0)
        times = [self._time_steps(iterator, count) for count in calls]
        single_s = [self._time_steps(iterator, count)[0] for count in singles]
        is_alone = self._team.cluster.size == 1
        return Pace(
            device=_name_device(),
            devices=self._team.devices,
            weights=sum(map(_size, self._shapes)),
            device_batch=self._device_batch,
            crop_px=self._config.input.crop_px or self._manifest.chip_px,
            cache=cache,
            load_s=load_s,
            first_s=first_s,
            call_steps=tuple(calls),
            call_s=tuple(seconds for seconds, _ in times),
            wait_s=sum(wait_s for _, wait_s in times),
            single_s=tuple(single_s),
            input_s=self._time_input(steps),
            gradients=None if is_alone else _time_reduce(self._team, self._shapes),
            probes=() if is_alone else tuple(_time_probes(self._team)),
            sums=0 if is_alone else self._count_sums(iterator),
        )

    def _make_batches(self, batches: int) -> tf.data.Dataset:
        """Batches of one device."""
        config = self._config
        settings = config.input, self._manifest.statistics, config.seed, self._device_batch
        return training_batches(self._chips, *settings, 0, batches)

    def _distribute_batches(self, steps: int) -> tf.data.Iterator:
        return iter(
            self._team.strategy.distribute_datasets_from_function(
                lambda context: self._make_batches(steps * self._team.devices)
            )
        )

    def _time_steps(self, iterator: tf.data.Iterator, steps: int) -> tuple[float, float]:
        """Seconds of some steps in one call, and of those the wait for input."""
        started_s = time.perf_counter()
        wait_s = float(self._train_steps(iterator, tf.constant(steps))[1])
        return time.perf_counter() - started_s, wait_s

    def _time_input(self, steps: int) -> float:
        """Seconds in which the batches of a step are made where nothing else is done."""
        batches = iter(self._make_batches(_FIRST_BATCHES + steps * self._team.devices))
        for _ in range(_FIRST_BATCHES):
            next(batches)
        started_s = time.perf_counter()
        for _ in batches:
            pass
        return (time.perf_counter() - started_s) / steps

    def _count_sums(self, iterator: tf.data.Iterator) -> int:
        """Count what is added over all workers in a step, beside the gradients."""
        step = self._train_steps.get_concrete_function(iterator, tf.constant(1))
        reduce_often = _make_reduce(self._team.strategy, self._shapes)
        gradients = reduce_often.get_concrete_function(tf.constant(1))
        return (_count_reduces(step) - _count_reduces(gradients)) // self._team.devices


def _time_probes(team: Team) -> Iterator[ReduceTime]:
    for size in PROBE_BYTES:
        yield _time_reduce(team, [(size // 4,)])


def _time_reduce(team: Team, shapes: Shapes) -> ReduceTime:
    """Time the all-reduce of float32 tensors of these shapes."""
    reduce_often = _make_reduce(team.strategy, shapes)
    reduce_often(tf.constant(1))
    seconds = []
    for _ in range(_REDUCE_CALLS):
        team.council.gather(0)
        started_s = time.perf_counter()
        reduce_often(tf.constant(_REDUCES)).numpy()
        seconds.append((time.perf_counter() - started_s) / _REDUCES)
    return ReduceTime(4 * sum(map(_size, shapes)), statistics.median(seconds))


def _make_reduce(strategy: tf.distribute.Strategy, shapes: Shapes) -> Any:
    """Make a function that adds float32 tensors over all devices, as often as it is told."""

    def add_of_device(value: tf.Tensor) -> tf.Tensor:
        context = tf.distribute.get_replica_context()
        tensors = [tf.fill(shape, value) for shape in shapes]
        sums = context.all_reduce(tf.distribute.ReduceOp.SUM, tensors)
        return tf.add_n([tf.reshape(one, [-1])[0] for one in sums])

    @tf.function
    def reduce_once(value: tf.Tensor) -> tf.Tensor:
        return strategy.experimental_local_results(strategy.run(add_of_device, (value,)))[0]

    @tf.function
    def reduce_often(times: tf.Tensor) -> tf.Tensor:
        # The sum of zeros is the next one's zero: so each begins when the one before has ended.
        value = tf.constant(0.0)
        for _ in tf.range(times):
            value = reduce_once(value)
        return value

    return reduce_often


def _count_reduces(function: Any) -> int:
    """Collective sums in the graph of a function, and of those that it calls."""
    graph = function.graph.as_graph_def()
    nodes = [node for called in graph.library.function for node in called.node_def]
    return sum(node.op.startswith("CollectiveReduce") for node in [*graph.node, *nodes])


def _name_device() -> str:
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return "CPU"
    details = tf.config.experimental.get_device_details(gpus[0])
    return str(details.get("device_name", "GPU"))


def _size(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape))

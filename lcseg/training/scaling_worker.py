"""One of the workers whose pace is measured: it trains as `lcseg train` does, and times it.

pace = measure_pace(PaceConfig(train_config, steps=60), find_cluster(os.environ))
pace.call_s, pace.gradients

As a program it leaves this as RUN/worker-N.json.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
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
from lcseg.training.breakage import told_breakage
from lcseg.training.cluster import Cluster, find_cluster
from lcseg.training.config import TrainConfig
from lcseg.training.requirements import require_alike, require_fit
from lcseg.training.scaling_pace import CALL_STEPS, Pace, PaceConfig, ReduceTime
from lcseg.training.step import StepPlan, build_optimizer, make_train_steps
from lcseg.training.team import Team, form_team, share_of

PROBE_BYTES = (1 << 10, 1 << 20, 1 << 24)
"""All-reduces that are timed beside that of the gradients; the smallest stands for small sums."""

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
    keras.utils.set_random_seed(train.seed)
    tf.config.experimental.enable_op_determinism()
    with told_breakage(cluster):
        require_alike(team, train, manifest)
        with team.council.together():
            started_s = time.perf_counter()
            chips = cache.open("train")
            load_s = time.perf_counter() - started_s
        with chips.named_faults():
            return _time_training(config, manifest, team, chips, (cache.kind, load_s))


def _time_training(
    config: PaceConfig,
    manifest: Manifest,
    team: Team,
    chips: ChipStore,
    cached: tuple[str, float],
) -> Pace:
    train = config.train
    calls = [min(CALL_STEPS, config.steps - at) for at in range(0, config.steps, CALL_STEPS)]
    singles = max(config.steps // 2, 2)
    steps = 1 + _WARM_STEPS + config.steps + singles
    model, train_steps = _make_steps(train, manifest, team, steps)
    device_batch = team.split_batch(train.input.batch, train.accumulate)

    def make_batches(batches: int) -> tf.data.Dataset:
        settings = train.input, manifest.statistics, train.seed, device_batch
        return training_batches(chips, *settings, 0, batches)

    iterator = iter(
        team.strategy.distribute_datasets_from_function(
            lambda context: make_batches(steps * team.devices)
        )
    )

    def time_steps(count: int) -> tuple[float, float]:
        """Seconds of some steps in one call, and of those the wait for input."""
        started_s = time.perf_counter()
        wait_s = float(train_steps(iterator, tf.constant(count))[1])
        return time.perf_counter() - started_s, wait_s

    first_s, _ = time_steps(1)
    time_steps(_WARM_STEPS)
    team.council.gather(0)
    times = [time_steps(count) for count in calls]
    single_s = [time_steps(1)[0] for _ in range(singles)]
    shapes = [tuple(variable.shape) for variable in model.trainable_variables]
    gradients, probes = _time_reduces(team, shapes) if team.cluster.size > 1 else (None, ())
    return Pace(
        device=_name_device(),
        devices=team.devices,
        weights=sum(map(_size, shapes)),
        device_batch=device_batch,
        crop_px=train.input.crop_px or manifest.chip_px,
        cache=cached[0],
        load_s=cached[1],
        first_s=first_s,
        call_steps=tuple(calls),
        call_s=tuple(seconds for seconds, _ in times),
        wait_s=sum(wait_s for _, wait_s in times),
        single_s=tuple(single_s),
        input_s=_time_input(make_batches, team.devices, config.steps),
        gradients=gradients,
        probes=probes,
        sums=_count_sums(team, shapes, train_steps.get_concrete_function(iterator, tf.constant(1))),
    )


def _make_steps(
    train: TrainConfig, manifest: Manifest, team: Team, steps: int
) -> tuple[keras.Model, Any]:
    """The network, and the function that trains it: the same as in training."""
    statistics, classes = manifest.statistics, len(manifest.class_scheme.names)
    model_input = ModelInput(len(manifest.bands), manifest.dtype, statistics.mean, statistics.std)
    with team.strategy.scope():
        model = build_unet(train.model, model_input, classes)
        optimizer = build_optimizer(
            train.optimizer, steps, train.model.mixed_precision, train.input.batch
        )
        optimizer.build(model.trainable_variables)
    weights = weigh_classes(train.loss, manifest.splits["train"].class_pixels)
    plan = StepPlan(train.accumulate, train.jit)
    loss = LOSSES[train.loss.loss]
    return model, make_train_steps(team.strategy, model, optimizer, loss, weights, plan)


def _time_input(make_batches: Callable[[int], tf.data.Dataset], devices: int, steps: int) -> float:
    """Seconds in which the batches of a step are made where nothing else is done."""
    batches = iter(make_batches(_FIRST_BATCHES + steps * devices))
    for _ in range(_FIRST_BATCHES):
        next(batches)
    started_s = time.perf_counter()
    for _ in batches:
        pass
    return (time.perf_counter() - started_s) / steps


def _time_reduces(team: Team, shapes: Shapes) -> tuple[ReduceTime, tuple[ReduceTime, ...]]:
    """Time the all-reduce of tensors like the weights, and of single ones of `PROBE_BYTES`."""
    gradients = _time_reduce(team, shapes)
    return gradients, tuple(_time_reduce(team, [(size // 4,)]) for size in PROBE_BYTES)


def _time_reduce(team: Team, shapes: Shapes) -> ReduceTime:
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


def _count_sums(team: Team, shapes: Shapes, step: Any) -> int:
    """Count what is added over all workers in a step, beside the gradients."""
    if team.cluster.size == 1:
        return 0
    reduce_often = _make_reduce(team.strategy, shapes)
    gradients = reduce_often.get_concrete_function(tf.constant(1))
    return (_count_reduces(step) - _count_reduces(gradients)) // team.devices


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

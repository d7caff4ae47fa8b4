"""Training steps, on devices of their own where two are needed."""

import functools
import math
import os
import time

import keras
import numpy as np
import pytest
import tensorflow as tf
from processes import mirrored, own_process
from steps import (
    assert_close,
    list_moments,
    make_batches,
    make_trainer,
    make_uneven_batches,
    one_device,
    step_without_depth,
    train_tiny,
)

from lcseg.classes import IGNORE
from lcseg.model.losses import LOSSES, Loss
from lcseg.training.config import OptimizerConfig
from lcseg.training.step import MIN_RATE_SHARE, StepPlan, build_optimizer


def test_steps_of_one_call_lower_the_loss():
    _, _, train_steps = make_trainer(one_device())
    iterator = iter(tf.data.Dataset.from_tensor_slices(make_batches(1)).repeat())
    first, wait_s = train_steps(iterator, tf.constant(5))
    later, _ = train_steps(iterator, tf.constant(5))
    assert 0 < later < first
    assert wait_s >= 0


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_many_steps_in_one_call_are_as_many_calls(kind):
    weights, losses = [], []
    for calls in ([6], [1] * 6, [2, 3, 1]):
        model, _, train_steps = make_trainer(one_device(), OptimizerConfig(kind), norm="batch")
        iterator = iter(tf.data.Dataset.from_tensor_slices(make_batches(6)))
        sums = [float(train_steps(iterator, tf.constant(steps))[0]) for steps in calls]
        losses.append(sum(sums))
        weights.append([np.asarray(weight) for weight in model.weights])
    for other in weights[1:]:
        for one, two in zip(weights[0], other, strict=True):
            np.testing.assert_array_equal(one, two)
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-6)


@pytest.mark.parametrize("warmup_share", [0.0, 0.1])
def test_rate_rises_in_a_line_and_falls_as_a_cosine(warmup_share):
    config = OptimizerConfig(learning_rate=0.2, warmup_share=warmup_share)
    rate = build_optimizer(config, 200, "none")._learning_rate
    warm = round(200 * warmup_share)
    for step in range(0, 201, 5):
        if step < warm:
            # Not from 0, which would waste the first step.
            expected = 0.2 * (1 + step) / (warm + 1)
        else:
            cosine = (1 + math.cos(math.pi * (step - warm) / (200 - warm))) / 2
            expected = 0.2 * (MIN_RATE_SHARE + (1 - MIN_RATE_SHARE) * cosine)
        assert float(rate(step)) == pytest.approx(expected, rel=1e-5, abs=1e-9)
    assert float(rate(warm)) == pytest.approx(0.2)
    assert float(rate(200)) == pytest.approx(0.002, rel=1e-4)


def test_only_kernels_decay():
    config = OptimizerConfig("sgd", 0.1, weight_decay=0.5, momentum=0.0, warmup_share=0)
    model, _, train_steps = make_trainer(one_device(), config, norm="batch")
    before = {weight.path: np.asarray(weight) for weight in model.trainable_variables}
    images, labels = make_batches(1)
    nothing = np.full_like(labels, IGNORE)
    train_steps(iter(tf.data.Dataset.from_tensor_slices((images, nothing))), tf.constant(1))
    for weight in model.trainable_variables:
        share = 1 - 0.1 * 0.5 if weight.path.endswith("kernel") else 1
        np.testing.assert_allclose(weight, before[weight.path] * share, rtol=1e-6)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_mixed_precision_learns_with_weights_of_float32(precision, kind):
    config = OptimizerConfig(kind, 0.02, warmup_share=0)
    model, optimizer, train_steps = make_trainer(one_device(), config, "batch", precision)
    iterator = iter(tf.data.Dataset.from_tensor_slices(make_batches(1)).repeat())
    first, _ = train_steps(iterator, tf.constant(5))
    later, _ = train_steps(iterator, tf.constant(5))
    assert 0 < later < first
    assert {weight.dtype for weight in model.weights} == {"float32"}
    has_scale = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    assert has_scale == (precision == "float16")


def test_overflow_of_float16_skips_the_step_and_lowers_the_scale():
    model, optimizer, train_steps = make_trainer(one_device(), precision="float16")
    optimizer.dynamic_scale.assign(2.0**120)
    before = [np.asarray(weight) for weight in model.weights]
    iterator = iter(tf.data.Dataset.from_tensor_slices(make_batches(1)))
    loss, _ = train_steps(iterator, tf.constant(1))
    assert np.isfinite(loss)
    assert float(optimizer.dynamic_scale) == 2.0**119
    for weight, old in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight, old)


def measure_wait(sleep_s, px):
    """The share of the time of some steps that was spent waiting for input."""

    def slowly(images, labels):
        tf.numpy_function(lambda: time.sleep(sleep_s), [], [])
        return images, labels

    images = tf.zeros((16, px, px, 2), tf.uint8)
    labels = tf.zeros((16, px, px), tf.uint8)
    batches = tf.data.Dataset.from_tensors((images, labels)).repeat().map(slowly)
    _, _, train_steps = make_trainer(one_device())
    iterator = iter(batches)
    train_steps(iterator, tf.constant(2))
    started_s = time.monotonic()
    _, wait_s = train_steps(iterator, tf.constant(8))
    return float(wait_s) / (time.monotonic() - started_s)


def measure_wait_on_one_core(sleep_s, px):
    os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
    return measure_wait(sleep_s, px)


WAITS = pytest.mark.parametrize(
    ("sleep_s", "px", "low", "high"), [(0.1, 8, 0.6, 1), (0, 96, 0, 0.3)]
)


@WAITS
def test_wait_for_input_is_what_the_input_makes_wait(sleep_s, px, low, high):
    assert low <= measure_wait(sleep_s, px) < high


@pytest.mark.slow
@WAITS
def test_computing_is_no_wait_where_one_core_does_all(sleep_s, px, low, high):
    with own_process() as pool:
        assert low <= pool.submit(measure_wait_on_one_core, sleep_s, px).result() < high


@pytest.fixture(scope="module")
def compiled():
    """A process that no training before has made deterministic, which XLA cannot be."""
    with own_process() as pool:
        yield pool


def train_here(**choice):
    return train_tiny(one_device(), *make_uneven_batches(5), **choice)


@functools.cache
def train_plainly(**choice):
    """The sum of losses and the weights after five steps."""
    return train_tiny(one_device(), *make_uneven_batches(5), **choice)


@pytest.mark.slow
@pytest.mark.parametrize("parts", [2, 4])
@pytest.mark.parametrize("loss", ["cross_entropy", "focal"])
def test_batch_in_parts_trains_the_weights_of_the_whole(loss, parts):
    plan = StepPlan(accumulate=parts)
    loss_sum, weights = train_tiny(one_device(), *make_uneven_batches(5), loss=loss, plan=plan)
    loss_of_whole, of_whole = train_plainly(loss=loss)
    assert loss_sum == pytest.approx(loss_of_whole, rel=1e-5)
    assert_close(weights, of_whole, 1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["none", "float16"])
def test_batch_in_parts_learns_with_norm_and_in_any_precision(precision):
    choice = {"norm": "batch", "precision": precision, "plan": StepPlan(accumulate=2)}
    model, _, train_steps = make_trainer(one_device(), **choice)
    iterator = iter(tf.data.Dataset.from_tensor_slices(make_batches(1)).repeat())
    first, _ = train_steps(iterator, tf.constant(10))
    later, _ = train_steps(iterator, tf.constant(10))
    assert 0 < later < first
    assert all(np.isfinite(weight).all() for weight in model.weights)


def test_each_part_of_a_batch_has_a_norm_of_its_own():
    images, labels = make_batches(1)
    images[0, 2:] //= 5
    kernels, found = step_without_depth(one_device(), images, labels, StepPlan(accumulate=2))
    of_parts = [list_moments(half, kernels) for half in np.split(images[0], 2)]
    for one, two, begun, moving in zip(*of_parts, [0, 1] * 2, found, strict=True):
        np.testing.assert_allclose(
            moving, 0.99 * (0.99 * begun + 0.01 * one) + 0.01 * two, rtol=1e-5
        )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("norm", "depth", "parts"),
    [("none", 1, 1), ("batch", 0, 1), ("group", 0, 1), ("none", 1, 2)],
)
def test_compiled_steps_train_the_weights_of_those_that_are_not(compiled, norm, depth, parts):
    plan, choice = StepPlan(accumulate=parts, jit=True), {"norm": norm, "depth": depth}
    loss_sum, weights = compiled.submit(train_here, plan=plan, **choice).result()
    loss_of_plain, of_plain = train_plainly(**choice)
    assert loss_sum == pytest.approx(loss_of_plain, rel=1e-4)
    assert_close(weights, of_plain, 1e-4)


@pytest.mark.slow
def test_only_compiled_steps_fail_where_xla_knows_no_way(monkeypatch):
    def sum_by_detour(logits, labels, weights):
        one = tf.numpy_function(lambda: np.float32(1), [], tf.float32)
        return LOSSES["focal"].sums(logits, labels, weights) * tf.ensure_shape(one, [])

    monkeypatch.setitem(LOSSES, "detour", Loss(sum_by_detour, LOSSES["focal"].value))
    batches = make_uneven_batches(5)
    found = train_tiny(one_device(), *batches, loss="detour")
    assert_close(found[1], train_plainly(loss="focal")[1], 1e-5)
    with pytest.raises(tf.errors.InvalidArgumentError, match="PyFunc"):
        train_tiny(one_device(), *batches, loss="detour", plan=StepPlan(jit=True))


def test_group_norm_learns_and_keeps_no_statistics():
    model, _, train_steps = make_trainer(one_device(), norm="group")
    iterator = iter(tf.data.Dataset.from_tensor_slices(make_batches(1)).repeat())
    first, _ = train_steps(iterator, tf.constant(10))
    later, _ = train_steps(iterator, tf.constant(10))
    assert 0 < later < first
    # The first layer holds the statistics of the data.
    assert all("normalise" in weight.path for weight in model.non_trainable_weights)


def train_on(n_devices, norm, loss, precision):
    """The sum of losses and the weights after three steps, most labels on the second device."""
    batches = [values[:3] for values in make_uneven_batches(5)]
    strategy = mirrored() if n_devices > 1 else one_device()
    return train_tiny(strategy, *batches, norm=norm, loss=loss, precision=precision)


@pytest.fixture(scope="module")
def two_devices():
    """A process with two devices: they are chosen before TensorFlow starts."""
    with own_process(devices=2) as pool:
        yield pool


@pytest.mark.slow
@pytest.mark.parametrize(
    ("norm", "loss", "precision"),
    [
        ("none", "cross_entropy", "none"),
        ("none", "focal", "none"),
        ("none", "dice_cross_entropy", "none"),
        ("sync_batch", "cross_entropy", "none"),
        ("none", "cross_entropy", "float16"),
    ],
)
def test_two_devices_train_the_weights_of_one(two_devices, norm, loss, precision):
    of_two = two_devices.submit(train_on, 2, norm, loss, precision).result()
    of_one = two_devices.submit(train_on, 1, norm, loss, precision).result()
    untrained = [np.asarray(w) for w in make_trainer(one_device(), norm=norm)[0].weights]
    assert of_two[0] == pytest.approx(of_one[0], rel=1e-5 if precision == "none" else 1e-2)
    assert_close(of_two[1], of_one[1], 1e-5 if precision == "none" else 2e-2)
    assert any((a != b).any() for a, b in zip(of_one[1], untrained, strict=True))

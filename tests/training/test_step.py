"""Training steps, on devices of their own where two are needed."""

import math
import time

import keras
import numpy as np
import pytest
import tensorflow as tf
from processes import mirrored, own_process

from lcseg.classes import IGNORE
from lcseg.model.config import UNetConfig
from lcseg.model.losses import LOSSES
from lcseg.model.unet import ModelInput, build_unet
from lcseg.training.config import OptimizerConfig
from lcseg.training.step import MIN_RATE_SHARE, build_optimizer, make_train_steps

WEIGHTS = np.array([1.0, 0.5, 4.0], np.float32)


def make_batches(n: int, batch: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Images whose first band tells their labels, a third of the pixels ignored."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 3, (n, batch, 8, 8)).astype(np.uint8)
    images = random.integers(0, 80, (n, batch, 8, 8, 2)).astype(np.uint8)
    images[..., 0] += labels * 80
    labels[random.random(labels.shape) < 0.33] = IGNORE
    return images, labels


def make_trainer(strategy, config=None, norm="none", precision="none", loss="cross_entropy"):
    """(model, optimizer, train_steps) of a tiny network, always begun alike."""
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model_input = ModelInput(2, "uint8", (100.0, 40.0), (60.0, 25.0))
        model = build_unet(UNetConfig(1, 2, norm, precision), model_input, 3)
        config = config or OptimizerConfig("sgd", 0.05, weight_decay=0, warmup_share=0)
        optimizer = build_optimizer(config, 10, precision)
        optimizer.build(model.trainable_variables)
    return model, optimizer, make_train_steps(strategy, model, optimizer, LOSSES[loss], WEIGHTS)


def one_device():
    return tf.distribute.OneDeviceStrategy("/cpu:0")


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


@pytest.mark.parametrize(("sleep_s", "px", "low", "high"), [(0.1, 8, 0.6, 1), (0, 96, 0, 0.3)])
def test_wait_for_input_is_what_the_input_makes_wait(sleep_s, px, low, high):
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
    assert low <= float(wait_s) / (time.monotonic() - started_s) < high


def train_on(n_devices, norm, loss, precision):
    """The weights after three steps of four samples, the labels of the first two nearly all gone.

    In the second step they are gone altogether.
    """
    images, labels = make_batches(3)
    labels[:, :2, 2:] = IGNORE
    labels[1, :2] = IGNORE
    strategy = mirrored() if n_devices > 1 else one_device()
    model, _, train_steps = make_trainer(strategy, norm=norm, loss=loss, precision=precision)
    batches = tf.data.Dataset.from_tensor_slices((images, labels))

    def deal(context):
        share = context.get_per_replica_batch_size(4)
        return batches.unbatch().batch(share)

    iterator = iter(strategy.distribute_datasets_from_function(deal))
    loss_sum, _ = train_steps(iterator, tf.constant(3))
    return float(loss_sum), [np.asarray(weight) for weight in model.weights]


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
    tolerance = 1e-5 if precision == "none" else 2e-2
    for two, one in zip(of_two[1], of_one[1], strict=True):
        np.testing.assert_allclose(two, one, rtol=tolerance, atol=tolerance * np.abs(one).max())
    assert any((a != b).any() for a, b in zip(of_one[1], untrained, strict=True))

"""Losses, held against float64 numpy; and over two devices, held against one."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from processes import mirrored, own_process

from lcseg.classes import IGNORE
from lcseg.model.config import LossConfig
from lcseg.model.losses import LOSSES, global_sum, weigh_classes

WEIGHTS = np.array([1.0, 0.25, 7.5], np.float32)


def reference(name: str, logits: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> float:
    """The losses as their papers write them, pixel by pixel in float64."""
    exp = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    probs = exp / exp.sum(axis=-1, keepdims=True)
    probs, labels = probs[labels != IGNORE], labels[labels != IGNORE]
    if len(labels) == 0:
        return 0.0
    p = probs[np.arange(len(labels)), labels]
    w = weights.astype(np.float64)[labels]
    terms = (1 - p) ** 2 * -np.log(p) if name == "focal" else -np.log(p)
    loss = (w * terms).sum() / w.sum()
    if name == "dice_cross_entropy":
        truth = np.eye(len(weights))[labels]
        present = sorted(set(labels))
        dice = 2 * (truth * probs).sum(axis=0) / (truth.sum(axis=0) + probs.sum(axis=0))
        loss += 1 - dice[present].mean()
    return float(loss)


def differentiate(name, logits, labels, weights):
    """The gradient of the reference by central differences."""
    gradient = np.zeros(logits.shape)
    for at in np.ndindex(*logits.shape):
        moved = logits.astype(np.float64)
        moved[at] += 1e-5
        above = reference(name, moved, labels, weights)
        moved[at] -= 2e-5
        gradient[at] = (above - reference(name, moved, labels, weights)) / 2e-5
    return gradient


def measure(name, logits, labels, weights):
    """The loss and its gradient to the logits."""
    loss, logits = LOSSES[name], tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        sums = loss.sums(logits, tf.constant(labels), tf.constant(weights))
        value = loss.value(global_sum(sums))
    return float(value), tape.gradient(value, logits).numpy()


@st.composite
def logits_and_labels(draw):
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    codes = draw(st.lists(st.sampled_from([0, 1, 2, IGNORE]), min_size=1, unique=True))
    logits = random.normal(0, draw(st.sampled_from([0.1, 2, 5])), (2, 2, 3, 3))
    return logits.astype(np.float32), random.choice(codes, (2, 2, 3)).astype(np.uint8)


def test_loss_of_sums_is_the_mean_over_labelled_pixels():
    logits = np.zeros((1, 1, 3, 2), np.float32)
    labels = np.array([[[0, 1, IGNORE]]], np.uint8)
    value, gradient = measure("cross_entropy", logits, labels, np.ones(2, np.float32))
    assert value == pytest.approx(np.log(2))
    np.testing.assert_allclose(gradient[0, 0], [[-0.25, 0.25], [0.25, -0.25], [0, 0]])


@pytest.mark.parametrize("name", LOSSES)
@settings(deadline=None, max_examples=20)
@given(logits_and_labels(), st.sampled_from([WEIGHTS, np.ones(3, np.float32)]))
def test_value_and_gradient_are_those_of_float64_numpy(name, pair, weights):
    value, gradient = measure(name, *pair, weights)
    assert value == pytest.approx(reference(name, *pair, weights), rel=1e-5, abs=1e-7)
    np.testing.assert_allclose(gradient, differentiate(name, *pair, weights), atol=2e-6, rtol=1e-4)


@pytest.mark.parametrize("name", LOSSES)
def test_ignored_pixels_have_no_say(name):
    random = np.random.default_rng(0)
    logits = random.normal(0, 3, (2, 4, 4, 3)).astype(np.float32)
    labels = random.choice([0, 1, IGNORE], (2, 4, 4)).astype(np.uint8)
    wild = np.where((labels == IGNORE)[..., None], 1e4, logits).astype(np.float32)
    value, gradient = measure(name, logits, labels, WEIGHTS)
    wild_value, wild_gradient = measure(name, wild, labels, WEIGHTS)
    assert value == wild_value
    np.testing.assert_array_equal(gradient, wild_gradient)
    assert (gradient[labels == IGNORE] == 0).all()


@pytest.mark.parametrize("name", LOSSES)
def test_batch_without_a_labelled_pixel_has_loss_zero_and_no_gradient(name):
    logits = np.full((1, 2, 2, 3), 50.0, np.float32)
    value, gradient = measure(name, logits, np.full((1, 2, 2), IGNORE, np.uint8), WEIGHTS)
    assert value == 0
    assert (gradient == 0).all()


@pytest.mark.parametrize("name", LOSSES)
def test_logits_that_are_sure_stay_finite(name):
    logits = np.array([[[[300.0, -300, 0], [-300, 300, 0]]]], np.float32)
    value, gradient = measure(name, logits, np.zeros((1, 1, 2), np.uint8), WEIGHTS)
    assert np.isfinite(value) and value > 100
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("label", [3, 254])
def test_label_beyond_the_classes_is_refused(name, label):
    labels = tf.fill([1, 2, 2], tf.constant(label, tf.uint8))
    with pytest.raises(tf.errors.InvalidArgumentError, match="a label is beyond the classes"):
        tf.function(LOSSES[name].sums)(tf.zeros((1, 2, 2, 3)), labels, tf.constant(WEIGHTS))


@pytest.mark.parametrize(
    ("how", "weights"),
    [
        ("none", [1, 1, 1, 1]),
        # 1,000 pixels of three classes: 1000 / (3 n); 1000 / 3 / 10 = 33 is capped.
        ("inverse", [1000 / (3 * 900), 1000 / (3 * 90), 10, 1]),
        ("median_frequency", [90 / 900, 1, 9, 1]),
    ],
)
def test_classes_are_weighted_as_by_hand(how, weights):
    found = weigh_classes(LossConfig(class_weights=how), (900, 90, 10, 0))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, weights, rtol=1e-6)


def test_effective_number_weighs_rare_classes_more_at_any_size():
    config = LossConfig(class_weights="effective_number", max_class_weight=1e6)
    for size in (1, 10**3, 10**6):
        found = weigh_classes(config, (100 * size, 900 * size))
        direct = [1 / (1 - np.exp(-share)) for share in (0.1, 0.9)]
        np.testing.assert_allclose(found, np.array(direct) / np.mean(direct), rtol=1e-3)


@pytest.mark.parametrize("how", ["none", "inverse", "median_frequency", "effective_number"])
def test_no_weight_is_above_the_cap_and_absent_classes_weigh_one(how):
    found = weigh_classes(LossConfig(class_weights=how, max_class_weight=2), (10**9, 1, 0))
    assert found.max() <= 2
    assert found[2] == 1
    assert np.isfinite(found).all() and (found > 0).all()


def gradients_of_two_and_one(name, labels):
    """(values, gradient) of a linear model over two devices, and of one on the joined batch."""
    loss = LOSSES[name]
    images = np.random.default_rng(0).normal(size=(*labels.shape, 5)).astype(np.float32)
    kernel = tf.constant(np.random.default_rng(1).normal(size=(5, 3)).astype(np.float32))

    def step(images, labels):
        with tf.GradientTape() as tape:
            tape.watch(kernel)
            sums = loss.sums(tf.matmul(images, kernel), labels, tf.constant(WEIGHTS))
            value = loss.value(global_sum(sums))
        return value, tape.gradient(value, kernel)

    strategy = mirrored()

    def deal(array):
        return strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(np.array_split(array, 2)[context.replica_id_in_sync_group])
        )

    both = tf.function(lambda *parts: strategy.run(step, parts))(deal(images), deal(labels))
    values, gradients = map(strategy.experimental_local_results, both)
    assert len(values) == 2
    value, gradient = step(tf.constant(images), tf.constant(labels))
    of_two = [float(x) for x in values], sum(x.numpy() for x in gradients)
    return of_two, (float(value), gradient.numpy())


@pytest.fixture(scope="module")
def two_devices():
    """A process with two devices: they are chosen before TensorFlow starts."""
    with own_process(devices=2) as pool:
        yield pool


@pytest.mark.slow
@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("labelled", ["uneven", "one device only", "nowhere"])
def test_two_devices_have_the_gradients_of_one(two_devices, name, labelled):
    random = np.random.default_rng(5)
    labels = random.integers(0, 3, (4, 4, 4)).astype(np.uint8)
    labels[:2][random.random((2, 4, 4)) < 0.8] = IGNORE
    labels[: {"uneven": 0, "one device only": 2, "nowhere": 4}[labelled]] = IGNORE
    future = two_devices.submit(gradients_of_two_and_one, name, labels)
    (values, of_two), (value, of_one) = future.result()
    assert values == pytest.approx([value, value], rel=1e-6)
    np.testing.assert_allclose(of_two, of_one, rtol=1e-5, atol=1e-6 * np.abs(of_one).max())
    assert np.any(of_one) == (labelled != "nowhere")

"""Two workers, each a process: they train what one would, and stay in step whatever comes."""

import numpy as np
import pytest
import tensorflow as tf
from processes import team_of, workers
from steps import (
    MEAN,
    assert_close,
    deal,
    list_moments,
    make_batches,
    make_trainer,
    make_uneven_batches,
    one_device,
    step_without_depth,
    train_tiny,
    weights_of,
)

from lcseg.classes import IGNORE
from lcseg.evaluation.scoring import ChipScorer
from lcseg.model.losses import LOSSES
from lcseg.pipeline.store import ArrayStore
from lcseg.training.step import StepPlan

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def two_workers():
    with workers(2) as both:
        yield both


def train_half(cluster, batches, choice):
    return train_tiny(team_of(cluster).strategy, *batches, **choice)


def train_on_both(two_workers, batches, **choice):
    """The sum of losses and the weights, which both workers must have bit for bit."""
    one, two = two_workers.results(train_half, batches, choice)
    assert one[0] == two[0]
    assert bytes_of(one[1]) == bytes_of(two[1])
    return one


def bytes_of(weights):
    return [weight.tobytes() for weight in weights]


PARTS = StepPlan(accumulate=2)


@pytest.mark.parametrize(
    ("norm", "loss", "plan"),
    [
        ("none", "cross_entropy", StepPlan()),
        ("none", "focal", StepPlan()),
        ("none", "dice_cross_entropy", StepPlan()),
        ("sync_batch", "dice_cross_entropy", StepPlan()),
        ("none", "cross_entropy", PARTS),
        ("none", "focal", PARTS),
    ],
)
def test_twenty_steps_of_two_workers_are_those_of_one_on_the_joined_batch(
    two_workers, norm, loss, plan
):
    batches = make_uneven_batches(20)
    loss_sum, weights = train_on_both(two_workers, batches, norm=norm, loss=loss, plan=plan)
    loss_of_one, of_one = train_tiny(one_device(), *batches, norm=norm, loss=loss)
    assert loss_sum == pytest.approx(loss_of_one, rel=1e-5)
    assert_close(weights, of_one, 1e-5)


def test_compiled_steps_of_two_workers_are_those_that_are_not(two_workers):
    batches, choice = make_uneven_batches(6), {"norm": "batch", "depth": 0}
    compiled = train_on_both(two_workers, batches, **choice, plan=StepPlan(jit=True))
    plain = train_on_both(two_workers, batches, **choice)
    assert compiled[0] == pytest.approx(plain[0], rel=1e-4)
    assert_close(compiled[1], plain[1], 1e-4)


def step_half(cluster, batches):
    return step_without_depth(team_of(cluster).strategy, *batches)


def test_moving_statistics_are_the_mean_of_what_each_worker_would_keep(two_workers):
    images, labels = make_batches(1)
    # What the workers see has little in common.
    images[0, 2:] //= 5
    (kernels, found), (_, of_other) = two_workers.results(step_half, (images, labels))
    assert bytes_of(found) == bytes_of(of_other)
    of_each = [list_moments(half, kernels) for half in np.split(images[0], 2)]
    assert not np.allclose(of_each[0][0], of_each[1][0], rtol=0.2)
    for one, two, begun, moving in zip(*of_each, [0, 1] * 2, found, strict=True):
        np.testing.assert_allclose(moving, 0.99 * begun + 0.01 * (one + two) / 2, rtol=1e-5)


def learn_half(cluster, batches):
    """The losses of 20 steps and of 20 more in bfloat16, and the weights."""
    strategy = team_of(cluster).strategy
    model, _, train_steps = make_trainer(strategy, norm="batch", precision="bfloat16")
    iterator = deal(strategy, *batches)
    losses = [float(train_steps(iterator, tf.constant(20))[0]) for _ in range(2)]
    return losses, weights_of(model)


def test_workers_that_learn_in_bfloat16_stay_the_same(two_workers):
    batches = [np.repeat(values, 40, axis=0) for values in make_batches(1)]
    one, two = two_workers.results(learn_half, batches)
    assert one[0] == two[0]
    assert bytes_of(one[1]) == bytes_of(two[1])
    assert {weight.dtype for weight in one[1]} == {np.dtype("float32")}
    assert 0 < one[0][1] < 0.8 * one[0][0]


SCALE = 2.0**24


def progress_of(optimizer):
    """Steps that it has taken, and its loss scale."""
    return [float(np.asarray(x)) for x in (optimizer.iterations, optimizer.dynamic_scale)]


def overflow(strategy, batches, norm):
    """Take a step for each batch, begun with a loss scale that is too large."""
    model, optimizer, train_steps = make_trainer(strategy, norm=norm, precision="float16")
    optimizer.dynamic_scale.assign(SCALE)
    loss_sum, _ = train_steps(deal(strategy, *batches), tf.constant(len(batches[0])))
    return float(loss_sum), weights_of(model), *progress_of(optimizer)


def overflow_half(cluster, batches, norm):
    return overflow(team_of(cluster).strategy, batches, norm)


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_workers_skip_the_steps_in_which_only_one_of_them_overflows(two_workers, norm):
    images, labels = make_batches(12)
    labels[:, :2] = IGNORE
    # Alone, the one without labels would take every step.
    halves = [(images[:, part], labels[:, part]) for part in (slice(0, 2), slice(2, 4))]
    assert [overflow(one_device(), half, norm)[2] < 12 for half in halves] == [False, True]

    one, two = two_workers.results(overflow_half, (images, labels), norm)
    assert bytes_of(one[1]) == bytes_of(two[1])
    assert (one[0], *one[2:]) == (two[0], *two[2:])
    loss_sum, weights, taken, scale = one
    assert 0 < taken < 12
    assert scale == SCALE / 2 ** (12 - taken)
    assert np.isfinite(loss_sum) and all(np.isfinite(weight).all() for weight in weights)


def burst_half(cluster, batches):
    """A step of a network whose first kernel is so large that float16 cannot hold what it gives."""
    strategy = team_of(cluster).strategy
    model, optimizer, train_steps = make_trainer(strategy, norm="batch", precision="float16")
    with strategy.scope():
        kernel = model.get_layer("down0a_conv").kernel
        kernel.assign(tf.fill(kernel.shape, 3e4))
    before = weights_of(model)
    train_steps(deal(strategy, *batches), tf.constant(1))
    return (
        before,
        weights_of(model),
        int(np.asarray(optimizer.iterations)),
        float(np.asarray(optimizer.dynamic_scale)),
    )


def test_moving_statistics_outlive_a_worker_whose_network_overflows(two_workers):
    images, labels = make_batches(1)
    # What is at the mean becomes 0, and stays finite.
    images[:, :2] = MEAN
    one, two = two_workers.results(burst_half, (images, labels))
    assert bytes_of(one[1]) == bytes_of(two[1])
    before, after, taken, scale = one
    assert (taken, scale) == (0, 2.0**14)
    assert bytes_of(before) == bytes_of(after)


def score_share(cluster, images, labels, batch):
    """The confusion matrix and the loss, of two or three of five chips by each worker."""
    own = slice(*[(0, 2), (2, 5)][cluster.index]) if cluster else slice(None)
    add = team_of(cluster).council.add if cluster else lambda counts: counts
    model, _, _ = make_trainer(team_of(cluster).strategy if cluster else one_device())
    histograms = np.zeros((len(images[own]), 4), np.int64)
    store = ArrayStore(tf.constant(images[own]), tf.constant(labels[own]), histograms)
    scorer = ChipScorer(model, 3, LOSSES["dice_cross_entropy"])
    confusion, loss = scorer.score(store, batch, 2, add=add)
    return confusion.counts, loss


@pytest.mark.parametrize("batch", [1, 2])
def test_workers_that_hold_two_and_three_chips_judge_them_as_one_that_holds_all(two_workers, batch):
    images, labels = (values[0] for values in make_batches(1, batch=5))
    labels[0] = IGNORE
    one, two = two_workers.results(score_share, images, labels, batch)
    expected, expected_loss = score_share(None, images, labels, batch)
    assert one[0].tolist() == two[0].tolist() == expected.tolist()
    assert expected.sum() == np.count_nonzero(labels != IGNORE)
    assert one[1] == two[1] == pytest.approx(expected_loss, rel=1e-6)

"""Draws of chips: every one once, or classes alike."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from lcseg.pipeline.sampling import draw_chips, weigh_chips
from lcseg.pipeline.store import ArrayStore


def make_store(histograms) -> ArrayStore:
    """Chips of one pixel, of which only the histograms count."""
    pixels = np.zeros((len(histograms), 1, 1), np.uint8)
    return ArrayStore(tf.constant(pixels[..., None]), tf.constant(pixels), np.array(histograms))


def draw(store, sampling, seed, first, last):
    """(epoch, chip, occurrence) of draws, int64 [n, 3]."""
    drawn = draw_chips(store, sampling, seed, first, last).batch(last - first)
    return np.stack(next(drawn.as_numpy_iterator()), axis=1)


def draw_uniform(count, seed, first, last):
    """(epoch, chip) of uniform draws; every occurrence is the first."""
    drawn = draw(make_store(np.ones((count, 3), int)), "uniform", seed, first, last)
    assert not drawn[:, 2].any()
    return drawn[:, :2]


def random_histograms(seed, count=50):
    """Chips of four classes: one in all, one rare, one in a single chip, one in none."""
    random = np.random.default_rng(seed)
    histograms = random.integers(1, 1000, (count, 5))
    histograms[:, 1] *= random.random(count) < 0.1
    histograms[:, 2] *= np.arange(count) == count // 2
    histograms[:, 3] = 0
    return histograms


def weigh_slowly(histograms):
    """Draw a class, a pixel of it and its chip: the probability of each chip, pixel by pixel."""
    weights = [0.0] * len(histograms)
    classes = [c for c in range(4) if sum(int(h[c]) for h in histograms)]
    for c in classes:
        total = sum(int(h[c]) for h in histograms)
        for i, h in enumerate(histograms):
            weights[i] += int(h[c]) / total / len(classes)
    return weights


def test_draws_are_epochs_of_chips_with_how_often_they_came():
    drawn = draw(make_store([[9, 0, 0], [1, 1, 0], [0, 3, 4]]), "balanced", 0, 0, 6)
    assert drawn.shape == (6, 3) and drawn.dtype == np.int64
    assert drawn[:, 0].tolist() == [0, 0, 0, 1, 1, 1]
    assert set(drawn[:, 1]) <= {0, 1, 2}


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 40), st.integers(0, 2**31 - 1), st.integers(0, 10**6))
def test_each_epoch_holds_every_chip_once(count, seed, epoch):
    drawn = draw_uniform(count, seed, epoch * count, (epoch + 1) * count)
    assert set(drawn[:, 0]) == {epoch}
    assert sorted(drawn[:, 1]) == list(range(count))


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 12), st.integers(0, 30), st.integers(1, 30))
def test_draws_from_the_middle_are_those_of_the_whole_run(count, first, n):
    np.testing.assert_array_equal(
        draw_uniform(count, 7, first, first + n), draw_uniform(count, 7, 0, 60)[first:][:n]
    )


def test_epochs_and_seeds_have_orders_of_their_own():
    """A cipher with a key of a few bits, for one, would come round again after 256 epochs."""
    orders = [draw_uniform(12, seed, 0, 12 * 300)[:, 1].reshape(300, 12) for seed in (0, 1, 256)]
    assert len({order.tobytes() for of_seed in orders for order in of_seed}) == 900


def test_every_chip_is_as_often_in_every_place():
    counts = np.zeros((5, 5))
    for order in draw_uniform(5, 3, 0, 5 * 2000)[:, 1].reshape(2000, 5):
        counts[np.arange(5), order] += 1
    # 400 expected; chi squared of 16 degrees of freedom is beyond 39 once in a thousand.
    assert (np.square(counts - 400) / 400).sum() < 39


@pytest.mark.parametrize("seed", range(4))
def test_weights_are_those_of_a_class_then_a_pixel_of_it(seed):
    histograms = random_histograms(seed)
    weights = weigh_chips(histograms)
    np.testing.assert_allclose(weights, weigh_slowly(histograms), rtol=1e-12)
    assert weights.sum() == pytest.approx(1)


def test_chips_without_a_label_are_drawn_only_if_there_are_no_others():
    assert weigh_chips(np.array([[0, 0, 9], [0, 2, 7]])).tolist() == [0, 1]
    assert weigh_chips(np.array([[0, 0, 9], [0, 0, 9]])).tolist() == [0.5, 0.5]
    drawn = draw(make_store([[1, 0, 0], [0, 0, 9], [0, 0, 9]]), "balanced", 1, 0, 3000)
    assert set(drawn[:, 1]) == {0}


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**31 - 1), st.integers(0, 10**6))
def test_balanced_epoch_takes_a_chip_as_often_as_its_weight_says_give_or_take_one(seed, epoch):
    histograms = random_histograms(seed)
    count = len(histograms)
    drawn = draw(make_store(histograms), "balanced", seed, epoch * count, (epoch + 1) * count)
    times = np.bincount(drawn[:, 1], minlength=count)
    assert times.sum() == count
    assert (np.abs(times - count * weigh_chips(histograms)) < 1).all()


def test_balanced_draws_have_their_weights_in_the_long_run():
    histograms = random_histograms(5)
    drawn = draw(make_store(histograms), "balanced", 5, 0, 50 * 2000)
    share = np.bincount(drawn[:, 1], minlength=50) / len(drawn)
    # The offset of an epoch is uniform, so a chip's count varies by less than 1/2: 5 sigma.
    np.testing.assert_allclose(50 * share, 50 * weigh_chips(histograms), atol=5 * 0.5 / 2000**0.5)


def test_occurrences_count_the_draws_of_a_chip_in_an_epoch():
    drawn = draw(make_store(random_histograms(2)), "balanced", 3, 0, 50 * 20)
    seen: dict[tuple[int, int], list[int]] = {}
    for epoch, chip, occurrence in drawn.tolist():
        seen.setdefault((epoch, chip), []).append(occurrence)
    assert all(sorted(of_chip) == list(range(len(of_chip))) for of_chip in seen.values())
    assert max(map(len, seen.values())) > 3


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 120), st.integers(1, 60))
def test_balanced_draws_from_the_middle_are_those_of_the_whole_run(first, n):
    store = make_store(random_histograms(1, count=30))
    whole = draw(store, "balanced", 7, 0, 200)
    np.testing.assert_array_equal(draw(store, "balanced", 7, first, first + n), whole[first:][:n])


def test_balanced_epochs_are_shuffled_as_a_whole():
    """In the order of the chips a chip's draws would lie side by side."""
    drawn = draw(make_store(random_histograms(2)), "balanced", 3, 0, 50 * 40)[:, 1]
    orders = {of_epoch.tobytes() for of_epoch in drawn.reshape(40, 50)}
    assert len(orders) == 40
    most = Counter(drawn.tolist()).most_common(1)[0][0]
    places = np.flatnonzero(drawn == most) % 50
    # Uniform on 0 .. 49: mean 24.5, standard deviation 14.4.
    assert abs(places.mean() - 24.5) < 5 * 14.4 / len(places) ** 0.5

"""The model of a step against numbers worked out by hand, its limits, and the fit of a network."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression

from lcseg.scaling.model import (
    Network,
    ReducePoint,
    Step,
    Terms,
    compose_step,
    fit_error,
    fit_network,
    forecast_step,
)

ETHERNET = Network(beta_gb_s=1.1, alpha_us=50)
TERMS = Terms(
    compute_s=0.1, gradient_bytes=40_000_000, sums=3, input_s=0.02, spread_s=0.01, hidden_s=0.004
)
SIZES = (1 << 10, 1 << 20, 8_000_000, 1 << 24)
seconds = st.floats(0, 10)
sizes = st.integers(1, 10_000)
terms = st.builds(
    Terms, seconds, st.integers(0, 10**9), st.integers(0, 100), seconds, seconds, seconds
)
networks = st.builds(Network, st.floats(0.01, 100), st.floats(0, 10_000))


def reduces(network: Network, workers=(2, 4), factors=None) -> list[ReducePoint]:
    """All-reduces that take what a network makes of them, times some factors."""
    points = [(n, size) for n in workers for size in SIZES]
    factors = np.ones(len(points)) if factors is None else factors
    return [
        ReducePoint(n, size, network.ring_s(n, size) * factor)
        for (n, size), factor in zip(points, factors, strict=True)
    ]


def test_a_step_is_what_was_worked_out_by_hand():
    # 6 hops of 50 us; 2 * 3/4 of 40 MB at 1.1 GB/s; of both, 4 ms are hidden.
    assert ETHERNET.ring_s(4, 40_000_000) == pytest.approx(0.0545454545 + 0.0003)
    step = forecast_step(TERMS, 4, ETHERNET)
    assert step.compute_s == 0.1
    assert step.reduce_s == pytest.approx(0.0508454545)
    assert step.input_s == 0
    assert step.sums_s == pytest.approx(3 * 0.0003)
    assert step.straggler_s == pytest.approx(0.01 * 1.6651092223)
    assert step.seconds == pytest.approx(0.1 + 0.0508454545 + 0.0009 + 0.0166510922)
    assert list(step.parts.values()) == [
        step.compute_s,
        step.reduce_s,
        step.input_s,
        step.sums_s,
        step.straggler_s,
    ]


# notes/distributed.md 4.3: efficiency on 10 Gb Ethernet without overlap, of steps of 16 patches.
@pytest.mark.parametrize(
    ("gflop", "tflop_per_s", "gradient_bytes", "at_64", "at_148"),
    [
        (96.6, 8, 124e6, 0.72, 0.71),
        (96.6, 40, 124e6, 0.34, 0.33),
        (24.3, 8, 31e6, 0.70, 0.67),
        (6.1, 40, 7.8e6, 0.27, 0.20),
    ],
)
def test_efficiency_is_that_of_the_notes(gflop, tflop_per_s, gradient_bytes, at_64, at_148):
    of_network = Terms(16 * 3 * gflop / (1000 * tflop_per_s), int(gradient_bytes))
    for workers, expected in ((64, at_64), (148, at_148)):
        efficiency = of_network.compute_s / forecast_step(of_network, workers, ETHERNET).seconds
        assert efficiency == pytest.approx(expected, abs=0.0051)


@given(terms, networks)
def test_one_worker_waits_for_its_own_input_alone(of_step, network):
    step = forecast_step(of_step, 1, network)
    assert (step.reduce_s, step.sums_s, step.straggler_s) == (0, 0, 0)
    assert step.seconds == pytest.approx(max(of_step.compute_s, of_step.input_s))


@given(terms, sizes, networks)
def test_a_step_is_the_formula(of_step, workers, network):
    hops = 2 * (workers - 1)
    reduce_s = (
        hops / workers * of_step.gradient_bytes / network.beta_gb_s / 1e9
        + hops * network.alpha_us / 1e6
    )
    expected = (
        max(of_step.input_s, of_step.compute_s + max(0, reduce_s - of_step.hidden_s))
        + of_step.sums * hops * network.alpha_us / 1e6
        + of_step.spread_s * math.sqrt(2 * math.log(workers))
    )
    assert forecast_step(of_step, workers, network).seconds == pytest.approx(expected)


@given(terms, sizes)
def test_a_network_without_limits_leaves_computing_and_the_slowest(of_step, workers):
    step = forecast_step(of_step, workers, Network(math.inf, 0))
    assert (step.reduce_s, step.sums_s) == (0, 0)
    alone_s = max(of_step.compute_s, of_step.input_s)
    assert step.seconds == pytest.approx(alone_s + step.straggler_s)


@given(terms, sizes, networks)
def test_more_workers_never_make_a_step_shorter(of_step, workers, network):
    more = forecast_step(of_step, workers + 1, network).seconds
    assert more >= forecast_step(of_step, workers, network).seconds * (1 - 1e-12)


def test_an_all_reduce_that_is_hidden_or_waits_for_input_costs_nothing():
    hidden = Terms(0.1, 40_000_000, hidden_s=1)
    assert forecast_step(hidden, 64, ETHERNET).seconds == 0.1
    slow_input = Terms(0.1, 40_000_000, input_s=0.5)
    assert compose_step(slow_input, 2, 0.3, 0.0) == Step(0.1, 0.3, pytest.approx(0.1), 0, 0)
    assert compose_step(slow_input, 2, 0.5, 0.0).input_s == 0


@given(st.floats(0.01, 100), st.floats(1, 10_000))
def test_a_fit_finds_the_network_that_made_the_times(beta_gb_s, alpha_us):
    points = reduces(Network(beta_gb_s, alpha_us))
    found = fit_network(points)
    assert found.beta_gb_s == pytest.approx(beta_gb_s, rel=1e-4)
    assert found.alpha_us == pytest.approx(alpha_us, rel=1e-4)
    assert fit_error(found, points) < 1e-6


def test_a_fit_finds_the_network_through_noise():
    noise = np.random.default_rng(0).normal(1, 0.05, 3 * len(SIZES))
    points = reduces(Network(0.8, 400), (2, 3, 4), noise)
    found = fit_network(points)
    assert found.beta_gb_s == pytest.approx(0.8, rel=0.1)
    assert found.alpha_us == pytest.approx(400, rel=0.1)
    assert 0.01 < fit_error(found, points) < 0.1


@given(st.lists(st.floats(1e-4, 1), min_size=8, max_size=8))
def test_a_fit_is_never_negative_and_the_best_that_is_not(times):
    points = [
        ReducePoint(n, size, time_s)
        for (n, size), time_s in zip(((n, s) for n in (2, 4) for s in SIZES), times, strict=True)
    ]
    found = fit_network(points)
    units = [(Network(1, 0), Network(math.inf, 1)) for _ in points]
    columns = [
        [unit.ring_s(p.workers, p.bytes) / p.seconds for unit in pair]
        for p, pair in zip(points, units, strict=True)
    ]
    reference = LinearRegression(positive=True, fit_intercept=False)
    inverse, alpha_us = reference.fit(np.array(columns), np.ones(len(points))).coef_
    assert 1 / found.beta_gb_s == pytest.approx(inverse, rel=1e-3, abs=1e-9)
    assert found.alpha_us == pytest.approx(alpha_us, rel=1e-3, abs=1e-6)


def test_times_that_do_not_grow_with_the_bytes_tell_no_speed():
    found = fit_network([ReducePoint(2, size, 1e-3) for size in (1 << 10, 1 << 12)])
    assert found.alpha_us == pytest.approx(500, rel=0.01)
    found = fit_network([ReducePoint(2, 1 << 10, 2e-3), ReducePoint(2, 1 << 12, 1e-3)])
    assert math.isinf(found.beta_gb_s)


def test_a_single_all_reduce_tells_no_network():
    assert fit_network([]) is None
    assert fit_network([ReducePoint(2, 1024, 1e-3), ReducePoint(2, 1024, 2e-3)]) is None

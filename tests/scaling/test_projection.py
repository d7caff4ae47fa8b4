"""What follows from made-up readings whose truth is known."""

import dataclasses
import math

import pytest
from readings import CHIPS, CONFIG, TERMS, TRUTH, WAIT_S, WEIGHTS, make_readings

from lcseg.scaling.model import Network, Terms, forecast_step
from lcseg.scaling.pace import ReduceTime
from lcseg.scaling.projection import PUBLISHED, make_report


def truth_s(workers: int) -> float:
    return forecast_step(TERMS, workers, TRUTH).seconds + WAIT_S


def test_measured_speedups_are_those_of_crops_a_second_over_one_worker():
    report = make_report(CONFIG, make_readings())
    assert [row.workers for row in report.measured] == [1, 2, 4]
    for row in report.measured:
        assert row.step_s == pytest.approx(truth_s(row.workers))
        assert row.steps_per_s * row.step_s == pytest.approx(1)
        assert row.crops_per_s == pytest.approx(4 * row.workers / truth_s(row.workers))
        assert row.speedup == pytest.approx(row.workers * truth_s(1) / truth_s(row.workers))
        assert row.efficiency == pytest.approx(row.speedup / row.workers)
        assert row.kind == "measured"
    assert report.measured[0].speedup == 1


def test_the_model_makes_of_what_was_measured_what_was_measured():
    for row in make_report(CONFIG, make_readings()).measured:
        assert row.model_s == pytest.approx(row.step_s - WAIT_S, rel=1e-3)


def test_epoch_1_fills_the_cache_and_makes_the_graph():
    report = make_report(CONFIG, make_readings())
    for row, steps in zip(report.measured, (25, 13, 7), strict=True):
        assert row.epoch_s == pytest.approx(steps * row.step_s)
        assert row.first_epoch_s == pytest.approx(2 + 8 + (steps - 1) * row.step_s)


def test_terms_are_those_of_one_worker_and_the_sums_of_several():
    (own,) = make_report(CONFIG, make_readings()).projections
    assert own.terms.compute_s == pytest.approx(TERMS.compute_s)
    assert own.terms.spread_s == pytest.approx(TERMS.spread_s)
    rest = dataclasses.replace(own.terms, compute_s=TERMS.compute_s, spread_s=TERMS.spread_s)
    assert rest == TERMS


def test_a_projection_is_the_model_on_the_assumed_network():
    config = dataclasses.replace(CONFIG, project="8,200", beta_gb_s=2.8, alpha_us=30)
    report = make_report(config, make_readings())
    assert (report.network, report.network_name) == (Network(2.8, 30), "the stated network")
    (own,) = report.projections
    # Beside those that were asked for, those of the work of 2018.
    assert [row.workers for row in own.rows] == [8, 64, 128, 148, 200]
    for row in own.rows:
        step_s = forecast_step(own.terms, row.workers, Network(2.8, 30)).seconds
        assert row.step_s == row.step.seconds == step_s
        assert row.speedup == pytest.approx(row.workers * TERMS.compute_s / step_s)
        assert row.efficiency == pytest.approx(row.speedup / row.workers)
        assert row.crops_per_s == pytest.approx(4 * row.workers / step_s)
        assert row.kind == "projected"
    assert own.row_of(64) == own.rows[1]


def test_without_a_word_the_network_is_ten_gigabit_ethernet():
    report = make_report(CONFIG, make_readings())
    assert (report.network, report.network_name) == (Network(1.1, 50), "10 Gb Ethernet")


def test_a_stated_step_is_projected_beside_with_nothing_known_of_its_spread():
    report = make_report(dataclasses.replace(CONFIG, step_s=0.03), make_readings())
    own, stated = report.projections
    assert own == make_report(CONFIG, make_readings()).projections[0]
    assert stated.terms == Terms(0.03, 4 * WEIGHTS, TERMS.sums)
    expected_s = forecast_step(Terms(0.03, 4 * WEIGHTS, TERMS.sums), 64, report.network).seconds
    assert stated.row_of(64).speedup == pytest.approx(64 * 0.03 / expected_s)


def test_the_fit_finds_the_network_of_this_machine():
    fit = make_report(CONFIG, make_readings()).fit
    assert fit.beta_gb_s == pytest.approx(TRUTH.beta_gb_s, rel=1e-6)
    assert fit.alpha_us == pytest.approx(TRUTH.alpha_us, rel=1e-6)
    assert (fit.points, fit.sizes, fit.kind) == (6, (2, 4), "fitted")
    assert fit.error < 1e-6


def test_workers_that_share_cores_are_neither_fitted_nor_modelled():
    report = make_report(CONFIG, make_readings(cores=2))
    assert [row.is_crowded for row in report.measured] == [False, False, True]
    assert [row.model_s is None for row in report.measured] == [False, False, True]
    assert report.fit.sizes == (2,)
    assert make_report(CONFIG, make_readings(cores=1)).fit is None


def test_a_network_too_fast_to_tell_has_no_speed():
    slow_first = (ReduceTime(1 << 10, 2e-3), ReduceTime(1 << 24, 1e-3))
    readings = make_readings(sizes=(1, 2), probes=slow_first, gradients=ReduceTime(8, 2e-3))
    fit = make_report(CONFIG, readings).fit
    assert fit.beta_gb_s is None
    assert math.isinf(fit.network.beta_gb_s)


def test_the_base_is_named():
    base = make_report(CONFIG, make_readings(cores=8, devices=2)).base
    assert (base.device, base.devices, base.cores, base.cache) == ("CPU", 2, 2, "memory")
    assert (base.device_batch, base.batch, base.crop_px) == (4, 8, 64)
    assert (base.weights, base.chips) == (WEIGHTS, CHIPS)


def test_what_was_published_is_that_of_the_notes():
    # notes/peers.md 5.1: speed-up and efficiency in percent, by GPUs.
    notes = {1: (1, 100), 2: (1.5, 75), 8: (4.4, 55), 64: (26.3, 41), 128: (39.2, 31)}
    rows = {row.gpus: row for row in make_report(CONFIG, make_readings()).published}
    assert list(rows) == [1, 2, 4, 8, 16, 32, 64, 96, 128, 148] == list(PUBLISHED)
    for gpus, (speedup, percent) in (notes | {148: (36.2, 24)}).items():
        assert rows[gpus].speedup == speedup
        assert 100 * rows[gpus].efficiency == pytest.approx(percent, abs=0.6)
        assert rows[gpus].kind == "published"

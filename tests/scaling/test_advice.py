"""What a reader of a scaling report is told to mind."""

import dataclasses

import pytest
from readings import CONFIG, make_readings

from lcseg.scaling.advice import advise, format_ms
from lcseg.scaling.projection import make_report

STATED = dataclasses.replace(CONFIG, step_s=0.03, alpha_us=300)


def advice(config=STATED, **readings) -> str:
    return "\n".join(advise(make_report(config, make_readings(**readings))))


def test_a_quiet_machine_with_cores_for_all_and_a_known_network_needs_no_word():
    assert advice(sums=0) == ""


def test_shared_cores_are_told():
    text = advice(cores=2)
    assert text.startswith("4 workers shared 2 cores: the compute time itself grew")
    assert "2 workers shared" not in text


@pytest.mark.parametrize(("load", "is_told"), [(0.9, False), (1.1, True)])
def test_a_busy_machine_is_told(load, is_told):
    assert (f"Other programs wanted {load} of the 4 cores" in advice(load=load)) == is_told


def test_a_model_that_misses_what_was_measured_is_told():
    text = advice(sums=0, probes=(), gradients=None)
    assert "With 4 workers a step took 1" in text
    assert "it misses something here" in text
    assert "With 1 worker" not in text


def test_a_wide_spread_is_told():
    text = advice(single_s=(0.05, 0.15))
    assert "Waiting for the slowest makes 32 % of the projected step of 148 workers" in text
    assert "differ here by 70.7 ms (standard deviation), 71 % of a step" in text


def test_small_sums_that_take_long_are_told_for_each_projection():
    text = advice()
    # 3 times 294 hops of 300 us, 264.6 ms; beside 100, 102.7 and 15.8 ms, or 30 and 102.7 ms.
    says = "The 3 small sums make {} % of the projected step of 148 workers from {}"
    assert says.format(55, "the step of this machine") in text
    assert says.format(67, "the stated step") in text


def test_a_fit_to_one_number_of_workers_and_none_are_told():
    assert "all-reduces among 2 workers alone" in advice(sizes=(1, 2))
    assert "alone" not in advice()
    assert "the network of this machine is not known" in advice(cores=1)


def test_a_latency_far_above_the_assumed_one_is_told_with_what_it_would_cost():
    text = advice(dataclasses.replace(STATED, alpha_us=50.0))
    assert "An all-reduce has a latency of 300 µs here" in text
    # 0.1 s alone; with 148 workers 14.4 and 44.1 ms or 102.7 and 264.6 ms, and 15.8 ms.
    assert "with that of this machine, 148 workers reach 21 % instead of 53 %" in text


def test_a_cpu_is_told_to_hide_the_network_unless_another_step_is_stated():
    says = "A step takes 100 ms on this CPU"
    assert says in advice(dataclasses.replace(STATED, step_s=0.0))
    assert says not in advice()
    assert says not in advice(dataclasses.replace(STATED, step_s=0.0), device="A GPU")


def test_chips_without_a_cache_are_told():
    assert "The chips are read in every epoch" in advice(cache="none")


def test_milliseconds_have_three_digits():
    assert [format_ms(s) for s in (0, 0.00012345, 0.0123456, 0.1, 12.3456)] == [
        *("0", "0.123", "12.3", "100", "12,346"),
    ]

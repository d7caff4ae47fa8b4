"""What is asked of a measurement of scaling, the cores of its workers, and how they may fail."""

import os
import signal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from readings import CONFIG, make_pace

from lcseg.documents import write_document
from lcseg.errors import InterruptedRunError, LcsegError
from lcseg.pipeline.config import InputConfig
from lcseg.scaling import measurement
from lcseg.scaling.config import ScalingConfig
from lcseg.scaling.measurement import Seats, measure_scaling
from lcseg.training.workers import Ending, share_cores


def test_each_worker_takes_the_batch_of_one():
    config = ScalingConfig("data", "1,2,4", "out", input=InputConfig(batch=8, crop_px=64))
    assert (config.sizes, config.projected_sizes) == ((1, 2, 4), (8, 16, 64, 148))
    for workers in config.sizes:
        train = config.train_with(workers, "run")
        assert (train.data, train.run) == ("data", "run")
        assert train.input == InputConfig(batch=8 * workers, crop_px=64)


@pytest.mark.parametrize("text", ["", "1", "2,4", "0,1", "1,1", "1,4,2", "1,two", "1,-2", "1,2.5"])
def test_numbers_of_workers_rise_from_one(text):
    with pytest.raises(ValueError, match=rf"^--workers={text}, expected"):
        ScalingConfig("data", text, "out")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"project": "8,4"}, "--project=8,4, expected rising whole numbers from 1, as 1,2,4"),
        ({"project": ""}, "--project=, expected rising"),
        ({"steps": 1}, "--steps=1, expected at least 2"),
        ({"beta_gb_s": 0.0}, "--beta_gb_s must be above 0"),
        ({"alpha_us": -1.0}, "--alpha_us"),
        ({"step_s": -1.0}, "--step_s"),
        ({"accumulate": 0}, "--accumulate"),
        ({"input": InputConfig(crop_px=40)}, "--crop_px=40 is not a multiple of 16"),
    ],
)
def test_what_cannot_be_measured_is_refused(changes, message):
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        ScalingConfig("data", "1,2", "out", **changes)


@given(
    st.sets(st.integers(0, 200), min_size=1, max_size=32).map(sorted).map(tuple),
    st.sets(st.integers(2, 40), max_size=4).map(lambda more: (1, *sorted(more))),
)
def test_each_worker_has_as_many_cores_whatever_the_size(cores, sizes):
    seats = Seats(cores, sizes[-1])
    for workers in sizes:
        taken = seats.take(workers)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "sched_getaffinity", lambda pid, taken=taken: set(taken))
            shares = [share_cores(index, workers) for index in range(workers)]
        if seats.is_crowded(workers):
            assert all(share == set(cores) for share in shares)
        else:
            assert {len(share) for share in shares} == {seats.cores_each}
            assert sum(map(len, shares)) == len(set().union(*shares)) == len(taken)


@pytest.fixture
def config(tmp_path, dataset):
    out = tmp_path / "made" / "out"
    return ScalingConfig(str(dataset), "1,2", str(out), input=InputConfig(batch=5))


@pytest.fixture
def start(monkeypatch):
    """Calls of run_workers, which here starts nothing; what each does is what the test says."""

    def install(act):
        def run(command, environments, stop):
            flags = dict(part[2:].partition("=")[::2] for part in command if part[:2] == "--")
            return act(flags, environments)

        monkeypatch.setattr(measurement, "run_workers", run)

    return install


def write_paces(flags, environments):
    for index in range(len(environments)):
        write_document(Path(flags["run"]) / f"worker-{index}.json", make_pace(len(environments)))
    return [Ending(index, 0, False) for index in range(len(environments))]


def test_each_size_trains_on_its_cores_and_leaves_nothing(config, start):
    seen, allowed = [], []

    def act(flags, environments):
        seen.append((len(environments), flags["batch"], flags["steps"]))
        allowed.append(os.sched_getaffinity(0))
        assert Path(flags["run"]).parents[1] == Path(config.out).parent
        return write_paces(flags, environments)

    start(act)
    before = os.sched_getaffinity(0)
    readings = measure_scaling(config)
    assert os.sched_getaffinity(0) == before
    assert readings.paces == {n: [make_pace(n)] * n for n in (1, 2)}
    assert readings.chips > 0
    seats = readings.seats
    assert seen == [(1, "5", "60"), (2, "10", "60")]
    assert allowed == [set(seats.take(1)), set(seats.take(2))]
    assert list(Path(config.out).parent.iterdir()) == []


@pytest.mark.parametrize(("code", "exit_code"), [(2, 2), (-9, 138), (138, 138)])
def test_a_worker_that_fails_ends_the_measurement(config, start, code, exit_code):
    start(lambda flags, environments: [Ending(0, code, False)])
    with pytest.raises(LcsegError, match=r"^worker 0: ") as caught:
        measure_scaling(config)
    assert caught.value.exit_code == exit_code
    assert list(Path(config.out).parent.iterdir()) == []


def test_a_signal_ends_the_measurement_and_nothing_is_left(config, start):
    def act(flags, environments):
        os.kill(os.getpid(), signal.SIGTERM)
        return write_paces(flags, environments)

    start(act)
    with pytest.raises(InterruptedRunError, match=r"^SIGTERM: the workers have ended") as caught:
        measure_scaling(config)
    assert caught.value.exit_code == 128 + signal.SIGTERM
    assert list(Path(config.out).parent.iterdir()) == []


def test_more_workers_than_cores_are_warned_of(config, start, caplog, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0})
    monkeypatch.setattr(os, "sched_setaffinity", lambda pid, cores: None)
    start(write_paces)
    assert measure_scaling(config).seats == Seats((0,), 2)
    assert "2 workers share the cores, of which there are 1" in caplog.text


def test_defaults_are_those_of_a_network_that_is_named():
    assert (CONFIG.beta_gb_s, CONFIG.alpha_us) == (1.1, 50)

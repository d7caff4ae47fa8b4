"""`lcseg train` as a process: what it prints, and that no signal changes its weights."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from runs import rows_of, saved_number, step_of, weights_of

EPOCHS, EPOCH_STEPS = 3, 8


def command(dataset: Path, run: Path) -> list[str]:
    """A run of 24 steps that looks up after each, and saves every third."""
    flags = {
        "data": dataset,
        "run": run,
        "depth": 1,
        "width": 2,
        "crop_px": 32,
        "batch": 2,
        "epochs": EPOCHS,
        "steps_per_epoch": EPOCH_STEPS,
        "steps_per_call": 1,
        "checkpoint_steps": 3,
        "quiet": "true",
    }
    program = str(Path(sys.executable).with_name("lcseg"))
    return [program, "train", *(f"--{name}={value}" for name, value in flags.items())]


def start(arguments: list[str]) -> subprocess.Popen:
    return subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ}
    )


def wait_until(process: subprocess.Popen, is_true) -> None:
    """Wait for something that a run leaves on disk; fail if the run ends before."""
    deadline_s = time.monotonic() + 60
    while not is_true():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline_s
        time.sleep(0.005)


def has_checkpoint(run: Path, number: int) -> bool:
    """Whether the run has saved so often: after steps 3, 6, 8 (an epoch), 9, 12, 15, 16, …"""
    return saved_number(run) >= number


@pytest.fixture(scope="module")
def undisturbed(dataset, tmp_path_factory):
    """A run from start to end, and what it printed."""
    run = tmp_path_factory.mktemp("undisturbed") / "run"
    process = start(command(dataset, run))
    out, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return run, out


@pytest.mark.slow
def test_train_says_what_it_did_and_where_the_bundle_is(undisturbed):
    run, out = undisturbed
    assert out.startswith("24 steps, ")
    assert f"bundle: {run}/bundle\n" in out
    assert f"tensorboard --logdir={run}/tensorboard" in out


@pytest.mark.slow
def test_run_that_was_killed_again_and_again_ends_with_the_same_weights(
    undisturbed, dataset, tmp_path
):
    run, chance = tmp_path / "run", random.Random(3)
    # After a checkpoint in the middle, between an epoch's history and its checkpoint, and later.
    moments = [
        lambda: has_checkpoint(run, 1),
        (run / "history.json").exists,
        lambda: has_checkpoint(run, 6),
    ]
    for moment in moments:
        process = start(command(dataset, run))
        wait_until(process, moment)
        time.sleep(chance.uniform(0, 0.03))
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    process = start(command(dataset, run))
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert ", from step 0" not in errors
    assert weights_of(run) == weights_of(undisturbed[0])
    assert rows_of(run) == rows_of(undisturbed[0])


@pytest.mark.slow
def test_run_that_was_asked_to_stop_saves_says_how_to_go_on_and_ends_with_the_same_weights(
    undisturbed, dataset, tmp_path
):
    run = tmp_path / "run"
    for number, exit_code, saves in ((signal.SIGTERM, 143, 1), (signal.SIGINT, 130, 5)):
        process = start(command(dataset, run))
        wait_until(process, lambda saves=saves: has_checkpoint(run, saves))
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == exit_code, errors
        last = errors.splitlines()[-1]
        assert last.startswith(f"lcseg: {run}: stopped and saved at step ")
        assert last.endswith(" of 24; the same command again goes on from there")
        assert "Traceback" not in errors
        saved = int(last.split("at step ")[1].split(" of ")[0])
        assert step_of(run, saved_number(run)) == saved
    process = start(command(dataset, run))
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert f", from step {saved}" in errors
    assert weights_of(run) == weights_of(undisturbed[0])
    assert rows_of(run) == rows_of(undisturbed[0])


@pytest.mark.slow
def test_compiled_run_learns_about_the_same(undisturbed, dataset, tmp_path):
    process = start([*command(dataset, tmp_path / "run"), "--jit"])
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    losses = [row["loss"] for row in rows_of(tmp_path / "run")]
    assert losses == pytest.approx([row["loss"] for row in rows_of(undisturbed[0])], rel=1e-2)


@pytest.mark.slow
def test_faulty_command_is_one_line_and_status_2(lcseg, dataset, tmp_path):
    run = f"--run={tmp_path / 'run'}"
    done = lcseg("train", f"--data={dataset}", run, "--crop_px=20", "--quiet")
    assert done.returncode == 2
    assert done.stderr == (
        "lcseg: flags: --crop_px=20 is not a multiple of 16, as --depth=4 needs\n"
    )
    done = lcseg("train", f"--data={tmp_path}", run, "--quiet")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(f"lcseg: {tmp_path}: is not a data set")
    assert not (tmp_path / "run").exists()
    done = lcseg("train", f"--data={dataset}", run, "--batch=3", "--accumulate=2", "--quiet")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        "lcseg: --batch=3: is not a multiple of the 1 device x --accumulate=2"
    )
    assert not (tmp_path / "run").exists()

"""Workers as processes: how they are told who they are, end together and are restarted."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from lcseg.errors import LcsegError
from lcseg.training.launcher import LaunchConfig, describe_workers, launch, share_gpus

LAUNCHER = """
import os, sys
from lcseg import cli
from lcseg.training import workers
from lcseg.training.launcher import LaunchConfig, launch

workers.LINGER_S, workers.GRACE_S = float(sys.argv.pop(1)), float(sys.argv.pop(1))
program = [sys.executable, "-c", sys.argv.pop(1)]

def main(config):
    try:
        print(launch(config, program), "restarts")
    finally:
        try:
            print("a child is left:", os.waitpid(-1, os.WNOHANG))
        except ChildProcessError:
            pass

cli.run(cli.ConfigFlags(LaunchConfig, command="command"), main)
"""

WORKER = """
import json, os, signal, sys, time
from pathlib import Path

index = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
starts = len(list(Path().glob(f"start_{index}_*"))) + 1
Path(f"start_{index}_{starts}").write_text(f"{os.getpid()} {os.environ['TF_CONFIG']}")

def say(text):
    print(text, flush=True)

def wait_for(name):
    while not Path(name).exists():
        time.sleep(0.005)
"""


@pytest.fixture
def start(tmp_path):
    """A function that starts the launcher of workers that run a script, in the test's folder."""
    started = []

    def start(
        script: str, *flags: str, linger_s: float = 30, grace_s: float = 30
    ) -> subprocess.Popen:
        process = subprocess.Popen(
            [
                *(sys.executable, "-c", LAUNCHER, str(linger_s), str(grace_s), WORKER + script),
                *("--workers=2", *flags, "--", "train"),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
    assert not [pid for pid in pids(tmp_path) if is_alive(pid)]


def finish(process: subprocess.Popen, exit_code: int) -> tuple[list[str], list[str]]:
    """Wait for the launcher; returns the lines of its stdout and stderr."""
    out, errors = process.communicate(timeout=60)
    assert process.returncode == exit_code, errors
    assert "a child is left" not in out
    return out.splitlines(), errors.splitlines()


def read_lines(process: subprocess.Popen, *lines: str) -> None:
    """Read from the launcher's stdout until these lines have come, in any order."""
    missing = set(lines)
    while missing:
        line = process.stdout.readline()
        assert line, process.communicate()
        missing.discard(line.rstrip("\n"))


def pids(folder: Path) -> list[int]:
    """The process numbers of all workers that were ever started."""
    return [int(path.read_text().split()[0]) for path in folder.glob("start_*")]


def is_alive(pid: int) -> bool:
    """Whether a process runs or is stopped; one that only waits to be noticed does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def n_starts(folder: Path) -> Counter[str]:
    """How often each worker was started."""
    return Counter(path.name.split("_")[1] for path in folder.glob("start_*"))


def test_each_worker_is_told_which_one_it_is_and_its_lines_say_so(start):
    out, errors = finish(
        start("say(os.environ['TF_CONFIG']); say(sys.argv[1]); print('!', file=sys.stderr)"), 0
    )
    assert out.pop() == "0 restarts"
    assert Counter(out)["[0] train"] == Counter(out)["[1] train"] == 1
    told = {line[:4]: json.loads(line[4:]) for line in out if "{" in line}
    assert [told[f"[{i}] "]["task"] for i in range(2)] == [
        {"type": "worker", "index": 0},
        {"type": "worker", "index": 1},
    ]
    clusters = [config["cluster"] for config in told.values()]
    assert clusters[0] == clusters[1]
    assert len(set(clusters[0]["worker"])) == 2
    assert all(address.startswith("127.0.0.1:") for address in clusters[0]["worker"])
    assert errors[0] == f"workers at {', '.join(clusters[0]['worker'])}"
    assert sorted(errors[1:]) == ["[0] !", "[1] !"]


def test_worker_does_not_inherit_another_cluster(monkeypatch):
    for name in ("TF_CONFIG", "SLURM_STEP_NODELIST", "LCSEG_HOSTS", "LCSEG_INDEX", "KEPT"):
        monkeypatch.setenv(name, "ours")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    first, second = describe_workers([None, "3,4"])
    assert (first["CUDA_VISIBLE_DEVICES"], second["CUDA_VISIBLE_DEVICES"]) == ("7", "3,4")
    for environment in (first, second):
        assert environment["KEPT"] == "ours"
        assert json.loads(environment["TF_CONFIG"])["task"]["type"] == "worker"
        assert not {"SLURM_STEP_NODELIST", "LCSEG_HOSTS", "LCSEG_INDEX"} & set(environment)


def test_worker_that_ends_well_early_does_not_hurry_the_others(start):
    script = """
if index == 0:
    say("early")
else:
    time.sleep(0.4)
    say("late")
"""
    out, _ = finish(start(script, linger_s=0), 0)
    assert out == ["[0] early", "[1] late", "0 restarts"]


@pytest.mark.parametrize("code", [1, 2])
def test_fault_that_would_come_again_ends_all_with_its_status(start, tmp_path, code):
    script = f"""
if index == 0:
    signal.pause()
wait_for("start_0_1")
sys.exit({code})
"""
    _, errors = finish(start(script, linger_s=0), code)
    assert errors[-1] == f"lcseg: worker 1: ended with status {code}; what it printed says why"
    assert n_starts(tmp_path) == {"0": 1, "1": 1}


def test_all_are_started_again_at_other_ports_when_one_dies(start, tmp_path):
    script = """
if starts == 1:
    if index == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    sys.exit(138)
"""
    out, errors = finish(start(script), 0)
    assert out == ["1 restarts"]
    first, cause, second = errors
    assert cause == (
        "worker 1 was killed by signal 9 (Killed): restart 1 of at most 3, "
        "from the newest checkpoint"
    )
    assert first.startswith("workers at 127.0.0.1:")
    assert second.startswith("workers at 127.0.0.1:")
    assert first != second
    assert n_starts(tmp_path) == {"0": 2, "1": 2}


def test_worker_that_stands_still_is_killed_and_all_are_started_again(start, tmp_path):
    script = """
if starts == 1:
    if index == 1:
        os.kill(os.getpid(), signal.SIGSTOP)
    wait_for("start_1_1")
    sys.exit(138)
"""
    out, errors = finish(start(script, linger_s=0.2), 0)
    assert out == ["1 restarts"]
    assert errors[1].startswith("worker 1 did not end and was killed: restart 1 of at most 3, ")
    assert n_starts(tmp_path) == {"0": 2, "1": 2}


def test_restarts_come_to_an_end(start, tmp_path):
    script = "os.kill(os.getpid(), signal.SIGSEGV) if index == 1 else sys.exit(138)"
    _, errors = finish(start(script, "--max_restarts=2"), 138)
    assert errors[-1] == (
        "lcseg: worker 1: was killed by signal 11 (Segmentation fault), and no restart is left "
        "of --max_restarts=2; the same command again goes on from the newest checkpoint"
    )
    assert n_starts(tmp_path) == {"0": 3, "1": 3}


SAVING = """
names = []
signal.signal(signal.SIGINT, lambda *_: names.append("SIGINT"))
signal.signal(signal.SIGTERM, lambda *_: names.append("SIGTERM"))
say("ready")
while not names:
    time.sleep(0.005)
time.sleep(0.5 * index)
say(" ".join(names))
sys.exit(143)
"""


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signal_reaches_each_worker_once_and_all_may_save(start, tmp_path, number, exit_code):
    process = start(SAVING, linger_s=0)
    read_lines(process, "[0] ready", "[1] ready")
    # As a terminal does: to all processes of its foreground.
    os.killpg(process.pid, number)
    out, errors = finish(process, exit_code)
    assert out == ["[0] SIGTERM", "[1] SIGTERM"]
    assert errors[-1] == (
        f"lcseg: {number.name}: the workers have ended; "
        "the same command again goes on from the newest checkpoint"
    )
    assert n_starts(tmp_path) == {"0": 1, "1": 1}


STUBBORN = """
signal.signal(signal.SIGTERM, lambda *_: say("not yet"))
say("ready")
while True:
    signal.pause()
"""


def test_second_signal_ends_all_at_once(start, tmp_path):
    process = start(STUBBORN)
    read_lines(process, "[0] ready", "[1] ready")
    process.terminate()
    read_lines(process, "[0] not yet", "[1] not yet")
    process.terminate()
    finish(process, 143)
    assert not any(is_alive(pid) for pid in pids(tmp_path))


def test_workers_that_do_not_end_after_a_signal_are_killed(start, tmp_path):
    process = start(STUBBORN, grace_s=0.2)
    read_lines(process, "[0] ready", "[1] ready")
    process.terminate()
    _, errors = finish(process, 143)
    assert errors[-1].startswith("lcseg: SIGTERM: the workers have ended; ")
    assert not any(is_alive(pid) for pid in pids(tmp_path))


def test_workers_do_not_outlive_a_launcher_that_is_killed(start, tmp_path):
    process = start(STUBBORN)
    read_lines(process, "[0] ready", "[1] ready")
    assert all(is_alive(pid) for pid in pids(tmp_path))
    process.kill()
    process.wait()
    deadline_s = time.monotonic() + 10
    while any(is_alive(pid) for pid in pids(tmp_path)):
        assert time.monotonic() < deadline_s
        time.sleep(0.005)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"command": ("predict", "a.tif")}, "-- predict: only train can be launched"),
        ({"command": ()}, "-- : only train can be launched"),
        ({"workers": 0}, "--workers=0, expected at least 1"),
        ({"max_restarts": -1}, "--gpus_per_worker and --max_restarts must be at least 0"),
        ({"gpus_per_worker": -1}, "--gpus_per_worker and --max_restarts must be at least 0"),
    ],
)
def test_configuration_that_makes_no_sense_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        LaunchConfig(**{"command": ("train",), "workers": 1} | arguments)


def test_gpus_that_are_visible_are_dealt_in_their_order(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5, GPU-8f3a,2,3,1")
    assert share_gpus(2, 2) == ["5,GPU-8f3a", "2,3"]
    assert share_gpus(1, 1) == ["5"]
    assert share_gpus(1, 0) == [None]


@pytest.mark.parametrize("named", ["", "-1"])
def test_workers_without_gpus_are_left_as_they_are(monkeypatch, named):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    assert share_gpus(3, 0) == [None, None, None]


def test_gpus_are_counted_where_none_are_named(monkeypatch, tmp_path):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert share_gpus(2, 0) == [None, None]
    program = tmp_path / "nvidia-smi"
    lines = "GPU 0: NVIDIA H100\n  MIG 1g.10gb Device 0: (UUID: MIG-1)\nGPU 1: NVIDIA H100"
    program.write_text(f"#!/bin/sh\necho '{lines}'\n")
    program.chmod(0o755)
    assert share_gpus(2, 1) == ["0", "1"]


def test_gpus_are_neither_shared_nor_made_up(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2")
    with pytest.raises(LcsegError) as shared:
        share_gpus(2, 0)
    assert str(shared.value) == (
        "--workers=2: would share 3 GPUs, of which each takes all memory; give each its own with "
        "--gpus_per_worker, or none with CUDA_VISIBLE_DEVICES="
    )
    with pytest.raises(LcsegError) as missing:
        launch(LaunchConfig(("train",), workers=2, gpus_per_worker=2), [sys.executable])
    assert str(missing.value) == (
        "--gpus_per_worker=2: 2 workers need 4 GPUs, found 3; use fewer; if there are more, name "
        "them in CUDA_VISIBLE_DEVICES"
    )

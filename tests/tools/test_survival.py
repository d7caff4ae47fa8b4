"""Workers of `lcseg train` and `lcseg launch` that are killed, frozen, cut off or told to stop.

After each fault all of them are gone within GONE_S, each with one line that says why, and what is
started after it ends with the weights of a run that nothing has disturbed.
"""

import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from processes import free_addresses
from runs import checkpoint_of, rows_of, saved_number, step_of, weights_of

from lcseg.files import SCRATCH
from lcseg.training.cluster import Cluster, split_address
from lcseg.training.probe import await_peers

pytestmark = pytest.mark.slow

GONE_S = 30.0
START_S = 240.0
"""Two workers take 15 s of two cores to start, and several times as long on a busy machine."""
BUSY_S = 15.0
"""TensorFlow takes a worker for dead after 10 s without a sign of life."""

STEPS = 48
LCSEG = str(Path(sys.executable).with_name("lcseg"))
BROKEN, SILENT = "its connection broke", "it no longer shows signs of life"
GO_ON = "start all workers again; they go on from the newest checkpoint"
CHATTER = re.compile(r"Traceback|tensorflow|WARNING:|^[IWEF]\d{4}", re.MULTILINE)

BUSY_CHIEF = f"""
import time
from lcseg.training.checkpoint import CheckpointKeeper

save = CheckpointKeeper.save

def save_slowly(keeper):
    CheckpointKeeper.save = save
    end_s = time.monotonic() + {BUSY_S}
    while time.monotonic() < end_s:
        pass
    print("was busy")
    save(keeper)

CheckpointKeeper.save = save_slowly
"""
TAKEN_PORT = """
import socket
from lcseg.training import team
from lcseg.training.cluster import split_address

await_peers = team.await_peers

def await_peers_and_lose_port(cluster, *arguments):
    global taken
    await_peers(cluster, *arguments)
    taken = socket.create_server(split_address(cluster.address))

team.await_peers = await_peers_and_lose_port
"""


@dataclass(frozen=True)
class Program:
    """A worker or a launcher that was started."""

    process: subprocess.Popen[bytes]
    path: Path  # File of all that it prints.
    name: str  # Of a worker, as its peers tell of it.

    @property
    def printed(self) -> str:
        return self.path.read_text()

    @property
    def last_line(self) -> str:
        return self.printed.splitlines()[-1]

    @property
    def has_ended(self) -> bool:
        return self.process.poll() is not None

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)
        wait_until(lambda: state_of(self.process.pid) in "TZX", 5)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)


@contextmanager
def starting(folder: Path) -> Iterator[Callable[..., Program]]:
    """Yield a function that starts a program, as a worker if it has a cluster.

    All of them are killed in the end.
    """
    programs: list[Program] = []

    def start(command: list[str], cluster: Cluster | None = None) -> Program:
        path = folder / f"printed-{len(programs)}"
        environment = {**os.environ, "TF_CONFIG": cluster.tf_config() if cluster else ""}
        with path.open("wb") as file:
            process = subprocess.Popen(command, stdout=file, stderr=file, env=environment)
        name = cluster.name_of(cluster.index) if cluster else "launcher"
        programs.append(Program(process, path, name))
        return programs[-1]

    try:
        yield start
    finally:
        for program in programs:
            program.process.kill()
            program.process.wait()


@pytest.fixture
def start(tmp_path):
    with starting(tmp_path) as start:
        yield start


@pytest.fixture(scope="module")
def undisturbed(dataset, tmp_path_factory):
    """What a run of two workers leaves that nothing disturbs."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with starting(folder) as start:
        finish(*start_both(start, flags_of(dataset, folder / "run")))
    return result_of(folder / "run")


def flags_of(dataset: Path, run: Path, **more: object) -> list[str]:
    """A run of 6 epochs of 8 steps that looks up after each step, and saves every third."""
    flags = {
        "data": dataset,
        "run": run,
        "depth": 1,
        "width": 2,
        "crop_px": 32,
        "batch": 2,
        "epochs": 6,
        "steps_per_epoch": 8,
        "steps_per_call": 1,
        "checkpoint_steps": 3,
        "quiet": "true",
        **more,
    }
    return ["train", *(f"--{name}={value}" for name, value in flags.items())]


def after(code: str) -> list[str]:
    """`lcseg`, in a process that has run some code before, to have a fault happen inside it."""
    begin = "from lcseg.runtime import start_tensorflow; start_tensorflow()"
    end = "from lcseg.cli import main; main()"
    return [sys.executable, "-P", "-c", f"{begin}\n{code}\n{end}"]


def start_both(
    start: Callable[..., Program], flags: list[str], before_chief: str = ""
) -> list[Program]:
    addresses = free_addresses(2)
    programs = [after(before_chief) if before_chief else [LCSEG], [LCSEG]]
    return [
        start([*program, *flags], Cluster(addresses, index, "TF_CONFIG"))
        for index, program in enumerate(programs)
    ]


def result_of(run: Path) -> tuple[object, object]:
    return weights_of(run), rows_of(run)


def tell(*programs: Program) -> str:
    """How programs have ended and what they have printed, for a test that fails."""
    return "\n".join(f"{one.name} {one.process.returncode}:\n{one.printed}" for one in programs)


def wait_until(is_true: Callable[[], object], within_s: float) -> None:
    deadline_s = time.monotonic() + within_s
    while not is_true():
        assert time.monotonic() < deadline_s
        time.sleep(0.002)


def wait_for_save(run: Path, *programs: Program) -> None:
    """Wait until a checkpoint is there that was not there before; no program may end."""
    before = saved_number(run)

    def has_saved() -> bool:
        assert not any(program.has_ended for program in programs), tell(*programs)
        return saved_number(run) > before

    wait_until(has_saved, START_S)


def expect_ends(codes: dict[Program, int], within_s: float = GONE_S) -> None:
    """Wait until programs are gone, which must be soon, and with these exit codes."""
    deadline_s = time.monotonic() + within_s
    for program in codes:
        with suppress(subprocess.TimeoutExpired):
            program.process.wait(max(0.0, deadline_s - time.monotonic()))
    assert [one.process.returncode for one in codes] == list(codes.values()), tell(*codes)


def finish(*programs: Program) -> None:
    expect_ends(dict.fromkeys(programs, 0), START_S)
    assert not any(CHATTER.search(program.printed) for program in programs), tell(*programs)


def expect_fault(program: Program, *lines: str) -> None:
    """One of these is the last line that it has printed, and the only one of a fault."""
    assert program.last_line in [f"lcseg: {line}" for line in lines], tell(program)
    assert program.printed.count("lcseg: ") == 1, tell(program)
    assert not CHATTER.search(program.printed), tell(program)


def expect_lost(survivor: Program, lost: Program, *signs: str) -> None:
    """It has named the other one, and how it noticed."""
    expect_fault(survivor, *(f"{lost.name}: is lost: {sign}; {GO_ON}" for sign in signs))


def state_of(pid: int) -> str:
    """How a process is: T if it is stopped, Z if it is dead, X if nothing is left of it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "X"


def wait_for_workers(launcher: Program) -> list[int]:
    """The processes of a launcher's two workers, in their order."""
    pid = launcher.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children")
    wait_until(lambda: len(children.read_text().split()) == 2, START_S)
    return [int(child) for child in children.read_text().split()]


def parts_of(run: Path) -> list[Path]:
    """What is written of a checkpoint that is not yet whole."""
    return list((run / "checkpoints").glob(SCRATCH))


def freeze_in_mid_save(chief: Program, run: Path) -> None:
    """Freeze the chief while it writes a checkpoint; if that was missed, the next one."""
    while not parts_of(run):
        wait_until(lambda: chief.has_ended or parts_of(run), START_S)
        assert not chief.has_ended, tell(chief)
        chief.freeze()
        if not parts_of(run):
            chief.thaw()


def kill_worker(run: Path, chief: Program, worker: Program) -> None:
    worker.process.kill()
    expect_ends({chief: 138, worker: -9})
    expect_lost(chief, worker, BROKEN, SILENT)


def kill_chief_in_mid_save(run: Path, chief: Program, worker: Program) -> None:
    freeze_in_mid_save(chief, run)
    chief.process.kill()
    expect_ends({chief: -9, worker: 138})
    expect_lost(worker, chief, BROKEN, SILENT)
    assert parts_of(run)


def freeze_worker(run: Path, chief: Program, worker: Program) -> None:
    worker.freeze()
    expect_ends({chief: 138})
    expect_lost(chief, worker, SILENT)
    # It finds out what has happened meanwhile.
    worker.thaw()
    expect_ends({worker: 138})
    expect_lost(worker, chief, BROKEN, SILENT)


def freeze_chief(run: Path, chief: Program, worker: Program) -> None:
    freeze_worker(run, worker, chief)


def preempt_worker(run: Path, chief: Program, worker: Program) -> None:
    worker.process.terminate()
    expect_ends({chief: 143, worker: 143})
    how = f"stopped and saved at step {step_of(run, saved_number(run))} of {STEPS}"
    for one in (chief, worker):
        expect_fault(one, f"{run}: {how}; the same command again goes on from there")


def test_workers_that_go_on_after_every_fault_end_with_the_same_weights(
    start, undisturbed, dataset, tmp_path
):
    run, chance = tmp_path / "run", random.Random(5)
    for fault in (kill_worker, freeze_worker, preempt_worker, freeze_chief):
        workers = start_both(start, flags_of(dataset, run))
        wait_for_save(run, *workers)
        time.sleep(chance.uniform(0, 0.1))
        fault(run, *workers)
    workers = start_both(start, flags_of(dataset, run, checkpoint_steps=1))
    wait_for_save(run, *workers)
    kill_chief_in_mid_save(run, *workers)

    newest = checkpoint_of(run, saved_number(run))
    data = newest.with_name(f"{newest.name}.data-00000-of-00001")
    os.truncate(data, data.stat().st_size // 2)
    step = step_of(run, saved_number(run) - 1)
    chief, worker = start_both(start, flags_of(dataset, run), BUSY_CHIEF)
    finish(chief, worker)
    for one in (chief, worker):
        assert f"{newest} cannot be read, trying the one before: " in one.printed
    assert f", from step {step}\n" in chief.printed
    assert "was busy\n" in chief.printed
    assert not parts_of(run)
    assert result_of(run) == undisturbed


def test_full_disk_ends_all_workers_and_with_room_they_end_with_the_same_weights(
    start, undisturbed, dataset, tmp_path
):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4M", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system is not permitted")
    run, filling = disk / "run", disk / "filling"
    try:
        chief, worker = start_both(start, flags_of(dataset, run))
        wait_for_save(run, chief, worker)
        with filling.open("wb", buffering=0) as file:
            # What becomes free when an old checkpoint is removed is taken, too.
            while not chief.has_ended:
                with suppress(OSError):
                    file.write(bytes(4096))
        expect_ends({chief: 2, worker: 2})
        assert chief.last_line.startswith(f"lcseg: {run}")
        assert chief.last_line.endswith(": No space left on device")
        expect_fault(chief, chief.last_line.removeprefix("lcseg: "))
        expect_fault(worker, f"{chief.name}: cannot go on; its own last line says why")

        filling.unlink()
        finish(*start_both(start, flags_of(dataset, run)))
        assert result_of(run) == undisturbed
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_launcher_starts_its_workers_again_and_takes_them_along_when_it_goes(
    start, undisturbed, dataset, tmp_path
):
    run, chance = tmp_path / "run", random.Random(7)
    launch = [LCSEG, "launch", "--workers=2", "--max_restarts=1", "--", *flags_of(dataset, run)]
    for number, code in ((signal.SIGINT, 130), (signal.SIGKILL, -9)):
        launcher = start(launch)
        workers = wait_for_workers(launcher)
        launcher.process.send_signal(number)
        expect_ends({launcher: code})
        wait_until(lambda pids=workers: all(state_of(pid) in "ZX" for pid in pids), GONE_S)

    launcher = start(launch)
    chief, _ = wait_for_workers(launcher)
    wait_for_save(run, launcher)
    time.sleep(chance.uniform(0, 0.1))
    os.kill(chief, signal.SIGKILL)
    expect_ends({launcher: 0}, START_S)
    cause = "worker 0 was killed by signal 9 (Killed)"
    assert f"{cause}: restart 1 of at most 1, from the newest checkpoint\n" in launcher.printed
    assert launcher.last_line == "workers: 2, restarts: 1"
    assert not CHATTER.search(launcher.printed), launcher.printed
    assert result_of(run) == undisturbed


@pytest.fixture(scope="module")
def hindered(dataset, tmp_path_factory):
    """Workers that cannot begin, all started at once, and the clusters that they are told of."""
    folder = tmp_path_factory.mktemp("hindered")
    clusters = {
        what: Cluster(free_addresses(2), index, "TF_CONFIG")
        for what, index in [("alone", 0), ("refused", 0), ("robbed", 0), ("first", 0), ("last", 1)]
    }
    flags = flags_of(dataset, folder / "run", start_timeout_s=2)
    with (
        starting(folder) as start,
        ThreadPoolExecutor() as peers,
        socket.create_server(split_address(clusters["refused"].address)),
    ):
        for what in ("robbed", "first", "last"):
            # The peer is there, but gone before TensorFlow connects to it.
            cluster = clusters[what]
            peers.submit(await_peers, Cluster(cluster.addresses, 1 - cluster.index, ""), START_S)
        programs = {
            what: start([*after(TAKEN_PORT if what == "robbed" else ""), *flags], cluster)
            for what, cluster in clusters.items()
        }
        for program in programs.values():
            program.process.wait(START_S)
        yield {what: (programs[what], clusters[what]) for what in clusters}


@pytest.mark.parametrize(
    ("what", "code", "fault"),
    [
        ("alone", 138, "{peer}: no answer within 2 s; start it, or look why it did not start"),
        (
            "refused",
            2,
            "port {port}: is taken by another process of this machine; "
            "end it, or choose another port",
        ),
        (
            "robbed",
            138,
            "port {port}: was just taken by another process of this machine; "
            "start all workers again",
        ),
        ("first", 138, "{peer}: is lost: it did not answer in time; " + GO_ON),
        ("last", 138, "{peer}: is lost: it did not answer in time; " + GO_ON),
    ],
)
def test_worker_that_cannot_begin_says_why_and_ends(hindered, what, code, fault):
    program, cluster = hindered[what]
    assert program.process.returncode == code, tell(program)
    port, peer = split_address(cluster.address)[1], cluster.name_of(1 - cluster.index)
    expect_fault(program, fault.format(port=port, peer=peer))


def test_evaluator_has_nothing_to_do(lcseg, dataset, tmp_path, monkeypatch):
    cluster = {"worker": ["127.0.0.1:1", "127.0.0.1:2"], "evaluator": ["127.0.0.1:3"]}
    task = {"type": "evaluator", "index": 0}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": task}))
    done = lcseg(*flags_of(dataset, tmp_path / "run"))
    assert (done.returncode, done.stderr) == (0, "")
    assert "the workers evaluate" in done.stdout
    assert not (tmp_path / "run").exists()

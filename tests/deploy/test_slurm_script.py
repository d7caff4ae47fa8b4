"""The batch script for Slurm, run beside stand-ins for `srun` and `scontrol`.

How Slurm itself signals and kills was tried on a Slurm 22.05 of two nodes, by hand.
"""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "deploy/slurm/train.sbatch"


@pytest.fixture
def submit(tmp_path, write_program):
    """Run the script while `srun` ends as is said; returns its status and what it called.

    An end is a status, or a text like "143 told": then the script, too, gets a SIGTERM before.
    """
    calls, ends = tmp_path / "calls", tmp_path / "ends"
    write_program(
        "srun",
        f"(printf '[%s]' srun \"$@\"; echo) >> {calls}\n"
        f"read -r status told < {ends}\n"
        f"sed -i 1d {ends}\n"
        '[ -z "$told" ] || kill -TERM "$PPID"\n'
        'exit "$status"\n',
    )
    write_program("scontrol", f'echo "scontrol $*" >> {calls}\n')
    environ = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "SLURM_JOB_ID": "7",
        "SLURM_CPUS_PER_TASK": "8",
    }

    def run(*said):
        calls.write_text("")
        ends.write_text("".join(f"{end}\n" for end in said))
        command = ["bash", SCRIPT, "--data=/shared/my data", "--run=/shared/run"]
        done = subprocess.run(command, env=environ, capture_output=True, check=False, timeout=60)
        return done.returncode, calls.read_text().splitlines()

    return run


def test_a_job_that_is_done_is_done(submit):
    status, (call,) = submit(0)
    assert status == 0
    assert call.endswith("[lcseg][train][--data=/shared/my data][--run=/shared/run]")


def test_workers_that_lost_a_peer_are_started_again_a_few_times(submit):
    status, calls = submit(138, 137, 0)
    assert (status, len(calls)) == (0, 3)
    status, calls = submit(*[138] * 9)
    assert (status, len(calls)) == (138, 6)
    assert "scontrol" not in "".join(calls)


@pytest.mark.parametrize("end", [1, 2])
def test_what_a_restart_would_not_mend_is_not_started_again(submit, end):
    status, calls = submit(end, 0)
    assert (status, len(calls)) == (end, 1)


def test_a_job_whose_time_is_nearly_over_goes_back_into_the_queue(submit):
    status, (_, call) = submit(143, 0)
    assert (status, call) == (143, "scontrol requeue 7")


@pytest.mark.parametrize("end", [138, 143])
def test_a_job_that_is_cancelled_is_left_to_slurm(submit, end):
    status, calls = submit(f"{end} told", 0)
    assert (status, len(calls)) == (end, 1)


def test_slurm_tells_the_workers_and_leaves_them_time_to_save():
    text = SCRIPT.read_text()
    options = dict(re.findall(r"^#SBATCH --([a-z-]+)=?(.*)$", text, re.MULTILINE))
    # With "B:" before it, only the shell would be told.
    assert re.fullmatch(r"TERM@\d+", options["signal"])
    assert "requeue" in options
    assert options["ntasks-per-node"] == "1"
    # Else the first worker that has saved would have Slurm kill those that still save.
    assert "--kill-on-bad-exit=0" in shlex.split(text, comments=True)


def test_the_script_is_bash():
    run = subprocess.run(["bash", "-n", SCRIPT], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")

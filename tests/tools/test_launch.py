"""`lcseg launch`, as a user runs it."""

import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / "tools" / "launch.py"


@pytest.fixture(params=["verb", "tool"])
def launch(lcseg, request):
    """A function that runs `lcseg launch …`, or the same by its file."""
    if request.param == "verb":
        return lambda *arguments: lcseg("launch", *arguments)
    return lambda *arguments: subprocess.run(
        [sys.executable, str(TOOL), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_workers_get_what_stands_after_the_two_dashes(launch):
    run = launch("--workers=2", "--", "train", "--data=none", "--run=none", "--epochs=none")
    assert run.returncode == 2
    first, *lines, last = run.stderr.splitlines()
    assert first.startswith("workers at 127.0.0.1:")
    fault = "flag --epochs=none: invalid literal for int() with base 10: 'none'"
    assert sorted(lines) == [
        f"[{index}] lcseg: {fault} (--help lists the flags)" for index in range(2)
    ]
    assert last.startswith("lcseg: worker ")
    assert last.endswith(": ended with status 2; what it printed says why")
    assert run.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--workers=2"], "missing: -- COMMAND"),
        (["--workers=2", "--"], "missing: -- COMMAND"),
        (["--", "train"], "missing: --workers"),
        (["--workers=2", "train", "--data=none"], "; the command comes after --)"),
        (["--workers=0", "--", "train"], "flags: --workers=0, expected at least 1"),
        (["--workers=2", "--", "predict"], "flags: -- predict: only train can be launched"),
    ],
)
def test_faulty_command_is_one_line_and_status_2(lcseg, arguments, message):
    run = lcseg("launch", *arguments)
    assert (run.returncode, run.stdout) == (2, "")
    (line,) = run.stderr.splitlines()
    assert line.startswith("lcseg: ")
    assert message in line

"""The tasks of a Slurm step, as its environment tells.

find_step({"SLURM_STEP_NODELIST": "gpu[01-02]", "SLURM_STEP_NUM_TASKS": "2", …})
# ("gpu01:16200", "gpu02:16200"), 0        every task, and which of them this one is
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping

from lcseg.errors import LcsegError

LAST_PORT = 65535
# Ports below 32768, where Linux begins to take the ports of outgoing connections.
_FIRST_PORT, _SLOT_PORTS, _SLOTS = 12_000, 16, 1250
# A step before the next job's ports begin; it shares no divisor with the number of slots.
_STEPS = 7

_NODE = re.compile(r"(?:[\w.-]+|\[\d+(?:-\d+)?(?:,\d+(?:-\d+)?)*\])+", re.ASCII)
_COUNT = re.compile(r"(\d+)(?:\(x(\d+)\))?", re.ASCII)


def find_step(environ: Mapping[str, str]) -> tuple[tuple[str, ...], int] | None:
    """The addresses of all tasks of this step and the place of this one; None outside of `srun`.

    A step of one task counts as none. The place is that of the node and of the task on it, so it
    holds for every `--distribution`; it may differ from SLURM_PROCID.

    Raises:
        LcsegError: names the variable that is missing or malformed.
    """
    if not environ.get("SLURM_STEP_NUM_TASKS") or read_number(environ, "SLURM_STEP_NUM_TASKS") < 2:
        return None
    nodes = expand_nodes(environ.get("SLURM_STEP_NODELIST", ""))
    tasks = expand_tasks(environ.get("SLURM_STEP_TASKS_PER_NODE", ""))
    _check_counts(environ, nodes, tasks)
    node = read_number(environ, "SLURM_NODEID", most=len(nodes) - 1)
    task = read_number(environ, "SLURM_LOCALID", most=tasks[node] - 1)
    port = _first_port(environ, max(tasks))
    addresses = tuple(
        f"{name}:{port + local}"
        for name, count in zip(nodes, tasks, strict=True)
        for local in range(count)
    )
    return addresses, sum(tasks[:node]) + task


def expand_nodes(text: str) -> list[str]:
    """The nodes of a Slurm list: "a[09-10],b[1-2]c[3-4]" is a09, a10, b1c3, b1c4, b2c3, b2c4."""
    # A comma within brackets has a "]" after it and no "[" before that.
    parts = re.split(r",(?![^\[]*\])", text)
    if not all(_NODE.fullmatch(part) for part in parts):
        raise LcsegError(
            "SLURM_STEP_NODELIST", f"{text!r} is no list of nodes, as node[01-03],gpu5"
        )
    return [name for part in parts for name in _expand_node(part)]


def _expand_node(part: str) -> list[str]:
    """The nodes of one entry: every choice from its brackets, the last bracket changing first."""
    pieces = re.findall(r"\[(.+?)\]|([^\[]+)", part)
    choices = [_expand_ranges(ranges) if ranges else [plain] for ranges, plain in pieces]
    return ["".join(choice) for choice in itertools.product(*choices)]


def _expand_ranges(text: str) -> list[str]:
    """The numbers of "01-03,7", each as wide as the beginning of its range."""
    numbers: list[str] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        if last and int(last) < int(first):
            raise LcsegError("SLURM_STEP_NODELIST", f"the range {part} runs backwards")
        width = len(first)
        numbers += [f"{number:0{width}}" for number in range(int(first), int(last or first) + 1)]
    return numbers


def expand_tasks(text: str) -> list[int]:
    """The number of tasks on each node: "2(x3),1" is 2, 2, 2, 1."""
    matches = [_COUNT.fullmatch(part) for part in text.split(",")]
    if not all(matches):
        raise LcsegError("SLURM_STEP_TASKS_PER_NODE", f"{text!r} is no list of counts, as 2(x3),1")
    return [
        int(match[1]) for match in matches if match is not None for _ in range(int(match[2] or 1))
    ]


def _check_counts(environ: Mapping[str, str], nodes: list[str], tasks: list[int]) -> None:
    if len(tasks) != len(nodes):
        raise LcsegError(
            "SLURM_STEP_TASKS_PER_NODE",
            f"counts tasks of {len(tasks)} nodes, but SLURM_STEP_NODELIST names {len(nodes)}",
        )
    if sum(tasks) != int(environ["SLURM_STEP_NUM_TASKS"]):
        raise LcsegError(
            "SLURM_STEP_TASKS_PER_NODE",
            f"counts {sum(tasks)} tasks, "
            f"but SLURM_STEP_NUM_TASKS is {environ['SLURM_STEP_NUM_TASKS']}",
        )


def _first_port(environ: Mapping[str, str], tasks: int) -> int:
    """The port of the first task on every node; the others follow it.

    LCSEG_PORT if it is set; else 12000 + 16 * ((7 * job + step) % 1250), so that jobs that share
    a node, and the steps of a job, do not meet each other.
    """
    if environ.get("LCSEG_PORT"):
        return read_number(environ, "LCSEG_PORT", least=1, most=LAST_PORT + 1 - tasks)
    step = _STEPS * read_number(environ, "SLURM_JOB_ID") + read_number(environ, "SLURM_STEP_ID")
    return _FIRST_PORT + _SLOT_PORTS * (step % _SLOTS)


def read_number(
    environ: Mapping[str, str], name: str, least: int = 0, most: int | None = None
) -> int:
    """The whole number in a variable, `least` to `most`; an LcsegError names the variable."""
    text = environ.get(name, "").strip()
    number = int(text) if re.fullmatch(r"[0-9]{1,18}", text) else -1
    if number < least or (most is not None and number > most):
        upto = "" if most is None else f" to {most}"
        found = f"is {text!r}" if text else "is not set"
        raise LcsegError(name, f"{found}, expected a whole number from {least}{upto}")
    return number

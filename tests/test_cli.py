import subprocess
import sys
import time
import typing
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

from lcseg.audit.config import AuditConfig
from lcseg.change.config import ChangeConfig
from lcseg.cli import VERBS
from lcseg.demo.config import DemoConfig
from lcseg.evaluation.config import AreaConfig, EvaluateConfig, SampleConfig
from lcseg.model.config import ExportConfig
from lcseg.prediction.config import PredictConfig
from lcseg.records.config import ConvertConfig, InspectConfig
from lcseg.scaling.config import ScalingConfig
from lcseg.serving.config import ServeConfig
from lcseg.training.config import TrainConfig
from lcseg.training.launcher import LaunchConfig

CONFIGS = {
    "convert": ConvertConfig,
    "inspect": InspectConfig,
    "train": TrainConfig,
    "launch": LaunchConfig,
    "scaling": ScalingConfig,
    "evaluate": EvaluateConfig,
    "predict": PredictConfig,
    "sample": SampleConfig,
    "area": AreaConfig,
    "change": ChangeConfig,
    "audit": AuditConfig,
    "export": ExportConfig,
    "serve": ServeConfig,
    "demo": DemoConfig,
}

Run = Callable[..., subprocess.CompletedProcess[str]]

PROGRAM = '''\
"""Sow a field.

sow wheat --rows=3
"""

import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from lcseg import cli
from lcseg.errors import InterruptedRunError, LcsegError


@dataclass(frozen=True)
class Soil:
    depth_m: Annotated[float, "How deep, in metres."] = 0.5
    dry: Annotated[bool, "No rain."] = False


@dataclass(frozen=True)
class Field:
    crop: Annotated[str, "What grows."]
    rows: Annotated[int, "How many rows."]
    soil: Soil
    season: Annotated[Literal["spring", "autumn"], "When to sow."] = "spring"
    limit: Annotated[int | None, "At most so many; none by default."] = None
    fence: Annotated[bool, "With a fence."] = True

    def __post_init__(self) -> None:
        if self.rows < 1:
            raise ValueError(f"--rows={self.rows}, expected at least 1")


def main(field: Field) -> None:
    faults = {
        "weeds": LcsegError("field", "is full of weeds", "hoe it"),
        "hail": InterruptedRunError("field", "it hails", "", signal.SIGTERM),
        "night": KeyboardInterrupt(),
        "bug": RuntimeError("a bug of ours"),
    }
    if field.crop in faults:
        raise faults[field.crop]
    if field.crop == "lost":
        Path("lost seeds").read_text()
    print(field)


FLAGS = cli.ConfigFlags(Field, positional="crop")

if __name__ == "__main__":
    cli.run(FLAGS, main)
'''

HIRE = '''\
"""Hire hands."""

from dataclasses import dataclass
from typing import Annotated

from lcseg import cli


@dataclass(frozen=True)
class Order:
    work: Annotated[tuple[str, ...], "What they do."]
    hands: Annotated[int, "How many."] = 1


cli.run(cli.ConfigFlags(Order, command="work"), print)
'''


@pytest.fixture
def hire(tmp_path: Path) -> Run:
    """A function that runs a small program with a command after `--`."""
    path = tmp_path / "hire.py"
    path.write_text(HIRE)
    return lambda *arguments: run(sys.executable, str(path), *arguments)


@pytest.fixture(scope="module")
def sow(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A function that runs a small program made by `cli.run`."""
    path = tmp_path_factory.mktemp("program") / "sow.py"
    path.write_text(PROGRAM)
    return lambda *arguments, **options: run(sys.executable, str(path), *arguments, **options)


def run(*command: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # type: ignore[call-overload, no-any-return]
        command, capture_output=True, text=True, timeout=60, check=False, **options
    )


def assert_one_line(result: subprocess.CompletedProcess[str], exit_code: int, text: str) -> None:
    assert result.returncode == exit_code, result.stderr
    assert text in result.stderr
    assert result.stderr.startswith("lcseg: ")
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == ""


def leaves(config_type: type) -> list[tuple[str, str]]:
    """(name, help) of each field of a dataclass and of those in it."""
    hints = typing.get_type_hints(config_type, include_extras=True)
    found = []
    for field in fields(config_type):
        hint = hints[field.name]
        if is_dataclass(hint):
            found += leaves(typing.cast(type, hint))
        else:
            found.append((field.name, typing.get_args(hint)[1]))
    return found


def test_each_field_of_a_dataclass_is_a_flag_of_its_type(sow):
    result = sow(
        "--crop=wheat",
        "--rows=3",
        "--season=autumn",
        "--limit=9",
        "--nofence",
        "--depth_m=0.25",
        "--dry",
    )
    assert result.stdout == (
        "Field(crop='wheat', rows=3, soil=Soil(depth_m=0.25, dry=True), season='autumn', "
        "limit=9, fence=False)\n"
    )
    assert (result.returncode, result.stderr) == (0, "")


def test_defaults_are_those_of_the_dataclass_and_one_field_may_stand_alone(sow):
    result = sow("wheat", "--rows=3")
    assert result.stdout == (
        "Field(crop='wheat', rows=3, soil=Soil(depth_m=0.5, dry=False), season='spring', "
        "limit=None, fence=True)\n"
    )
    assert sow("--rows=3", "wheat").stdout == result.stdout


def test_flags_are_read_from_a_file_and_later_ones_win(sow, tmp_path):
    (tmp_path / "flags").write_text("# sown last year\n--crop=oats\n--rows=4\n--nofence\n")
    result = sow(f"--flagfile={tmp_path}/flags", "--rows=5")
    assert "crop='oats', rows=5" in result.stdout
    assert "fence=False" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["wheat", "--rows=3", "--row=3"], "Unknown command line flag 'row'"),
        (["wheat", "--rows=many"], "flag --rows=many: invalid literal for int()"),
        (["wheat", "--rows=3", "--season=winter"], "should be one of <spring|autumn>"),
        (["wheat", "--rows=3", "--depth_m=deep"], "--depth_m=deep"),
        (["wheat", "--rows=3", "--dry=perhaps"], "--dry=perhaps"),
        (["wheat"], "missing: --rows"),
        (["--crop=", "--rows=3"], "missing: CROP"),
        (["--rows=3"], "missing: CROP"),
        (["wheat", "oats", "--rows=3"], "unexpected argument 'oats'"),
        (["--flagfile=none"], "none"),
        (["wheat", "--rows=-1"], "flags: --rows=-1, expected at least 1"),
        (["wheat", "--rows=3", "--depth_m=nan"], "--depth_m=nan: is not a finite number"),
    ],
)
def test_fault_in_the_flags_is_one_line_and_status_2(sow, arguments, text):
    assert_one_line(sow(*arguments), 2, text)


@pytest.mark.parametrize(
    ("crop", "exit_code", "text"),
    [
        ("weeds", 2, "lcseg: field: is full of weeds; hoe it\n"),
        ("lost", 2, "lcseg: lost seeds: No such file or directory\n"),
        ("hail", 143, "lcseg: field: it hails\n"),
        ("night", 130, "interrupted; nothing unfinished is left"),
    ],
)
def test_fault_in_the_work_is_one_line_and_its_own_status(sow, crop, exit_code, text):
    assert_one_line(sow(crop, "--rows=3"), exit_code, text)


def test_all_that_stands_after_two_dashes_is_the_command(hire):
    result = hire("--hands=2", "--", "mow", "--hands=3", "--flagfile=none", "--", "a b")
    assert result.stdout == (
        "Order(work=('mow', '--hands=3', '--flagfile=none', '--', 'a b'), hands=2)\n"
    )
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--hands=2"], "missing: -- WORK (--help lists the flags; the work comes after --)"),
        (["--"], "missing: -- WORK"),
        (["mow"], "unexpected argument 'mow'"),
        (["mow", "--", "rake"], "unexpected argument 'mow'"),
        (["--hand=2", "--", "mow"], "Unknown command line flag 'hand'"),
    ],
)
def test_command_that_does_not_stand_after_two_dashes_is_one_line(hire, arguments, text):
    assert_one_line(hire(*arguments), 2, text)


def test_bug_of_ours_shows_its_traceback(sow):
    result = sow("bug", "--rows=3")
    assert result.returncode == 1
    assert "Traceback" in result.stderr
    assert "RuntimeError: a bug of ours" in result.stderr


def test_verbosity_shows_the_traceback_and_then_the_line(sow):
    result = sow("weeds", "--rows=3", "--verbosity=1")
    assert result.returncode == 2
    assert "Traceback" in result.stderr
    assert result.stderr.endswith("\nlcseg: field: is full of weeds; hoe it\n")


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_is_the_docstring_and_the_flags_in_the_order_of_the_fields(sow, flag):
    result = sow(flag)
    assert (result.returncode, result.stderr) == (0, "")
    lines = [line.strip() for line in result.stdout.splitlines()]
    assert lines[:3] == ["Sow a field.", "", "sow wheat --rows=3"]
    assert lines[lines.index("CROP, or --crop=…") :] == [
        "CROP, or --crop=…",
        "What grows.",
        "--rows=… (required)",
        "How many rows.",
        "--depth_m=… (default: 0.5)",
        "How deep, in metres.",
        "--dry",
        "No rain.",
        "--season=spring|autumn (default: spring)",
        "When to sow.",
        "--limit=…",
        "At most so many; none by default.",
        "--fence (default: on; --nofence turns it off)",
        "With a fence.",
        "--verbosity=1",
        "Show the traceback of an error.",
    ]


def test_lcseg_lists_its_verbs_in_the_order_of_the_work(lcseg):
    result = lcseg("--help")
    assert result.returncode == 0
    listed = [line.split()[1] for line in result.stdout.splitlines() if line.startswith("  lcseg")]
    assert listed == list(VERBS)
    assert lcseg().stdout == lcseg("help").stdout == result.stdout


def test_unknown_verb_is_one_line_that_lists_the_verbs(lcseg):
    assert_one_line(lcseg("predcit"), 2, "no verb 'predcit'; the verbs are convert, inspect, train")


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_verb_lists_every_field_of_its_dataclass(lcseg, verb):
    result = lcseg(verb, "--help")
    assert (result.returncode, result.stderr) == (0, "")
    assert f"lcseg {verb}" in result.stdout.split("flags (")[0]
    words = " ".join(result.stdout.split())
    for name, text in leaves(CONFIGS[verb]):
        assert f"--{name}" in words or f"-- {name.upper()} …" in words
        assert " ".join(text.split()) in words


@pytest.mark.parametrize("verb", VERBS)
def test_tool_of_a_verb_is_the_same_program(lcseg, verb):
    tool = Path(__file__).parents[1] / "tools" / f"{VERBS[verb][0]}.py"
    by_verb, by_tool = lcseg(verb, "--help"), run(sys.executable, str(tool), "--help")
    assert by_tool.stdout == by_verb.stdout
    wrong = lcseg(verb, "--nonesuch=1"), run(sys.executable, str(tool), "--nonesuch=1")
    for result in wrong:
        assert_one_line(result, 2, "Unknown command line flag 'nonesuch'")
    assert wrong[0].stderr == wrong[1].stderr


@pytest.mark.parametrize("arguments", [["--help"], *([verb, "--help"] for verb in VERBS)])
def test_help_does_not_wait_for_tensorflow(arguments):
    script = (
        f"import sys; sys.argv = ['lcseg', *{arguments!r}]; from lcseg.cli import main; main(); "
        "print({'tensorflow', 'keras', 'rasterio', 'matplotlib'} & set(sys.modules))"
    )
    result = run(sys.executable, "-c", script)
    assert result.stdout.splitlines()[-1] == "set()"


@pytest.mark.parametrize(
    ("arguments", "limit_s"), [(["--help"], 1.0), *(([verb, "--help"], 1.5) for verb in VERBS)]
)
def test_help_answers_at_once(lcseg, arguments, limit_s):
    def seconds() -> float:
        started_s = time.perf_counter()
        lcseg(*arguments)
        return time.perf_counter() - started_s

    # One of some: a busy machine is not the program's fault.
    assert any(seconds() < limit_s for _ in range(5))

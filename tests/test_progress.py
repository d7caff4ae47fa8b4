import io
from contextlib import redirect_stderr

import pytest

from lcseg import progress
from lcseg.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def on_terminal() -> redirect_stderr:
    """A terminal in the place of stderr."""
    return redirect_stderr(Terminal())


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still; `clock.now_s += 1` lets a second pass."""

    class Clock:
        now_s = 0.0

    monkeypatch.setattr(progress.time, "monotonic", lambda: Clock.now_s)
    return Clock


def test_progress_counts_and_draws_a_bar_on_a_terminal():
    with on_terminal() as terminal, Progress("convert", total=200, unit="chips") as bar:
        for _ in range(200):
            bar.advance()
        assert bar.count == 200
    last = terminal.getvalue().split("\r")[-1]
    assert "convert: 100%" in last
    assert "200/200" in last
    assert "chips/s" in last


def test_elsewhere_a_line_is_printed_now_and_then(capsys, clock):
    with Progress("train", total=100, unit="steps") as bar:
        bar.advance(10)
        clock.now_s += progress.LINE_EVERY_S - 0.1
        bar.advance(10)
        assert capsys.readouterr().err == ""
        clock.now_s += 0.2
        bar.advance(5, note="loss 0.5")
        bar.advance(5)
        clock.now_s += progress.LINE_EVERY_S
        bar.advance(5)
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("train 25 of 100 steps, 25 %")
    assert first.endswith(", loss 0.5")
    assert "train 35 of 100" in second


def test_quiet_progress_shows_nothing_and_still_counts(capsys, clock):
    with Progress("train", total=9, unit="steps", quiet=True) as bar:
        clock.now_s += 100
        bar.advance(3)
        assert bar.count == 3
    assert capsys.readouterr() == ("", "")


def test_quiet_progress_shows_nothing_on_a_terminal():
    with on_terminal() as terminal, Progress("train", total=9, unit="steps", quiet=True) as bar:
        bar.advance(9)
    assert terminal.getvalue() == ""


def test_what_an_earlier_run_did_counts_as_done(capsys, clock):
    with Progress("train", total=100, unit="steps", done=40) as bar:
        assert bar.count == 40
        clock.now_s += progress.LINE_EVERY_S
        bar.advance(10)
    assert "train 50 of 100 steps" in capsys.readouterr().err


def test_large_counts_are_short_where_asked(capsys, clock):
    with Progress("predict", total=4_000_000, unit="px", scale=True) as bar:
        clock.now_s += progress.LINE_EVERY_S
        bar.advance(1_000_000)
    assert "1.00M of 4.00M px" in capsys.readouterr().err


def test_bar_is_closed_where_the_work_fails():
    with (
        on_terminal() as terminal,
        pytest.raises(ValueError, match="broken"),
        Progress("train", 9, "steps") as bar,
    ):
        bar.advance(2)
        raise ValueError("broken")
    assert terminal.getvalue().endswith("\n")

"""What processes print, as it stands on a terminal and elsewhere."""

import os
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout

from lcseg.training.console import Console

COLUMNS = 60

BAR = """
import sys
from lcseg.progress import Progress

with Progress("train", 100, "steps") as progress:
    sys.stdin.read()
    progress.advance(100)
print("saved", file=sys.stderr)
"""


class Terminal:
    """A terminal that shows what was written to it."""

    def __init__(self) -> None:
        self.screen_end, self.end = os.openpty()
        termios.tcsetwinsize(self.end, (24, COLUMNS))
        os.set_blocking(self.screen_end, False)
        self._written = b""

    def lines(self) -> list[str]:
        """The lines on its screen, without those that are empty."""
        try:
            while data := os.read(self.screen_end, 1 << 16):
                self._written += data
        except BlockingIOError:
            pass
        lines, row, column = [""], 0, 0
        for text in self._written.decode().replace("\x1b[K", "\x1b"):
            if text == "\r":
                column = 0
            elif text == "\x1b":
                lines[row] = lines[row][:column]
            elif text == "\n" or column == COLUMNS:
                row, column = row + 1, 0
                lines += [""] * (row == len(lines))
            if text not in "\r\n\x1b":
                lines[row] = lines[row][:column].ljust(column) + text + lines[row][column + 1 :]
                column += 1
        return [line.rstrip() for line in lines if line.strip()]


@contextmanager
def on_terminal() -> Iterator[Terminal]:
    """A terminal in the place of stdout and stderr."""
    terminal = Terminal()
    with os.fdopen(terminal.end, "w") as file, redirect_stdout(file), redirect_stderr(file):
        yield terminal
    os.close(terminal.screen_end)


def pump_until(console, is_true) -> None:
    deadline_s = time.monotonic() + 30
    while not is_true():
        assert time.monotonic() < deadline_s
        console.pump(0.05)


def test_console_prints_what_a_process_writes_with_a_prefix(capfd):
    script = "import sys; print('loss 0.5'); print('careful', file=sys.stderr)"
    with Console() as console:
        ends = console.open(sys.stdout, "[1] "), console.open(sys.stderr, "[1] ")
        subprocess.run([sys.executable, "-c", script], stdout=ends[0], stderr=ends[1], check=True)
        for end in ends:
            os.close(end)
    assert capfd.readouterr() == ("[1] loss 0.5\n", "[1] careful\n")


def test_line_is_printed_when_it_is_whole_and_the_last_one_at_the_end(capfd):
    with Console() as console:
        ends = [console.open(sys.stdout, f"[{index}] ") for index in range(2)]
        os.write(ends[0], b"from ")
        os.write(ends[1], b"one\nand ")
        assert console.pump(1)
        os.write(ends[0], b"zero\r\n")
        assert console.pump(1)
        assert capfd.readouterr().out == "[1] one\n[0] from zero\n"
        assert not console.pump(0)
        for end in ends:
            os.close(end)
    assert capfd.readouterr().out == "[1] and \n"


def test_line_of_another_stands_above_the_bar_which_is_drawn_once():
    with on_terminal() as terminal, Console() as console:
        end, other = console.open(sys.stderr, "[0] ", live=True), console.open(sys.stdout, "[1] ")
        process = subprocess.Popen(
            [sys.executable, "-c", BAR], stdin=subprocess.PIPE, stderr=end, text=True
        )
        os.close(end)
        pump_until(console, terminal.lines)
        (bar,) = terminal.lines()
        assert bar.startswith("[0] train:   0%|")
        assert len(bar) <= COLUMNS
        os.write(other, b"my disk is slow\nbut it works\n")
        pump_until(console, lambda: len(terminal.lines()) > 1)
        assert terminal.lines() == ["[1] my disk is slow", "[1] but it works", bar]
        process.communicate("")
        pump_until(console, lambda: "[0] saved" in terminal.lines())
        *above, bar, last = terminal.lines()
        assert above == ["[1] my disk is slow", "[1] but it works"]
        assert bar.startswith("[0] train: 100%|")
        assert last == "[0] saved"
        os.close(other)


def test_bar_of_a_process_that_was_killed_is_left_as_a_line():
    with on_terminal() as terminal, Console() as console:
        end, other = console.open(sys.stderr, "[0] ", live=True), console.open(sys.stderr, "[1] ")
        os.write(end, b"\r10 %   \r20 %   ")
        console.pump(1)
        assert terminal.lines() == ["[0] 20 %"]
        os.close(end)
        console.pump(1)
        os.write(other, b"lost\n")
        console.pump(1)
        assert terminal.lines() == ["[0] 20 %", "[1] lost"]
        os.close(other)


def test_bar_is_not_drawn_where_stderr_is_no_terminal(capfd):
    with Console() as console:
        end = console.open(sys.stderr, "[0] ", live=True)
        assert not os.isatty(end)
        os.write(end, b"\r10 %\r20 %")
        console.pump(1)
        assert capfd.readouterr().err == ""
        os.close(end)
    assert capfd.readouterr().err == "[0] 20 %\n"

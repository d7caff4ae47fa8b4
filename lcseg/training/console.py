"""What many processes print: whole lines with a prefix, and below them the bar of one.

with Console() as console:
    end = console.open(sys.stderr, "[1] ")
    process = subprocess.Popen(command, stderr=end)
    os.close(end)
    while process.poll() is None:
        console.pump(0.1)
"""

from __future__ import annotations

import os
import selectors
import sys
import termios
import tty
from dataclasses import dataclass
from types import TracebackType
from typing import TextIO

_CLEAR = b"\r\x1b[K"


@dataclass
class _Stream:
    """What one process writes to its stdout or stderr."""

    source: int  # File descriptor that it is read from.
    target: TextIO  # Where it goes.
    prefix: bytes  # Stands before each line.
    is_live: bool  # The process writes to a terminal and may draw a bar on it.
    rest: bytes = b""  # Of a line that is not yet whole.

    def read(self) -> tuple[list[bytes], bool]:
        """Take what has come: the lines that are whole, and whether the process is done."""
        try:
            data = os.read(self.source, 1 << 16)
        except OSError:
            # A pseudo-terminal ends so when nobody writes to it any more.
            data = b""
        *lines, self.rest = (self.rest + data).split(b"\n")
        if not data and self.rest:
            lines, self.rest = [self.rest], b""
        # Of what a bar has drawn over, nothing is shown.
        lines = [line.rstrip(b"\r").rpartition(b"\r")[2] for line in lines]
        return [self.prefix + line + b"\n" for line in lines], not data

    def bar(self) -> bytes:
        """The bar as it was drawn last; empty if there is none."""
        _, begins, text = self.rest.rpartition(b"\r")
        self.rest = begins + text
        return self.prefix + text.rstrip() if begins and text.strip() else b""

    def fit(self) -> None:
        """Leave the process as much of our terminal's width as the prefix leaves."""
        rows, columns = termios.tcgetwinsize(self.target.fileno())
        termios.tcsetwinsize(self.source, (rows, max(columns - len(self.prefix), 0)))


class Console:
    """Prints what processes write, as it comes; no line is broken by another or by the bar."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._bar = b""

    def open(self, target: TextIO, prefix: str, live: bool = False) -> int:
        """Open a file descriptor for a process to write to; the caller closes it.

        Args:
            target: stdout or stderr of ours.
            prefix: stands before each line.
            live: if stderr is a terminal, let the process see one, so that it draws a bar. One
                process at most.
        """
        is_live = live and target.isatty()
        source, end = os.openpty() if is_live else os.pipe()
        stream = _Stream(source, target, prefix.encode(), is_live)
        if is_live:
            tty.setraw(end)
            stream.fit()
        self._selector.register(source, selectors.EVENT_READ, stream)
        return end

    def pump(self, timeout_s: float) -> bool:
        """Print what has come, waiting for it so long at most; says whether anything came."""
        ready = self._selector.select(timeout_s)
        for key, _ in ready:
            self._take(key.data)
        return bool(ready)

    def _take(self, stream: _Stream) -> None:
        lines, is_done = stream.read()
        bar = self._bar
        if stream.is_live:
            stream.fit()
            bar = stream.bar()
        if lines:
            self._draw(b"")
            _write(stream.target, b"".join(lines))
        self._draw(bar)
        if is_done:
            self._selector.unregister(stream.source)
            os.close(stream.source)

    def _draw(self, bar: bytes) -> None:
        """Replace the bar."""
        if bar != self._bar:
            _write(sys.stderr, _CLEAR + bar)
        self._bar = bar

    def __enter__(self) -> Console:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        while self.pump(0):
            pass
        self._draw(b"")
        for key in list(self._selector.get_map().values()):
            os.close(key.data.source)
        self._selector.close()


def _write(target: TextIO, data: bytes) -> None:
    target.buffer.write(data)
    target.buffer.flush()

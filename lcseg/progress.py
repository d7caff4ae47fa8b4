"""Progress of long work: a bar on a terminal, elsewhere a line now and then.

with Progress("convert", total=200, unit="chips") as progress:
    progress.advance()
"""

from __future__ import annotations

import sys
import time
from types import TracebackType

from tqdm import tqdm

LINE_EVERY_S = 10.0
_LINE = (
    "{desc} {n_fmt} of {total_fmt}{unit}, {percentage:.0f} %, {rate_noinv_fmt}, {remaining} left"
)


def counted(number: int, noun: str) -> str:
    """A number and what it counts: 1 worker, 2 workers."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


class Progress:
    """Counts work done towards a total and shows rate and time left on stderr.

    Args:
        name: what is being done.
        total: how many units there are.
        unit: what is counted, in the plural.
        quiet: show nothing.
        done: units that an earlier run has done already.
        scale: print large counts as k, M, G.
    """

    def __init__(
        self,
        name: str,
        total: int,
        unit: str,
        quiet: bool = False,
        done: int = 0,
        scale: bool = False,
    ) -> None:
        self._on_terminal = sys.stderr.isatty()
        self._quiet = quiet
        self._last_line_s = time.monotonic()
        unit = f" {unit}"
        self._bar = tqdm(
            desc=name,
            total=total,
            unit=unit,
            initial=done,
            unit_scale=scale,
            dynamic_ncols=True,
            disable=quiet or not self._on_terminal,
        )
        self._lines = tqdm(
            desc=name,
            total=total,
            unit=unit,
            initial=done,
            unit_scale=scale,
            file=_Nowhere(),
            bar_format=_LINE,
        )

    def advance(self, n: int = 1, note: str = "") -> None:
        """Count `n` more units; `note` is shown beside the count."""
        self._bar.update(n)
        self._lines.update(n)
        if note:
            self._bar.set_postfix_str(note, refresh=False)
        now = time.monotonic()
        if not self._quiet and not self._on_terminal and now - self._last_line_s >= LINE_EVERY_S:
            self._last_line_s = now
            line = " ".join(str(self._lines).split())
            print(line + (f", {note}" if note else ""), file=sys.stderr, flush=True)

    @property
    def count(self) -> int:
        """How many units are done."""
        return int(self._lines.n)

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()
        self._lines.close()


class _Nowhere:
    """A file that forgets: the line counter formats itself, but must not draw."""

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        return None

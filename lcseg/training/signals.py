"""Signals that ask a run to end, noted and answered at the next good moment.

with StopRequest() as stop:
    while not stop.signal_number: …
"""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """Notes the first SIGINT or SIGTERM; a second one acts as it would without this."""

    def __init__(self) -> None:
        self.signal_number = 0
        self._before: dict[int, object] = {}

    def __enter__(self) -> StopRequest:
        # Only the main thread may set handlers; elsewhere there is nothing to note.
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.signal_number = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._before = {}

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._restore()

"""Who may write to files that are shown, and that only one does at a time.

edits = Edits(read_token(config))
edits.require(token)                           # WrongTokenError where it is another
listing = await edits.run(lambda: …)
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from lcseg.errors import LcsegError
from lcseg.serving.config import ServeConfig
from lcseg.serving.store import BusyError

T = TypeVar("T")

_TOKEN_BYTES = 24
_TOKEN = re.compile(r"[\x21-\x7e]{16,512}")
_MOST_WAITING = 32


class WrongTokenError(Exception):
    """Somebody wants to write who has not shown the token."""


class Edits:
    """Lets those who have the token write, one after the other."""

    def __init__(self, token: str) -> None:
        self.token = token
        self._pool = ThreadPoolExecutor(1, "edit")
        self._waiting = 0

    def require(self, token: str) -> None:
        """Refuse those who have another token, in a time that does not tell how near they came."""
        if not secrets.compare_digest(token.encode(), self.token.encode()):
            raise WrongTokenError

    async def run(self, work: Callable[[], T]) -> T:
        """Do something when all that came before is done, and to its end, whoever waits for it.

        Raises:
            BusyError: more wait already than may.
        """
        if self._waiting >= _MOST_WAITING:
            raise BusyError
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Wait for what is at work."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def read_token(config: ServeConfig) -> str:
    """The token of a file, or a new one where none is named.

    Raises:
        LcsegError: there is no such file, or what is in it is no token.
    """
    if not config.edit_token_file:
        return secrets.token_urlsafe(_TOKEN_BYTES)
    where = f"--edit_token_file={config.edit_token_file}"
    try:
        token = Path(config.edit_token_file).read_text(encoding="ascii").strip()
    except OSError as error:
        raise LcsegError(where, f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        token = ""
    if not _TOKEN.fullmatch(token):
        raise LcsegError(
            where,
            "holds no token of 16 or more ASCII characters without spaces",
            "make one: openssl rand -hex 24",
        )
    return token

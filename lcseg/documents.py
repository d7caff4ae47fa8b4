"""JSON documents whose schema is a frozen dataclass.

write_document(path, manifest)                 # aside, then renamed
manifest = read_document(path, Manifest)       # LcsegError names the field that is wrong
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pydantic

from lcseg.errors import LcsegError
from lcseg.files import locate, read_bytes, replaced

T = TypeVar("T")

_adapter: Callable[[Any], pydantic.TypeAdapter[Any]] = functools.cache(pydantic.TypeAdapter)
"""What reads and writes a type; making it takes longer than using it."""


def read_document(path: str | Path, kind: type[T]) -> T:
    """Read a JSON file as a `kind`; an LcsegError names the first field that does not fit."""
    try:
        text = read_bytes(locate(path))
    except OSError as error:
        raise LcsegError(path, f"cannot be read: {error.strerror}") from error
    return parse_document(text, kind, path)


def parse_document(text: bytes | str, kind: type[T], where: object) -> T:
    """Parse JSON text as a `kind`; errors are reported as those of `where`."""
    with _naming_fields(where):
        return _adapter(kind).validate_json(text)


def check_document(values: object, kind: type[T], where: object) -> T:
    """Take what another parser has read, as of TOML, as a `kind`; see `parse_document`."""
    with _naming_fields(where):
        return _adapter(kind).validate_python(values)


@contextmanager
def _naming_fields(where: object) -> Iterator[None]:
    try:
        yield
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the document"
        problem = first["msg"].removeprefix("Value error, ")
        if first["type"] == "unexpected_keyword_argument":
            problem = "there is no such field"
        raise LcsegError(where, f"{field}: {problem}") from error


def format_document(value: object) -> str:
    """Format a dataclass as JSON text that `parse_document` reads back; NaN is null."""
    return _adapter(type(value)).dump_json(value, indent=2).decode() + "\n"


def write_document(path: str | Path, value: object) -> None:
    """Write a dataclass as JSON, aside and renamed: the file is old or new, never half."""
    with replaced(path) as aside, aside.open("w", encoding="utf-8") as file:
        file.write(format_document(value))
        file.flush()
        os.fsync(file.fileno())

"""From frozen dataclasses to absl flags and back, one-line errors, and the `lcseg VERB` dispatcher.

FLAGS = cli.ConfigFlags(ConvertConfig)         # one flag a field: its type, default and help

def main(config: ConvertConfig) -> None:
    print(convert(config).summary())

if __name__ == "__main__":
    cli.run(FLAGS, main)
"""

from __future__ import annotations

import dataclasses
import importlib
import logging
import math
import os
import re
import shlex
import signal
import sys
import textwrap
import traceback
import types
import typing
import warnings
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from absl import app, flags
from absl import logging as absl_logging

from lcseg import __version__
from lcseg.errors import InterruptedRunError, LcsegError, PeerLostError

Config = TypeVar("Config")

_STORES = "tensorflow_io"
"""What is loaded where files lie in an object store."""

_OUT_OF_MEMORY = "ResourceExhaustedError"
_DISK_FULL = re.compile(r"(\S+); (No space left on device)")

VERBS = {
    "convert": ("convert", "pack image and label rasters into TFRecords"),
    "inspect": ("inspect_", "read a data set back, verify it and draw it"),
    "train": ("train", "train a U-Net on a data set"),
    "launch": ("launch", "train on several workers of this machine"),
    "scaling": ("scaling", "measure how training scales, and project it"),
    "evaluate": ("evaluate", "say how good a model or a map is"),
    "predict": ("predict", "map a raster with a trained model"),
    "sample": ("sample", "draw points from a map, for people to look at"),
    "area": ("area", "judge a map by such points, and estimate areas"),
    "audit": ("audit", "find labels that are probably wrong"),
    "change": ("change", "say what changed between maps of several dates"),
    "export": ("export", "write a trained model as SavedModel, ONNX, or for ArcGIS Pro"),
    "serve": ("serve", "show predictions live, in a browser, QGIS and ArcGIS"),
    "demo": ("demo", "go the whole way once, on a made-up landscape"),
}
"""Verb -> (module in tools/, what it does), in the order of the work."""


class ConfigFlags(Generic[Config]):
    """The absl flags of one dataclass.

    Args:
        config_type: a dataclass; each field is `Annotated[type, "help"]` or another dataclass,
            whose fields become flags of their own.
        positional: a field that may also be given as the first argument, without `--name=`.
        command: a field that is given as all arguments after `--`.
    """

    def __init__(self, config_type: type[Config], positional: str = "", command: str = "") -> None:
        self._type = config_type
        self._positional = positional
        self._command = command
        self._names = [field.name for field, hint, text in _leaves(config_type)]
        self._required = [
            field.name
            for field, hint, text in _leaves(config_type)
            if field.default is dataclasses.MISSING
        ]
        for field, hint, text in _leaves(config_type):
            _define_flag(field, hint, text)

    def parse(self, argv: list[str]) -> list[str]:
        """Parse the command line; a fault in it ends the process with one line and status 2."""
        end = argv.index("--") if self._command and "--" in argv else len(argv)
        try:
            rest = flags.FLAGS(argv[:end])
            if argv[end + 1 :]:
                flags.FLAGS[self._command].value = tuple(argv[end + 1 :])
            if self._positional and len(rest) > 1:
                flags.FLAGS[self._positional].value = rest.pop(1)
            if len(rest) > 1:
                raise flags.Error(f"unexpected argument {rest[1]!r}; flags look like --name=value")
            missing = [name for name in self._required if flags.FLAGS[name].value in (None, "")]
            if missing:
                raise flags.Error(f"missing: {', '.join(map(self._place, missing))}")
        except flags.Error as error:
            hint = f"; the {self._command} comes after --" if self._command else ""
            sys.exit(_fail(f"{error} (--help lists the flags{hint})", 2))
        return rest

    def _place(self, name: str) -> str:
        """How a field looks on the command line."""
        if name == self._command:
            return f"-- {name.upper()}"
        return name.upper() if name == self._positional else f"--{name}"

    def collect(self) -> Config:
        """Make the dataclass from the parsed flags; what it refuses is an LcsegError."""
        return _collect(self._type)

    def help(self) -> str:
        """List the flags in the order of the dataclass."""
        lines = ["flags (--flagfile=FILE reads them from a file):"]
        for name in self._names:
            flag = flags.FLAGS[name]
            if name == self._positional:
                shown = f"{self._place(name)}, or --{name}=…"
            elif name == self._command:
                shown = f"{self._place(name)} …"
            elif flag.boolean:
                shown = f"--{name}" + (
                    f" (default: on; --no{name} turns it off)" if flag.default else ""
                )
            else:
                values = "|".join(getattr(flag.parser, "enum_values", None) or []) or "…"
                default = "" if flag.default in (None, "") else f" (default: {flag.default})"
                needed = " (required)" if name in self._required else ""
                shown = f"--{name}={values}{default}{needed}"
            lines.append(f"  {shown}")
            # absl puts the choices before the help of an enum.
            text = flag.help.rpartition(">: ")[2]
            lines += textwrap.wrap(text, 92, initial_indent="      ", subsequent_indent="      ")
        return "\n".join([*lines, "  --verbosity=1", "      Show the traceback of an error."])


def _leaves(config_type: type) -> Iterator[tuple[dataclasses.Field[Any], Any, str]]:
    """(field, type, help) of every flag of a dataclass, nested ones in place."""
    hints = typing.get_type_hints(config_type, include_extras=True)
    for field in dataclasses.fields(config_type):
        hint = hints[field.name]
        if dataclasses.is_dataclass(hint):
            yield from _leaves(typing.cast(type, hint))
            continue
        plain, text = typing.get_args(hint)[:2]
        yield field, plain, text


def _define_flag(field: dataclasses.Field[Any], hint: Any, text: str) -> None:
    has_default = field.default is not dataclasses.MISSING
    default: Any = field.default if has_default else None
    if typing.get_origin(hint) is typing.Literal:
        flags.DEFINE_enum(field.name, default, list(typing.get_args(hint)), text)
    else:
        _DEFINERS[_plain(hint)](field.name, default, text)


def _plain(hint: Any) -> Any:
    """The type that a value has when it is not None."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return next(part for part in typing.get_args(hint) if part is not type(None))
    return hint


_DEFINERS: dict[Any, Callable[[str, Any, str], Any]] = {
    str: flags.DEFINE_string,
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
    bool: flags.DEFINE_bool,
    tuple[str, ...]: flags.DEFINE_list,
}


def _collect(config_type: type) -> Any:
    hints = typing.get_type_hints(config_type)
    values = {
        field.name: _collect(hints[field.name])
        if dataclasses.is_dataclass(hints[field.name])
        else flags.FLAGS[field.name].value
        for field in dataclasses.fields(config_type)
    }
    for name, value in values.items():
        if isinstance(value, list):
            values[name] = tuple(value)
        if isinstance(value, float) and not math.isfinite(value):
            raise LcsegError(f"--{name}={value}", "is not a finite number")
    try:
        return config_type(**values)
    except ValueError as error:
        raise LcsegError("flags", str(error)) from error


def format_flags(config: Any) -> str:
    """The command line of a configuration; flags at their defaults are left out."""
    parts = []
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            parts.append(format_flags(value))
        elif value is True and field.default is False:
            parts.append(f"--{field.name}")
        elif value is False and field.default is True:
            parts.append(f"--no{field.name}")
        elif value != field.default:
            text = ",".join(value) if isinstance(value, tuple) else str(value)
            parts.append(f"--{field.name}={shlex.quote(text)}")
    return " ".join(filter(None, parts))


def run(
    config_flags: ConfigFlags[Config],
    main: Callable[[Config], None],
    argv: list[str] | None = None,
    description: str | None = None,
) -> None:
    """Parse the flags, run `main` on the configuration and exit.

    An LcsegError is one line on stderr and its exit code; `--verbosity=1` adds the traceback.
    """
    signal.signal(signal.SIGTERM, _terminate)
    # What reads the output may have seen enough.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    # GDAL's faults come as exceptions; in its own threads it would print them as well.
    os.environ.setdefault("CPL_LOG", os.devnull)
    # What open_raster silences for its own thread may show in another.
    warnings.filterwarnings("ignore", "Dataset has no geotransform")
    argv = list(sys.argv) if argv is None else argv
    if {"--help", "-h"} & set(argv[1:]):
        text = sys.modules["__main__"].__doc__ if description is None else description
        print(f"{(text or '').strip()}\n\n{config_flags.help()}")
        return
    app.run(lambda _: _guard(config_flags, main), argv=argv, flags_parser=config_flags.parse)


def _guard(config_flags: ConfigFlags[Config], main: Callable[[Config], None]) -> int:
    try:
        status = _run_guarded(config_flags, main)
    except Exception:
        if _STORES not in sys.modules:
            raise
        traceback.print_exc()
        status = 1
    if _STORES in sys.modules:
        # A thread of its own may abort a process that ends by itself, whose status is then lost.
        os._exit(_flushed(status))
    return status


def _run_guarded(config_flags: ConfigFlags[Config], main: Callable[[Config], None]) -> int:
    # Libraries log through absl too; their notes are for those who ask for them.
    if not flags.FLAGS["verbosity"].present:
        absl_logging.set_verbosity(absl_logging.WARNING)
    log = logging.getLogger("lcseg")
    log.setLevel(logging.INFO)
    log.propagate = False
    log.handlers = [logging.StreamHandler()]
    try:
        main(config_flags.collect())
    except PeerLostError as error:
        # The threads of a broken cluster may never end by themselves.
        os._exit(_flushed(_fail(error, error.exit_code)))
    except LcsegError as error:
        return _fail(error, error.exit_code)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        return _fail(f"{place}{error.strerror or error}", 2)
    except KeyboardInterrupt:
        return _fail("interrupted; nothing unfinished is left that reads as whole", 130)
    except Exception as error:
        # To TensorFlow, disk and memory are both resources.
        if full := _DISK_FULL.search(str(error)):
            return _fail(f"{full[1]}: {full[2]}", 2)
        # TensorFlow's own kind of it is known by name: this module does not import TensorFlow.
        if not isinstance(error, MemoryError) and type(error).__name__ != _OUT_OF_MEMORY:
            raise
        return _fail("out of memory; lower --batch, --crop_px, --width or --block_px", 2)
    return 0


def _terminate(number: int, frame: object) -> None:
    raise InterruptedRunError(
        "SIGTERM", "nothing unfinished is left that reads as whole", "", number
    )


def _fail(message: object, exit_code: int) -> int:
    if flags.FLAGS.is_parsed() and (flags.FLAGS["verbosity"].value or 0) > 0:
        traceback.print_exc()
    print(f"lcseg: {' '.join(str(message).split())}", file=sys.stderr)
    return exit_code


def _flushed(exit_code: int) -> int:
    sys.stdout.flush()
    sys.stderr.flush()
    return exit_code


def main() -> None:
    """Run `lcseg VERB …`: the same program as `python tools/VERB.py …`."""
    arguments = sys.argv[1:]
    if arguments == ["--version"]:
        print(f"lcseg {__version__}")
        return
    if not arguments or arguments[0] in ("--help", "-h", "help"):
        print("lcseg turns high-resolution aerial imagery into land cover maps.\n")
        for verb, (_, purpose) in VERBS.items():
            print(f"  lcseg {verb:<10}{purpose}")
        print("\nlcseg VERB --help lists the flags of a verb.")
        return
    if arguments[0] not in VERBS:
        sys.exit(_fail(f"no verb {arguments[0]!r}; the verbs are {', '.join(VERBS)}", 2))
    binary = importlib.import_module(f"lcseg_tools.{VERBS[arguments[0]][0]}")
    argv = [f"lcseg {arguments[0]}", *arguments[1:]]
    run(binary.FLAGS, binary.main, argv, binary.__doc__)

"""The folder of a run: what it was asked, and what came out after each epoch.

RUN/run.json  RUN/history.json  RUN/checkpoints/  RUN/tensorboard/  RUN/bundle/
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lcseg import __version__
from lcseg.documents import read_document, write_document
from lcseg.errors import LcsegError
from lcseg.files import exists, list_files, locate, make_folder
from lcseg.training.checkpoint import number_of
from lcseg.training.config import TrainConfig

_FREE = (
    "run",
    "data",
    "quiet",
    "cache",
    "cache_gb",
    "cache_dir",
    "steps_per_call",
    "checkpoint_steps",
    "start_timeout_s",
    "profile_steps",
)
"""Settings that change nothing of the result, and so may differ when a run goes on."""


@dataclass(frozen=True)
class RunInfo:
    """What a run was asked."""

    created_by: str  # Program and version.
    data_digest: str  # Of the data set.
    config: dict[str, Any]  # Every setting, nested ones flattened.


@dataclass(frozen=True)
class EpochRow:
    """What came out of an epoch."""

    epoch: int  # From 1.
    step: int  # After its last step.
    loss: float  # Mean over its steps.
    validation_loss: float  # On the validation split.
    mean_iou: float | None  # On the validation split.
    iou: dict[str, float | None]  # By class.


@dataclass(frozen=True)
class History:
    """The epochs of a run."""

    rows: tuple[EpochRow, ...] = ()  # In order.
    is_finished: bool = False  # Whether the run has ended by itself.

    def until(self, step: int) -> History:
        """The epochs that had ended at a step."""
        return History(tuple(row for row in self.rows if row.step <= step))


@dataclass(frozen=True)
class RunFolder:
    """Where the parts of a run lie."""

    path: Path  # The folder of the run.

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def tensorboard(self) -> Path:
        return self.path / "tensorboard"

    @property
    def bundle(self) -> Path:
        return self.path / "bundle"

    def read_history(self) -> History:
        path = self.path / "history.json"
        return read_document(path, History) if exists(path) else History()

    def write_history(self, history: History) -> None:
        write_document(self.path / "history.json", history)


def open_run(config: TrainConfig, data_digest: str) -> RunFolder:
    """Make the folder of a run, or check that the one that is there can go on.

    Raises:
        LcsegError: the folder holds something else, or a run of other settings or data.
    """
    folder = RunFolder(locate(config.run))
    info = RunInfo(f"lcseg {__version__}", data_digest, flatten(config))
    path = folder.path / "run.json"
    is_run = exists(path)
    if is_run and any(map(number_of, list_files(folder.checkpoints))):
        _require_same(read_document(path, RunInfo), info, path)
        return folder
    if not is_run and list_files(folder.path):
        raise LcsegError(folder.path, "exists, and is not a run", "name another --run")
    make_folder(folder.path)
    write_document(path, info)
    return folder


def fingerprint(config: TrainConfig, data_digest: str) -> int:
    """A number of 48 bits that differs where workers would not do the same.

    Where files lie, and how long to wait, may differ among them.
    """
    own = ("run", "data", "quiet", "cache", "cache_gb", "cache_dir", "start_timeout_s")
    alike = {name: value for name, value in flatten(config).items() if name not in own}
    text = json.dumps([__version__, data_digest, alike], sort_keys=True)
    return int(hashlib.sha256(text.encode()).hexdigest()[:12], 16)


def flatten(config: TrainConfig) -> dict[str, Any]:
    """The settings by their flags."""
    flat: dict[str, Any] = {}
    for name, value in dataclasses.asdict(config).items():
        flat.update(value if isinstance(value, dict) else {name: value})
    return flat


def _require_same(before: RunInfo, now: RunInfo, path: Path) -> None:
    if before.data_digest != now.data_digest:
        raise LcsegError(path, "was trained on other data", "name another --run")
    names = [n for n in {**before.config, **now.config} if n not in _FREE]
    changed = [
        f"--{name} was {before.config.get(name)}, now {now.config.get(name)}"
        for name in names
        if before.config.get(name) != now.config.get(name)
    ]
    if changed:
        raise LcsegError(
            path, f"the run was begun otherwise: {', '.join(changed)}", "name another --run"
        )

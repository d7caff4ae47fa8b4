"""A model for each fold of a data set, trained one after the other on the ground of the others.

folds = train_folds(config, manifest, folder, ["lcseg"])
folds[0].data, folds[0].bundle                 # the test split of that data it has not seen

What is done is kept under a checksum of all that it depends on, so that another start goes on where
an earlier one was killed, if it asks for the same.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lcseg import __version__
from lcseg.audit.config import AuditConfig
from lcseg.errors import InterruptedRunError, LcsegError
from lcseg.records.folds import make_folds
from lcseg.records.manifest import Manifest
from lcseg.training.signals import StopRequest
from lcseg.training.workers import find_cause, run_workers

_LOG = logging.getLogger("lcseg")

_ALONE = {"TF_CONFIG": "{}"}
"""Tells training that it has no peers, whatever else the environment says."""


@dataclass(frozen=True)
class Fold:
    """A model, and the ground that it has not seen."""

    data: Path  # Data set whose test split is that ground.
    run: Path  # Folder of its training.

    @property
    def bundle(self) -> Path:
        """The model."""
        return self.run / "bundle"


class TrainingFailedError(LcsegError):
    """A model could not be trained; the exit code is that of lcseg train."""

    def __init__(self, where: object, problem: str, fix: str, exit_code: int) -> None:
        super().__init__(where, problem, fix)
        self.exit_code = exit_code


def train_folds(
    config: AuditConfig, manifest: Manifest, folder: Path, program: Sequence[str]
) -> list[Fold]:
    """Make folds and train a model for each, or go on with that.

    Args:
        config: the data set, how many folds, and the flags of training.
        manifest: of the data set.
        folder: in which everything is kept.
        program: the command line of lcseg.

    Raises:
        LcsegError: there is too little ground for so many folds.
        TrainingFailedError: a model could not be trained.
        InterruptedRunError: a signal came; the same call goes on from there.
    """
    work = folder / _identify(config, manifest)
    work.mkdir(parents=True, exist_ok=True)
    data = work / "data"
    if not data.exists():
        make_folds(config.data, config.folds, str(data), config.seed, config.quiet)
    folds = []
    for number in range(config.folds):
        fold = Fold(data / f"fold-{number}", work / f"run-{number}")
        _LOG.info("fold %d of %d: trains on the other ground", number + 1, config.folds)
        # What an earlier start has finished says so, and ends.
        _train(config, fold, [*program, "train"], f"fold {number + 1}")
        folds.append(fold)
    return folds


def _train(config: AuditConfig, fold: Fold, command: Sequence[str], name: str) -> None:
    flags = [f"--data={fold.data}", f"--run={fold.run}", *config.training]
    flags += ["--quiet"] if config.quiet else []
    with StopRequest() as stop:
        endings = run_workers([*command, *flags], [os.environ | _ALONE], stop, [name])
    if stop.signal_number:
        raise InterruptedRunError(
            config.out,
            f"stopped in {name} of {config.folds}",
            "the same command again goes on from there",
            stop.signal_number,
        )
    if cause := find_cause(endings):
        fix = "what it printed says why; the same command again goes on from here"
        raise TrainingFailedError(
            name, f"training {cause}", fix, cause.code if cause.code > 0 else 2
        )


def _identify(config: AuditConfig, manifest: Manifest) -> str:
    """A checksum of all that the folds and their models depend on."""
    told = [__version__, manifest.digest, config.folds, config.seed, list(config.training)]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:12]

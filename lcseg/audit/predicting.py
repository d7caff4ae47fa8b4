"""What is audited where predictions have to be made: a split by a bundle, or all by folds.

subject = predict_split(config, space)
subject = predict_folds(config, space, ["lcseg"])
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from lcseg.audit.config import AuditConfig
from lcseg.audit.folds import train_folds
from lcseg.audit.subject import Subject
from lcseg.records.folder import Workspace
from lcseg.records.manifest import Manifest, read_manifest
from lcseg.runtime import start_tensorflow

_LOG = logging.getLogger("lcseg")


def predict_split(config: AuditConfig, space: Workspace) -> Subject:
    """Predict a split of a data set by a bundle.

    Raises:
        LcsegError: they do not fit each other, or the split has no chip.
    """
    start_tensorflow()
    from lcseg.audit.chips import ChipEvidence
    from lcseg.evaluation.assessment import require_fit
    from lcseg.model.bundle import load_bundle

    bundle, manifest = load_bundle(config.model), read_manifest(config.data)
    require_fit(bundle, manifest, config.data)
    chips = ChipEvidence(space.stage, manifest)
    chips.predict(bundle, config.data, manifest, config.split, config)
    return Subject(
        f"{config.data}, split {config.split}",
        config.model,
        manifest.class_scheme,
        chips.scenes(),
        _judge_independence(bundle.info.data_digest, manifest, config.split),
    )


def predict_folds(config: AuditConfig, space: Workspace, program: Sequence[str]) -> Subject:
    """Train a model for each fold, and predict its ground, which that model has not seen.

    Raises:
        LcsegError: there is too little ground for so many folds, or a model could not be trained.
        InterruptedRunError: a signal came; the same call goes on from there.
    """
    manifest = read_manifest(config.data)
    folder = Path(config.keep) if config.keep else space.progress
    folds = train_folds(config, manifest, folder, program)
    # Not before: a process that starts others shall have no threads.
    start_tensorflow()
    from lcseg.audit.chips import ChipEvidence
    from lcseg.model.bundle import load_bundle

    chips = ChipEvidence(space.stage, manifest)
    for number, fold in enumerate(folds, start=1):
        _LOG.info("fold %d of %d: predicts the ground that it has not seen", number, len(folds))
        bundle = load_bundle(fold.bundle)
        chips.predict(bundle, fold.data, read_manifest(fold.data), "test", config)
    return Subject(
        config.data,
        f"{len(folds)} models, each for ground that it has not seen",
        manifest.class_scheme,
        chips.scenes(),
    )


def _judge_independence(data_digest: str, manifest: Manifest, split: str) -> tuple[str, ...]:
    """What is to be said of a model that may have learnt the labels that it is to judge."""
    if data_digest != manifest.digest:
        return (
            "the model was trained on other data; whether it has seen this ground is not known",
        )
    if split == "test":
        return ()
    learnt = {
        "train": "the model was trained on this split, and does not contradict the wrong labels "
        "that it has learnt; --folds audits it by models that have not",
        "val": "the model was chosen by this split, so it contradicts it a little too seldom",
    }
    return (learnt[split],)

"""What must hold before a run may begin.

require_fit(config, manifest, workers=4)       # before anything is made
require_alike(team, config, manifest)          # once the workers can talk
"""

from __future__ import annotations

import numpy as np

from lcseg.errors import LcsegError
from lcseg.pipeline.share import Share
from lcseg.records.manifest import Manifest
from lcseg.training.config import TrainConfig
from lcseg.training.run import fingerprint
from lcseg.training.team import Team


def require_fit(config: TrainConfig, manifest: Manifest, workers: int) -> None:
    """Refuse settings that do not fit the data set, before anything is made."""
    crop_px, stride_px = config.input.crop_px or manifest.chip_px, config.model.stride_px
    if crop_px > manifest.chip_px:
        raise LcsegError(
            f"--crop_px={crop_px}", f"is larger than the chips, which have {manifest.chip_px} px"
        )
    if crop_px % stride_px:
        raise LcsegError(
            f"--crop_px={crop_px}",
            f"is not a multiple of {stride_px}, as --depth={config.model.depth} needs",
        )
    if not manifest.chips_of("val"):
        raise LcsegError(
            config.data,
            "has no chips in its val split, which the best bundle is chosen by",
            "convert with a --val_share above 0",
        )
    for split in ("train", "val"):
        Share(count=workers).require_enough(manifest, split)


def require_alike(team: Team, config: TrainConfig, manifest: Manifest) -> None:
    """Refuse workers that were told to do different things, or that see different data.

    Also a batch that their devices cannot share.
    """
    told = team.council.gather(fingerprint(config, manifest.digest))[:, 0]
    others = np.flatnonzero(told != told[0])
    if others.size:
        raise LcsegError(
            ", ".join(team.cluster.name_of(int(index)) for index in others),
            "has other flags, other data or another version of lcseg than worker 0",
            "start all workers with the same command",
        )
    team.split_batch(config.input.batch, config.accumulate)

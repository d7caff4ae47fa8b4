"""What the chief says of a run before its first step.

announce(config, manifest, team, weights=484_340, epoch_steps=60, step=0)
"""

from __future__ import annotations

import logging

from lcseg.pipeline.share import Share
from lcseg.progress import counted
from lcseg.records.manifest import Manifest
from lcseg.training.config import TrainConfig
from lcseg.training.team import Team

_LOG = logging.getLogger("lcseg")

_UNEVEN = 1.1
"""Workers whose chips differ by more than this factor are worth a warning."""


def announce(
    config: TrainConfig, manifest: Manifest, team: Team, weights: int, epoch_steps: int, step: int
) -> None:
    """Say what is to be done, by whom and at which rate."""
    _LOG.info(
        "%s weights, %s, batch %d on %s; %s of %s, from step %d",
        f"{weights:,}",
        counted(manifest.chips_of("train"), "chip"),
        config.input.batch,
        counted(team.strategy.num_replicas_in_sync, "device"),
        counted(config.epochs, "epoch"),
        counted(epoch_steps, "step"),
        step,
    )
    rates = config.optimizer
    if rates.lr_scaling != "none":
        _LOG.info(
            "learning rate %.4g: %.4g for a batch of %d, %s scaling, warm-up over %d steps",
            rates.rate_for(config.input.batch),
            rates.learning_rate,
            rates.base_batch,
            rates.lr_scaling,
            round(rates.warmup_share * config.epochs * epoch_steps),
        )
    if team.cluster.size > 1:
        _announce_shares(config, manifest, team)


def _announce_shares(config: TrainConfig, manifest: Manifest, team: Team) -> None:
    """Say what each worker gets, and what does not divide well."""
    size = team.cluster.size
    shares = [Share(index, size) for index in range(size)]
    chips = [share.chips(manifest, "train") for share in shares]
    shards = [len(list(share.spans(manifest, "train"))) for share in shares]
    _LOG.info(
        "%d workers by %s: each takes %d crops a step, from %s chips in %s of %d shards",
        size,
        team.cluster.source,
        config.input.batch // size,
        _span(chips),
        _span(shards),
        len(manifest.shards_of("train")),
    )
    if max(chips) > _UNEVEN * min(chips):
        _LOG.warning(
            "warning: %d chips do not divide well among %d workers: some of them come up to "
            "%.2f times as often as others",
            sum(chips),
            size,
            max(chips) / min(chips),
        )


def _span(numbers: list[int]) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"

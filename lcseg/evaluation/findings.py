"""All that one look at the pixels has found: what a report is made of.

findings = examine_chips(model, store, places, scheme, multiple_px=16, config=config)
findings.tally.confusion, findings.by_scene, findings.worst, findings.tiles
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lcseg.evaluation.confusion import Confusion
from lcseg.evaluation.spots import Spot, Tiles
from lcseg.evaluation.tally import Tally


@dataclass(frozen=True)
class Findings:
    """Nothing in it grows with the number of pixels."""

    tally: Tally  # Of all pixels.
    worst: tuple[Spot, ...]  # The least accurate one first.
    tiles: Sequence[Tiles]  # Pictures of each of these.
    by_scene: Mapping[str, Confusion] = field(default_factory=dict)  # Empty: there is only one.

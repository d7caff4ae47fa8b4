"""Which part of the data is for training, validation and testing.

assign_splits(["a", "b", "c"], {"val": 1/3, "test": 1/3}, seed=0)  # {"a": "train", …}
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from lcseg.errors import LcsegError


def assign_splits(units: Iterable[str], shares: Mapping[str, float], seed: int) -> dict[str, str]:
    """Deal units out to splits in an order that depends only on their names and the seed.

    Args:
        units: names of the blocks or scenes; each goes whole into one split.
        shares: share of the units for each split but train, which gets the rest. A split with a
            share above 0 gets at least one unit, and so does train.
        seed: another seed gives another deal.

    Raises:
        LcsegError: there are fewer units than splits.
    """
    order = sorted(set(units), key=lambda unit: hashlib.sha256(f"{seed}:{unit}".encode()).digest())
    wanted = {split: share for split, share in shares.items() if share > 0}
    if len(order) <= len(wanted):
        raise LcsegError(
            "--split_by",
            f"{len(order)} units cannot be dealt to train, {', '.join(wanted)}",
            "use smaller --chip_px or --block_chips, or set --val_share or --test_share to 0",
        )
    dealt: dict[str, str] = {}
    rest = iter(order)
    waiting = len(wanted)  # How many splits must still find a unit after this one; train is last.
    for split, share in wanted.items():
        most = len(order) - len(dealt) - waiting
        waiting -= 1
        for _ in range(min(max(1, round(share * len(order))), most)):
            dealt[next(rest)] = split
    return {unit: dealt.get(unit, "train") for unit in order}

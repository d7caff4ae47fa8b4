"""Which part of the data is for training, validation and testing.

assign_splits({"a": 16, "b": 16, "c": 4}, {"val": 0.3, "test": 0.3}, seed=0)  # {"a": "train", …}
deal_evenly({"a": 16, "b": 16, "c": 4}, groups=3, seed=0)                     # {"a": 1, …}
"""

from __future__ import annotations

import hashlib
import heapq
from collections import deque
from collections.abc import Mapping

from lcseg.errors import LcsegError

_SMALLER = "use smaller --chip_px or --block_chips"


def assign_splits(
    sizes: Mapping[str, int], shares: Mapping[str, float], seed: int, fix: str = _SMALLER
) -> dict[str, str]:
    """Deal units out to splits in an order that depends only on their names and the seed.

    Args:
        sizes: how much each unit holds, by its name; a unit goes whole into one split.
        shares: share of the whole for each split but train, which gets the rest. A split with a
            share above 0 gets at least one unit, and so does train.
        seed: another seed gives another deal.
        fix: what a user can do where there are too few units.

    Raises:
        LcsegError: there are fewer units than splits.
    """
    order = sorted(sizes, key=lambda unit: _draw(unit, seed))
    wanted = {split: share for split, share in shares.items() if share > 0}
    if len(order) <= len(wanted):
        raise LcsegError(
            "--split_by",
            f"{len(order)} unit{'s' * (len(order) != 1)} cannot be dealt "
            f"to train, {', '.join(wanted)}",
            f"{fix}, or set --val_share or --test_share to 0",
        )
    total = sum(sizes.values())
    dealt: dict[str, str] = {}
    rest = deque(order)
    for place, (split, share) in enumerate(wanted.items()):
        held, splits_after = 0, len(wanted) - place
        # The unit that goes over the share is taken if that is nearer to it.
        while len(rest) > splits_after and (not held or held + sizes[rest[0]] / 2 <= share * total):
            unit = rest.popleft()
            dealt[unit] = split
            held += sizes[unit]
    return {unit: dealt.get(unit, "train") for unit in order}


def deal_evenly(sizes: Mapping[str, int], groups: int, seed: int) -> dict[str, int]:
    """Deal units out to groups that hold about as much, each at least one unit.

    The largest ones go first, each to the group that holds least; what is alike goes in an order
    that depends only on the names and the seed.

    Args:
        sizes: how much each unit holds, by its name; at least as many as groups.
        groups: how many.
        seed: another seed gives another deal.
    """
    held = [(0, group) for group in range(groups)]
    dealt = {}
    for unit in sorted(sizes, key=lambda unit: (-sizes[unit], _draw(unit, seed))):
        size, group = heapq.heappop(held)
        dealt[unit] = group
        heapq.heappush(held, (size + sizes[unit], group))
    return dealt


def _draw(unit: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}:{unit}".encode()).digest()

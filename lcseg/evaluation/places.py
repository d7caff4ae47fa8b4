"""Where the chips of a split lie: read from the records, of which no pixel is decoded.

places = read_places("data", manifest, "test")
places[7]                                      # Place(scene="ground-3", row=256, col=0, chip=7)
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lcseg.errors import LcsegError
from lcseg.evaluation.spots import Place
from lcseg.files import locate
from lcseg.records import spec as keys
from lcseg.records.features import parse_features, read_integers, read_text
from lcseg.records.manifest import Manifest
from lcseg.records.shards import read_shard


class Places:
    """Places of chips by their number: a dozen bytes for each.

    Args:
        scenes: the names of the scenes.
        table: int32 [N, 3]: index of the scene, first row, first column.
    """

    def __init__(self, scenes: list[str], table: np.ndarray) -> None:
        self._scenes, self._table = scenes, table

    def __len__(self) -> int:
        return len(self._table)

    def __getitem__(self, chip: int) -> Place:
        scene, row, col = self._table[chip].tolist()
        return Place(self._scenes[scene], row, col, chip)


def read_places(folder: str | Path, manifest: Manifest, split: str) -> Places:
    """Read where the chips of a split lie, in the order of its records.

    Raises:
        LcsegError: a shard is damaged, or a record does not say where its chip lies.
    """
    scenes: dict[str, int] = {}
    table = np.zeros((manifest.chips_of(split), 3), np.int32)
    chip = 0
    for shard in manifest.shards_of(split):
        path = locate(folder) / shard.file
        for record in read_shard(path):
            try:
                features = parse_features(record)
                scene = read_text(features, keys.SOURCE)
                (row,), (col,) = (read_integers(features, key, 1) for key in (keys.ROW, keys.COL))
            except LcsegError as error:
                raise LcsegError(path, f"a record does not fit the manifest: {error}") from error
            table[chip] = scenes.setdefault(scene, len(scenes)), row, col
            chip += 1
    return Places(list(scenes), table)

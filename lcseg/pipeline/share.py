"""What one of several workers holds of a split.

share = Share(index=1, count=4)
share.chips(manifest, "train")                 # how many; no two workers differ by more than one
share.spans(manifest, "train")                 # where they are: records of shards

The shards of a split stand in a row, and each worker takes one piece of it, cut at records. So a
worker reads what it holds and little more, also if there are fewer shards than workers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lcseg.errors import LcsegError
from lcseg.records.manifest import Manifest, ShardInfo


@dataclass(frozen=True)
class Span:
    """Records of one shard that follow each other."""

    shard: ShardInfo  # Their shard.
    first: int  # Number of the first of them in the shard.
    records: int  # How many they are, at least one.


@dataclass(frozen=True)
class Share:
    """The part of every split that one of `count` workers holds."""

    index: int = 0  # Of the worker.
    count: int = 1  # Workers; one holds everything.
    neighbours: int = 1  # Workers on this machine, who share its room; this one is counted.

    def first(self, manifest: Manifest, split: str) -> int:
        """Number of its first chip among the chips of all workers."""
        return self.index * manifest.chips_of(split) // self.count

    def chips(self, manifest: Manifest, split: str) -> int:
        """How many chips it holds."""
        following = Share(self.index + 1, self.count)
        return following.first(manifest, split) - self.first(manifest, split)

    def spans(self, manifest: Manifest, split: str) -> Iterator[Span]:
        """Where its chips are, in order."""
        first, left = self.first(manifest, split), self.chips(manifest, split)
        for shard in self._row(manifest, split):
            records = min(shard.records - first, left)
            if first < shard.records and records:
                yield Span(shard, first, records)
                left -= records
            first = max(first - shard.records, 0)

    def _row(self, manifest: Manifest, split: str) -> list[ShardInfo]:
        """The shards in their order; that of their checksums, which is like a random one, where
        several workers share them: neighbours on the ground shall not all fall to the same one.
        """
        shards = manifest.shards_of(split)
        return list(shards) if self.count == 1 else sorted(shards, key=lambda s: (s.crc32c, s.file))

    def require_enough(self, manifest: Manifest, split: str) -> None:
        """Refuse more workers than there are chips."""
        chips = manifest.chips_of(split)
        if chips < self.count:
            raise LcsegError(
                f"{self.count} workers",
                f"are more than the {chips} chips of the {split} split",
                "use fewer workers, or smaller chips",
            )


WHOLE = Share()
"""What a worker holds that works alone."""

"""The workers of a run, once they have found each other.

team = form_team(find_cluster(os.environ), start_timeout_s=300)
with team.strategy.scope(): …
team.council, team.share, team.is_chief
"""

from __future__ import annotations

from dataclasses import dataclass

import tensorflow as tf

from lcseg.errors import LcsegError
from lcseg.pipeline.share import Share
from lcseg.progress import counted
from lcseg.training.breakage import told_breakage
from lcseg.training.cluster import ALONE, Cluster
from lcseg.training.council import Council
from lcseg.training.probe import await_peers
from lcseg.training.strategy import build_strategy


@dataclass(frozen=True)
class Team:
    """Who trains together, and this worker's place among them."""

    cluster: Cluster  # Who they are.
    strategy: tf.distribute.Strategy  # Their devices.
    council: Council  # Where they decide.

    @property
    def is_chief(self) -> bool:
        """Whether this worker is the one that writes."""
        return self.cluster.is_chief

    @property
    def devices(self) -> int:
        """Devices of this worker."""
        return self.strategy.num_replicas_in_sync // self.cluster.size

    def split_batch(self, batch: int, parts: int) -> int:
        """The crops of each device in a step; a batch that does not divide is refused."""
        devices = self.strategy.num_replicas_in_sync
        if batch % (devices * parts):
            of = counted(devices, "device") + (f" x --accumulate={parts}" if parts > 1 else "")
            raise LcsegError(f"--batch={batch}", f"is not a multiple of the {of}")
        return batch // devices


def share_of(cluster: Cluster) -> Share:
    """What this worker holds of the data."""
    hosts = [address.rpartition(":")[0] for address in cluster.addresses]
    return Share(cluster.index, cluster.size, hosts.count(hosts[cluster.index]))


def form_team(cluster: Cluster = ALONE, start_timeout_s: float = 300.0) -> Team:
    """Wait for all workers, and join their devices; before any operation of TensorFlow.

    Raises:
        PeerLostError: names the workers that have not come in time.
    """
    await_peers(cluster, start_timeout_s)
    with told_breakage(cluster):
        strategy = build_strategy(cluster, start_timeout_s)
        return Team(cluster, strategy, Council(strategy, cluster))

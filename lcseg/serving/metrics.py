"""What a server counts, for Prometheus.

metrics = Metrics()
metrics.predicted.inc()
text = metrics.format()
"""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_BATCHES = (1, 2, 4, 8, 16, 32)


class Metrics:
    """Counters of one server."""

    def __init__(self) -> None:
        self._registry = own = CollectorRegistry()
        self.requests = Counter(
            "lcseg_requests", "Requests answered.", ["endpoint", "status"], registry=own
        )
        self.latency = Histogram(
            "lcseg_request_seconds",
            "Time that a request took.",
            ["endpoint"],
            buckets=_SECONDS,
            registry=own,
        )
        self.predicted = Counter("lcseg_blocks_predicted", "Blocks predicted.", registry=own)
        self.hits = Counter("lcseg_block_hits", "Blocks found in memory.", registry=own)
        self.disk_hits = Counter("lcseg_block_disk_hits", "Blocks found on disk.", registry=own)
        self.busy = Counter("lcseg_busy", "Requests told to come again.", registry=own)
        self.gone = Counter("lcseg_gone", "Requests whose client had left.", registry=own)
        self.batches = Histogram(
            "lcseg_batch_blocks", "Blocks predicted together.", buckets=_BATCHES, registry=own
        )

    def watch(self, waiting: Callable[[], float], held_bytes: Callable[[], float]) -> None:
        """Have what a store holds be asked when the numbers are."""
        Gauge(
            "lcseg_blocks_waiting", "Blocks asked for and not yet there.", registry=self._registry
        ).set_function(waiting)
        Gauge("lcseg_block_bytes", "Memory taken by blocks.", registry=self._registry).set_function(
            held_bytes
        )

    def format(self) -> bytes:
        """All numbers in Prometheus' text format."""
        return generate_latest(self._registry)

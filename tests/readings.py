"""What workers would have measured if the model of scaling were the truth.

readings = make_readings(cores=2, sizes=(1, 2, 4))
report = make_report(CONFIG, readings)
"""

from __future__ import annotations

from typing import Any

from lcseg.scaling.config import ScalingConfig
from lcseg.scaling.measurement import Readings, Seats
from lcseg.scaling.model import Network, Terms, forecast_step
from lcseg.scaling.pace import Pace, ReduceTime

CONFIG = ScalingConfig("data", "1,2,4", "scaling")
WEIGHTS = 2_000_000
TRUTH = Network(beta_gb_s=0.5, alpha_us=300)
TERMS = Terms(compute_s=0.1, gradient_bytes=4 * WEIGHTS, sums=3, input_s=0.02, spread_s=0.005)
WAIT_S = 0.001
CHIPS = 100


def make_readings(
    cores: int = 4, sizes: tuple[int, ...] = (1, 2, 4), load: float = 0.1, **changes: Any
) -> Readings:
    """Readings of so many cores and workers; `changes` are fields of what each worker says."""
    seats = Seats(tuple(range(cores)), sizes[-1])
    paces = {n: [make_pace(n, seats.is_crowded(n), **changes)] * n for n in sizes}
    return Readings(paces, seats, CHIPS, load)


def make_pace(workers: int, is_crowded: bool = False, **changes: Any) -> Pace:
    """What each of some workers says; where they share cores, a step takes twice as long."""
    step_s = forecast_step(TERMS, workers, TRUTH).seconds * (1 + is_crowded) + WAIT_S
    # Two steps, so far from their mean that their standard deviation is that of the terms.
    off_s = TERMS.spread_s / 2**0.5
    probes = [ReduceTime(size, TRUTH.ring_s(workers, size)) for size in (1 << 10, 1 << 24)]
    said: dict[str, Any] = {
        "device": "CPU",
        "devices": 1,
        "weights": WEIGHTS,
        "device_batch": 4,
        "crop_px": 64,
        "cache": "memory",
        "load_s": 2.0,
        "first_s": 8.0,
        "call_steps": (10, 10, 5),
        "call_s": (10 * step_s, 10 * step_s, 5 * step_s),
        "wait_s": 25 * WAIT_S,
        "single_s": (step_s - off_s, step_s + off_s),
        "input_s": TERMS.input_s,
        "gradients": None,
        "probes": (),
        "sums": 0,
    }
    if workers > 1:
        size = TERMS.gradient_bytes
        said["gradients"] = ReduceTime(size, TRUTH.ring_s(workers, size))
        said |= {"probes": tuple(probes), "sums": TERMS.sums}
    return Pace(**(said | changes))

"""What follows from the steps that were measured: the base, the network that fits, more workers.

report = make_report(config, measure_scaling(config))
report.measured[1].efficiency, report.projections[0].rows[-1].speedup
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Sequence

from lcseg import __version__
from lcseg.cli import format_flags
from lcseg.scaling.config import ScalingConfig
from lcseg.scaling.measurement import Readings
from lcseg.scaling.model import (
    Network,
    Terms,
    compose_step,
    fit_error,
    fit_network,
    forecast_step,
)
from lcseg.scaling.pace import Measured, Pace, join_paces, list_reduces
from lcseg.scaling.report import (
    Base,
    Fit,
    MeasuredRow,
    ProjectedRow,
    Projection,
    PublishedRow,
    ScalingReport,
)

PUBLISHED = {
    **{1: 1.0, 2: 1.5, 4: 2.3, 8: 4.4, 16: 8.4, 32: 14.4},
    **{64: 26.3, 96: 29.8, 128: 39.2, 148: 36.2},
}
"""Speed-up by GPUs of the work of 2018 that lcseg follows (Azure/pixel_level_land_classification):
read off its plot, give or take 2 %; K80 GPUs, 16,000 crops of 256 px an epoch, loading not counted.
"""

COMPARED = (64, 128, 148)
"""GPUs at which ours is held beside it."""


def make_report(config: ScalingConfig, readings: Readings) -> ScalingReport:
    """Work out what follows from what was measured."""
    seats = readings.seats
    sizes = [
        join_paces(paces, seats.cores_each, seats.is_crowded(workers))
        for workers, paces in readings.paces.items()
    ]
    base = _describe_base(readings)
    terms = _find_terms(sizes, readings.paces)
    network = Network(config.beta_gb_s, config.alpha_us)
    stated = Terms(config.step_s, terms.gradient_bytes, terms.sums)
    at = sorted({*config.projected_sizes, *COMPARED})
    return ScalingReport(
        created_by=f"lcseg {__version__}",
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        base=base,
        machine_cores=len(seats.cores),
        machine_load=readings.load,
        measured=tuple(_measure_row(size, sizes[0], base, terms) for size in sizes),
        fit=_fit(readings),
        network=network,
        network_name=_name_network(config),
        projections=tuple(
            _project(name, of_step, at, network, base.batch)
            for name, of_step in (("the step of this machine", terms), ("the stated step", stated))
            if of_step.compute_s
        ),
        published=tuple(
            PublishedRow(gpus, speedup, speedup / gpus) for gpus, speedup in PUBLISHED.items()
        ),
        steps=config.steps,
        command=f"lcseg scaling {format_flags(config)}",
    )


def _describe_base(readings: Readings) -> Base:
    (alone,) = readings.paces[1]
    return Base(
        device=alone.device,
        devices=alone.devices,
        cores=readings.seats.cores_each,
        device_batch=alone.device_batch,
        crop_px=alone.crop_px,
        cache=alone.cache,
        weights=alone.weights,
        chips=readings.chips,
    )


def _find_terms(sizes: Sequence[Measured], paces: dict[int, list[Pace]]) -> Terms:
    alone = sizes[0]
    return Terms(
        compute_s=alone.step_s - alone.wait_s,
        gradient_bytes=4 * paces[1][0].weights,
        sums=paces[sizes[-1].workers][0].sums,
        input_s=alone.input_s,
        spread_s=alone.spread_s,
    )


def _measure_row(size: Measured, alone: Measured, base: Base, terms: Terms) -> MeasuredRow:
    efficiency = alone.step_s / size.step_s
    epoch_steps = math.ceil(base.chips / (base.batch * size.workers))
    model = compose_step(terms, size.workers, size.reduce_s, size.sum_s)
    return MeasuredRow(
        workers=size.workers,
        cores=size.cores,
        is_crowded=size.is_crowded,
        step_s=size.step_s,
        steps_per_s=1 / size.step_s,
        crops_per_s=size.workers * base.batch / size.step_s,
        speedup=size.workers * efficiency,
        efficiency=efficiency,
        spread_s=size.spread_s,
        wait_s=size.wait_s,
        reduce_s=size.reduce_s,
        sum_s=size.sum_s,
        load_s=size.load_s,
        first_s=size.first_s,
        first_epoch_s=size.load_s + size.first_s + (epoch_steps - 1) * size.step_s,
        epoch_s=epoch_steps * size.step_s,
        model_s=None if size.is_crowded else model.seconds,
    )


def _fit(readings: Readings) -> Fit | None:
    fair = {n: p for n, p in readings.paces.items() if n > 1 and not readings.seats.is_crowded(n)}
    points = [point for paces in fair.values() for point in list_reduces(paces)]
    network = fit_network(points)
    if network is None:
        return None
    beta_gb_s = network.beta_gb_s if math.isfinite(network.beta_gb_s) else None
    error = fit_error(network, points)
    return Fit(beta_gb_s, network.alpha_us, error, len(points), tuple(fair))


def _name_network(config: ScalingConfig) -> str:
    default = ScalingConfig(config.data, config.workers, config.out)
    same = (config.beta_gb_s, config.alpha_us) == (default.beta_gb_s, default.alpha_us)
    return "10 Gb Ethernet" if same else "the stated network"


def _project(
    name: str, terms: Terms, sizes: Sequence[int], network: Network, batch: int
) -> Projection:
    alone_s = forecast_step(terms, 1, network).seconds
    rows = []
    for workers in sizes:
        step = forecast_step(terms, workers, network)
        efficiency = alone_s / step.seconds
        crops_per_s = workers * batch / step.seconds
        speedup = workers * efficiency
        rows.append(ProjectedRow(workers, step, step.seconds, crops_per_s, speedup, efficiency))
    return Projection(name, terms, tuple(rows))

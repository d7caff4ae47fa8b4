"""What a reader must know before trusting the numbers of a scaling report.

for sentence in advise(report): …
"""

from __future__ import annotations

from collections.abc import Iterator

from lcseg.progress import counted
from lcseg.scaling.model import Network, forecast_step
from lcseg.scaling.report import ScalingReport

BUSY_SHARE = 0.25
"""Share of the cores that others may keep busy without a word."""

NOTABLE_SHARE = 0.2
"""Share of a step that a term, or a fault of the model, may have without a word."""

SLOW_LATENCY = 2.0
"""So many times the assumed latency may be that of an all-reduce here without a word."""


def advise(report: ScalingReport) -> Iterator[str]:
    """Say in sentences what weakens the numbers."""
    yield from _advise_on_machine(report)
    yield from _advise_on_model(report)
    yield from _advise_on_projection(report)
    yield from _advise_on_network(report)
    yield from _advise_on_step(report)


def _advise_on_machine(report: ScalingReport) -> Iterator[str]:
    cores = report.machine_cores
    for row in report.measured:
        if row.is_crowded:
            yield (
                f"{row.workers} workers shared {counted(cores, 'core')}: the compute time "
                f"itself grew, because cores are shared, and a step took "
                f"{1 / row.efficiency:.1f} times as long. That says little about a cluster, and "
                "nothing is fitted to it."
            )
    if report.machine_load > BUSY_SHARE * cores:
        yield (
            f"Other programs wanted {report.machine_load:.1f} of the "
            f"{counted(cores, 'core')} in the minute before: steps are slower, and differ more, "
            "than they would alone. Measure again on a quiet machine."
        )


def _advise_on_model(report: ScalingReport) -> Iterator[str]:
    for row in report.measured:
        if row.model_s and abs(row.model_s / row.step_s - 1) > NOTABLE_SHARE:
            yield (
                f"With {counted(row.workers, 'worker')} a step took "
                f"{format_ms(row.step_s)} ms, where the model makes {format_ms(row.model_s)} ms "
                "of what was measured alone: it misses something here, and may elsewhere."
            )


def _advise_on_projection(report: ScalingReport) -> Iterator[str]:
    own, largest = report.projections[0], report.projections[0].rows[-1]
    share = largest.step.straggler_s / largest.step_s
    if share > NOTABLE_SHARE:
        spread_s = own.terms.spread_s
        yield (
            f"Waiting for the slowest makes {100 * share:.0f} % of the projected step of "
            f"{largest.workers} workers: the steps of one worker differ here by "
            f"{format_ms(spread_s)} ms (standard deviation), "
            f"{100 * spread_s / own.terms.compute_s:.0f} % of a step."
        )
    for projection in report.projections:
        last = projection.rows[-1]
        share = last.step.sums_s / last.step_s
        if share > NOTABLE_SHARE:
            yield (
                f"The {projection.terms.sums} small sums make {100 * share:.0f} % of the projected "
                f"step of {last.workers} workers from {projection.name}: each is taken to go "
                "around the ring by itself, at the latency of the network."
            )


def _advise_on_network(report: ScalingReport) -> Iterator[str]:
    fit, network = report.fit, report.network
    if fit is None:
        yield (
            "No all-reduce was measured among workers with cores of their own: the network of "
            "this machine is not known."
        )
        return
    if len(fit.sizes) == 1:
        yield (
            f"The network of this machine is fitted to all-reduces among {fit.sizes[0]} workers "
            "alone: how they grow with the number of workers is the law of the ring, and was not "
            "measured."
        )
    if fit.alpha_us > SLOW_LATENCY * network.alpha_us:
        own = report.projections[0]
        largest = own.rows[-1].workers
        slower = forecast_step(own.terms, largest, Network(network.beta_gb_s, fit.alpha_us))
        alone_s = forecast_step(own.terms, 1, network).seconds
        yield (
            f"An all-reduce has a latency of {fit.alpha_us:,.0f} µs here, where no cable is: it is "
            f"that of TensorFlow and gRPC. The projection takes {network.alpha_us:g} µs; with that "
            f"of this machine, {largest} workers reach "
            f"{100 * alone_s / slower.seconds:.0f} % instead of "
            f"{100 * own.rows[-1].efficiency:.0f} %."
        )


def _advise_on_step(report: ScalingReport) -> Iterator[str]:
    if report.base.device == "CPU" and len(report.projections) == 1:
        yield (
            f"A step takes {format_ms(report.projections[0].terms.compute_s)} ms on this CPU, "
            "behind which a network hides. On a GPU it is shorter, and the network weighs more: "
            "name its seconds with --step_s."
        )
    if report.base.cache == "none":
        yield (
            "The chips are read in every epoch: the projection assumes that where they lie, all "
            "workers are served as fast as one."
        )


def format_ms(seconds: float) -> str:
    """Milliseconds, with three digits."""
    return f"{1000 * seconds:,.0f}" if seconds >= 0.1 else f"{1000 * seconds:.3g}"

"""What weakens a comparison of dates, in sentences that name the effect.

for warning in advise(intervals, dates, rules, has_probabilities): …
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lcseg.change.registration import LEAST_WINDOWS
from lcseg.change.report import DateInfo, Interval
from lcseg.change.search import Rules

_LARGE_PX = 0.5
"""A shift of images below it moves hardly a border to the next pixel."""

_FEW_SHARE = 0.5
_MUCH_SHARE = 0.25
_SURE_SHARE = 0.05
_UNKNOWN_SHARE = 0.01
_SOME_SHARE = 0.05


def advise(
    intervals: Sequence[Interval],
    dates: Sequence[DateInfo],
    rules: Rules,
    has_probabilities: bool,
) -> Iterator[str]:
    """Say what a reader of the figures must know."""
    for date in dates:
        if date.fitness and not date.fitness.is_fit:
            yield (
                f"{date.name}: the model has not seen the like of its image ({date.fitness}): "
                "differences may be those of season, sensor or stretch, not of the ground"
            )
    for interval in intervals:
        yield from _advise_interval(interval, rules, has_probabilities)
    if not has_probabilities:
        yield (
            "there are no probabilities, so every difference counts that borders and size do not "
            "explain, errors of both maps among them (lcseg predict --probabilities)"
        )


def _advise_interval(interval: Interval, rules: Rules, has_probabilities: bool) -> Iterator[str]:
    shift = interval.shift
    if shift and shift.is_sure and shift.size_px > max(_LARGE_PX, rules.edge_tolerance_px):
        yield (
            f"{interval.name}: the images lie {shift.size_px:.1f} px off each other, so that every "
            f"border seems to have moved by as much; align them, or let "
            f"--edge_tolerance_px={-(-shift.size_px // 1):.0f} leave such changes out"
        )
    elif shift and not shift.is_sure:
        reason = f"{shift.n_windows} windows disagree by {shift.spread_px:.1f} px"
        if shift.n_windows < LEAST_WINDOWS:
            reason = "hardly anything in them could be compared"
        yield f"{interval.name}: how far the images lie off each other is not known: {reason}"
    known, cells = interval.raw.known_pixels, interval.raw.pixels
    total = sum(map(sum, cells)) - cells[-1][-1]
    if known < _FEW_SHARE * total:
        yield (
            f"{interval.name}: only {100 * known / max(total, 1):.0f} % of the ground has a class "
            "at both dates; the rest counts nowhere"
        )
    filtering = interval.filtering
    if filtering.unknown > _UNKNOWN_SHARE * filtering.differing:
        yield (
            f"{interval.name}: {100 * filtering.unknown / filtering.differing:.0f} % of what "
            "differs has no probability, and counts all the same"
        )
    is_unsure = filtering.change < _SURE_SHARE * filtering.differing and not rules.min_area_m2
    if has_probabilities and is_unsure and filtering.differing > _SOME_SHARE * known:
        yield (
            f"{interval.name}: the maps differ on {100 * filtering.differing / known:.0f} % of "
            "their area and hardly anywhere surely: the model does not know this imagery well "
            "enough, and that nothing changed is not shown either"
        )
    if interval.raw.changed_pixels > _MUCH_SHARE * max(known, 1):
        yield (
            f"{interval.name}: the maps differ on "
            f"{100 * interval.raw.changed_pixels / max(known, 1):.0f} % of their area, which is "
            "more than land changes: see that both are of this place and of the same classes"
        )

"""What came of corrections of labels, for the manifest, the report and the user.

info = sum_corrections(plan, outcomes)         # None: nothing was to be corrected
info.relabelled_pixels, info.changes           # by label and new class
print(describe_corrections(info), end="")
for warning in advise_corrections(plan, outcomes): …
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator

from lcseg.classes import IGNORE
from lcseg.records.manifest import ChangeInfo, CorrectionsInfo
from lcseg.records.parts import PartOutcome
from lcseg.records.plan import Plan
from lcseg.records.relabelling import Changes

_SHOWN = 8


def sum_corrections(plan: Plan, outcomes: Iterable[PartOutcome]) -> CorrectionsInfo | None:
    """Sum up what corrections have changed in the chips that were kept."""
    corrections = plan.corrections
    if corrections is None:
        return None
    changes = _merge(outcomes)
    names: dict[int, str | None] = {**dict(enumerate(plan.scheme.names)), IGNORE: None}
    ways = tuple(
        ChangeInfo(names[old], names[new], changes.pixels[old][new])
        for old in names
        for new in names
        if old in changes.pixels and changes.pixels[old][new]
    )
    return CorrectionsInfo(
        corrections.file,
        corrections.sha256,
        corrections.places,
        sum(way.pixels for way in ways if way.new_class is not None),
        sum(way.pixels for way in ways if way.new_class is None),
        ways,
    )


def advise_corrections(plan: Plan, outcomes: Iterable[PartOutcome]) -> Iterator[str]:
    """Say which corrections came to nothing, and which contradict each other, a sentence each."""
    corrections = plan.corrections
    if corrections is None:
        return
    changes = _merge(outcomes)
    file, idle = corrections.file, set(corrections.judged) - set(changes.places)
    if not corrections.judged:
        yield f"Nothing in {file} corrects a label: no verdict there is wrong or unsure."
    if corrections.outside:
        yield (
            f"Corrections {_list(corrections.outside)} of {file} lie outside of every scene: "
            "check their CRS, or convert those scenes too."
        )
    if found := idle - set(corrections.outside):
        yield (
            f"Corrections {_list(found)} of {file} change no pixel of a chip: they lie between "
            "chips or where the image has no data, no pixel there has their label, or all have "
            "the new one."
        )
    if changes.contested:
        yield (
            f"Corrections {_list(changes.contested)} of {file} contradict others on the same "
            "pixels, which are ignored: settle their verdicts."
        )


def describe_corrections(info: CorrectionsInfo | None) -> str:
    """A line on what was corrected, with its end; empty where nothing was to be."""
    if info is None:
        return ""
    return (
        f"{info.file}: {info.relabelled_pixels:,} pixels have another class, "
        f"{info.ignored_pixels:,} are ignored\n"
    )


def _merge(outcomes: Iterable[PartOutcome]) -> Changes:
    tallies = (tally for outcome in outcomes for tally in outcome.tallies)
    return functools.reduce(Changes.merge, (tally.changes for tally in tallies), Changes())


def _list(ids: Iterable[int]) -> str:
    """Name some places, the first ones only if they are many."""
    ordered = sorted(set(ids))
    more = f" and {len(ordered) - _SHOWN:,} more" if len(ordered) > _SHOWN else ""
    return ", ".join(map(str, ordered[:_SHOWN])) + more

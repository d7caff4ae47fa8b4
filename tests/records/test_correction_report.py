"""What came of corrections, summed over parts in any order."""

from collections import Counter
from types import SimpleNamespace

import pytest

from lcseg.classes import load_scheme
from lcseg.records.correction_report import (
    advise_corrections,
    describe_corrections,
    sum_corrections,
)
from lcseg.records.corrections import Corrections
from lcseg.records.manifest import ChangeInfo
from lcseg.records.relabelling import Changes

PLACES = {"wrong": 3, "right": 1, "unsure": 1, "open": 5}
PLAN = SimpleNamespace(
    scheme=load_scheme("chesapeake-4"),
    corrections=Corrections("suspects.gpkg", "0" * 64, PLACES, (), (1, 2, 3, 4), (4,)),
)


def come_of(*changes: Changes) -> list[SimpleNamespace]:
    """Outcomes of parts, each of one piece."""
    return [SimpleNamespace(tallies=[SimpleNamespace(changes=change)]) for change in changes]


OUTCOMES = come_of(
    Changes({1: Counter({0: 1000, 255: 30})}, Counter({1: 1030})),
    Changes({255: Counter({2: 7}), 1: Counter({0: 500})}, Counter({2: 507}), Counter({1: 5, 2: 5})),
    Changes(),
)


@pytest.mark.parametrize("outcomes", [OUTCOMES, OUTCOMES[::-1]])
def test_changes_of_all_parts_are_summed_by_classes(outcomes):
    info = sum_corrections(PLAN, outcomes)
    assert info.changes == (
        ChangeInfo("tree/forest", "water", 1500),
        ChangeInfo("tree/forest", None, 30),
        ChangeInfo(None, "grass/herbaceous", 7),
    )
    assert (info.relabelled_pixels, info.ignored_pixels) == (1507, 30)
    assert (info.file, info.places) == ("suspects.gpkg", PLACES)
    line = "suspects.gpkg: 1,507 pixels have another class, 30 are ignored\n"
    assert describe_corrections(info) == line


def test_what_came_to_nothing_and_what_is_contradicted_is_told_by_ids():
    outside, idle, contested = advise_corrections(PLAN, OUTCOMES)
    assert outside.startswith("Corrections 4 of suspects.gpkg lie outside of every scene")
    assert idle.startswith("Corrections 3 of suspects.gpkg change no pixel of a chip")
    assert contested.startswith("Corrections 1, 2 of suspects.gpkg contradict others")


def test_of_many_places_the_first_are_named():
    many = Corrections("a.gpkg", "", PLACES, (), tuple(range(1, 31)), ())
    plan = SimpleNamespace(scheme=PLAN.scheme, corrections=many)
    (idle,) = advise_corrections(plan, come_of(Changes()))
    assert idle.startswith("Corrections 1, 2, 3, 4, 5, 6, 7, 8 and 22 more of a.gpkg change no")


def test_without_a_file_there_is_nothing_to_tell():
    plan = SimpleNamespace(scheme=PLAN.scheme, corrections=None)
    assert sum_corrections(plan, OUTCOMES) is None
    assert list(advise_corrections(plan, OUTCOMES)) == []
    assert describe_corrections(None) == ""

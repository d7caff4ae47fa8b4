"""How good a map is, and how much there is of each class, by points that people have looked at.

report = assess_area(AreaConfig(map="map.tif", reference="points.gpkg", out="area"))
print(report.estimates.table())
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from lcseg.classes import IGNORE, ClassScheme, LandClass, load_scheme
from lcseg.errors import LcsegError
from lcseg.evaluation.area import AreaEstimates, estimate
from lcseg.evaluation.area_report import AreaReport, write_area_report
from lcseg.evaluation.config import AreaConfig
from lcseg.evaluation.net_change import estimate_change
from lcseg.evaluation.sample import Sample, list_ids, read_sample
from lcseg.evaluation.strata import Strata, count_strata, read_classes
from lcseg.raster.class_map import open_class_map
from lcseg.raster.dataset import bounded_cache
from lcseg.records.folder import open_workspace
from lcseg.transitions import classes_of

_FEW_POINTS = 20


def assess_area(config: AreaConfig) -> AreaReport:
    """Judge a map by a sample, estimate its areas, and write the report if a folder is named."""
    if not config.out:
        return _assess(config)
    with open_workspace(Path(config.out)) as space:
        report = _assess(config)
        write_area_report(report, space.folder)
    return report


def label_references(
    path: str, references: tuple[str | None, ...], scheme: ClassScheme
) -> np.ndarray:
    """The classes that people filled in, uint8 [n]; 255 where nothing is filled in.

    Args:
        path: of the points, for errors.
        references: names of classes, in any case, or values of the map's pixels; of transitions,
            also those of the two classes, as "water to water".
        scheme: of the map.

    Raises:
        LcsegError: lists what is neither.
    """
    classes = list(enumerate(scheme.classes))
    known = {str(code).casefold(): i for i, land in classes for code in land.codes}
    known |= {land.name.casefold(): i for i, land in classes}
    known |= _name_transitions(scheme)
    unknown = {text for text in references if text is not None and text.casefold() not in known}
    if unknown:
        shown = ", ".join(repr(text) for text in sorted(unknown)[:8])
        raise LcsegError(
            path,
            f"the references {shown} name no class",
            f"the classes are {', '.join(map(_name_with_codes, scheme.classes))}",
        )
    return np.array([IGNORE if t is None else known[t.casefold()] for t in references], np.uint8)


def _name_transitions(scheme: ClassScheme) -> dict[str, int]:
    """Transitions by both their classes, each by its name or index; none for another scheme."""
    names = classes_of(scheme) or ()
    return {
        f"{before} to {after}".casefold(): i * len(names) + j
        for i, j in itertools.product(range(len(names)), repeat=2)
        for before, after in itertools.product((names[i], str(i)), (names[j], str(j)))
    }


def _name_with_codes(land: LandClass) -> str:
    return f"{land.name} ({', '.join(map(str, land.codes))})"


def _assess(config: AreaConfig) -> AreaReport:
    scheme = load_scheme(config.classes) if config.classes else None
    with bounded_cache(), open_class_map(config.map, scheme) as mapped:
        sample = read_sample(config.reference, mapped.grid)
        labels = label_references(config.reference, sample.references, mapped.scheme)
        is_filled = _choose_filled(config, labels, mapped.scheme)
        strata = count_strata(mapped, config.quiet)
        mapped_labels = read_classes(mapped, sample.rows, sample.cols)
        _require_sampled(config, sample, strata, mapped_labels)
        scheme = mapped.scheme
    n = scheme.n_classes
    counts = np.zeros((n, n), np.int64)
    np.add.at(counts, (mapped_labels[is_filled], labels[is_filled]), 1)
    is_whole = counts.sum(axis=1) == strata.pixels
    try:
        estimates = estimate(counts, strata.hectares, scheme.names, is_whole)
        change = estimate_change(counts, strata.hectares, scheme, is_whole)
    except ValueError as error:
        raise LcsegError(config.reference, str(error), "fill in more points") from error
    left_out = np.bincount(mapped_labels[~is_filled], minlength=n)
    return AreaReport(
        map=config.map,
        reference=config.reference,
        scheme=scheme,
        estimates=estimates,
        change=change,
        notes=tuple(_note(estimates, left_out, is_whole)),
        details=_describe(sample, strata, is_filled),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _require_sampled(
    config: AreaConfig, sample: Sample, strata: Strata, mapped_labels: np.ndarray
) -> None:
    """Refuse a map that the points were not drawn from."""
    if strata.digest != sample.map_digest:
        raise LcsegError(
            config.map,
            f"is not the map that {config.reference} was drawn from: its digest is "
            f"{strata.digest}, not {sample.map_digest}",
            "give that map, with the same --classes",
        )
    if (mapped_labels == IGNORE).any():
        ids = list_ids(np.flatnonzero(mapped_labels == IGNORE) + 1)
        raise LcsegError(config.reference, f"points {ids} lie where the map has no class")


def _choose_filled(config: AreaConfig, labels: np.ndarray, scheme: ClassScheme) -> np.ndarray:
    """Which points have a reference, bool [n]; those that have none are refused unless allowed."""
    is_filled = labels != IGNORE
    missing = np.flatnonzero(~is_filled) + 1
    if len(missing) == len(labels):
        fields = "field reference" if classes_of(scheme) is None else "fields before and after"
        raise LcsegError(config.reference, "no point has a reference", f"fill in their {fields}")
    if len(missing) and not config.leave_out_unfilled:
        raise LcsegError(
            config.reference,
            f"{len(missing):,} of {len(labels):,} points have no reference: {list_ids(missing)}",
            "fill them in, or leave them out with --leave_out_unfilled",
        )
    return is_filled


def _note(estimates: AreaEstimates, left_out: np.ndarray, is_whole: np.ndarray) -> Iterator[str]:
    """What weakens the estimates."""
    if left_out.any():
        parts = [
            f"{n:,} of {c.name}" for n, c in zip(left_out, estimates.classes, strict=True) if n
        ]
        yield (
            f"{left_out.sum():,} points without a reference were left out ({', '.join(parts)}); "
            "the estimates take them to be like the others of their class"
        )
    for i, land in enumerate(estimates.classes):
        points = sum(estimates.counts[i])
        if land.users is None:
            yield f"{land.name} is not on the map, so what there is of it was found by chance alone"
        elif is_whole[i]:
            continue
        elif points < _FEW_POINTS:
            yield f"{land.name} has {points} points only; its intervals are rough"
        elif land.users.value == 1:
            yield (
                f"no error was seen among the {points} points of {land.name}; its interval of 0 "
                f"says that errors are rare (below {300 / points:.1f} %), not that there are none"
            )


def _describe(sample: Sample, strata: Strata, is_filled: np.ndarray) -> dict[str, str]:
    smallest, largest = strata.row_m2.min(), strata.row_m2.max()
    pixel = (
        f"{largest:,.6g} m²"
        if smallest == largest
        else (f"{smallest:,.6g} to {largest:,.6g} m², by its row")
    )
    return {
        "points": f"{is_filled.sum():,} of {len(is_filled):,} drawn, seed {sample.seed}",
        "map digest": strata.digest,
        "mapped": f"{strata.pixels.sum():,} pixels",
        "pixel": pixel,
        "estimators": "Olofsson et al. 2014, Remote Sensing of Environment 148, stratified",
    }

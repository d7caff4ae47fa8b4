"""Where labels are probably wrong, as a file that people fill in, and a report.

report = audit(AuditConfig("audit", probabilities="p.tif", label="lc.tif", classes="chesapeake-4"))
report = audit(AuditConfig("audit", data="data", folds=3), ["lcseg"])    # trains three models
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import shapely

from lcseg.audit.config import AuditConfig
from lcseg.audit.evidence import Evidence, open_rasters
from lcseg.audit.outline import to_ground, trace_place
from lcseg.audit.places import Place
from lcseg.audit.report import (
    SUSPECTS,
    AuditReport,
    ClassRow,
    LeftOut,
    PairRow,
    PlaceRow,
    created_now,
    write_report,
)
from lcseg.audit.search import Findings, search
from lcseg.audit.subject import Subject
from lcseg.audit.thumbnails import draw_thumbnail
from lcseg.classes import load_scheme
from lcseg.raster.crs import LONLAT, is_same_crs
from lcseg.raster.dataset import bounded_cache
from lcseg.records.folder import Workspace, open_workspace
from lcseg.records.suspects import Suspect, write_suspects

_CACHE_MB = 48

_UNKNOWN_GROUND = 0.1
"""Share of a scene's labels that so many errors are rather the model's."""

_NAMED_SCENES = 3


def audit(config: AuditConfig, program: Sequence[str] = ()) -> AuditReport:
    """Find labels that are probably wrong, and write the file of places and the report.

    Args:
        config: what to audit, and how.
        program: with folds: the command line of lcseg, which is run to train each model.

    Raises:
        LcsegError: something does not fit, or a model could not be trained.
        InterruptedRunError: a signal came; the same call goes on from there.
    """
    with (
        open_workspace(Path(config.out)) as space,
        bounded_cache(_CACHE_MB),
        _open_subject(config, space, program) as subject,
    ):
        findings = search(subject.evidence, subject.scheme.n_classes, config)
        least, evidence = findings.sums.least, subject.evidence
        places = findings.harvest.places
        shapes = [
            trace_place(evidence[place.scene], place, least, config.edge_tolerance_px)
            for place in places
        ]
        thumbnails = [
            draw_thumbnail(evidence[place.scene], shape, subject.scheme)
            for place, shape in zip(places, shapes, strict=True)
        ]
        report = _report(subject, findings, config)
        crs = _shared_crs([one.grid.crs for one in evidence])
        suspects = [
            _suspect(row, evidence[place.scene], shape, crs)
            for row, place, shape in zip(report.places, places, shapes, strict=True)
        ]
        write_suspects(space.folder / SUSPECTS, crs, suspects)
        write_report(report, thumbnails, space.folder)
    return report


@contextmanager
def _open_subject(
    config: AuditConfig, space: Workspace, program: Sequence[str]
) -> Iterator[Subject]:
    if config.probabilities:
        scheme = load_scheme(config.classes)
        with open_rasters(config, scheme) as evidence:
            yield Subject(config.label, config.probabilities, scheme, [evidence])
        return
    # TensorFlow is waited for by those alone who need it.
    from lcseg.audit.predicting import predict_folds, predict_split

    yield predict_folds(config, space, program) if config.folds else predict_split(config, space)


def _report(subject: Subject, findings: Findings, config: AuditConfig) -> AuditReport:
    names, sums, harvest = subject.scheme.names, findings.sums, findings.harvest
    joint = findings.joint.estimate(sums.pixels)
    classes = tuple(
        ClassRow(
            name,
            int(n),
            threshold,
            float(1 - joint[index, index] / joint[index].sum()) if n else None,
        )
        for index, (name, n, threshold) in enumerate(
            zip(names, sums.pixels, sums.thresholds, strict=True)
        )
    )
    pairs = [
        PairRow(
            names[label],
            names[suggested],
            count.places,
            count.pixels,
            _known(count.area_m2 / 1e4),
            count.confidence,
        )
        for (label, suggested), count in harvest.pairs.items()
    ]
    return AuditReport(
        labels=subject.labels,
        predictions=subject.predictions,
        scheme=subject.scheme,
        classes=classes,
        joint=tuple(tuple(row) for row in joint.tolist()),
        pairs=tuple(sorted(pairs, key=lambda pair: -pair.pixels)),
        places=tuple(
            _row(number, place, subject) for number, place in enumerate(harvest.places, start=1)
        ),
        left_out=tuple(
            LeftOut(reason, count.places, count.pixels) for reason, count in harvest.dropped.items()
        ),
        notes=(*subject.notes, *_notes(subject, findings)),
        details={
            "labelled pixels": f"{int(sums.pixels.sum()):,}",
            "scenes": f"{len(subject.evidence):,}",
            "borders may be off by": f"{config.edge_tolerance_px} px",
            "least area": f"{config.min_area_m2:g} m²" if config.min_area_m2 else "any",
            "places to list": f"{config.places:,}",
        },
        created=created_now(),
    )


def _row(number: int, place: Place, subject: Subject) -> PlaceRow:
    evidence, names = subject.evidence[place.scene], subject.scheme.names
    return PlaceRow(
        id=number,
        scene=evidence.scene,
        date=evidence.date,
        row=place.first[0],
        col=place.first[1],
        label=names[place.label],
        suggested=names[place.suggested],
        pixels=place.pixels,
        area_m2=_known(place.area_m2),
        confidence=place.confidence,
        label_probability=place.label_probability,
        score=place.score,
    )


def _suspect(
    row: PlaceRow, evidence: Evidence, shape: shapely.Geometry, crs: str | None
) -> Suspect:
    """A place as people get it: with the model's class as what they might fill in."""
    return Suspect(
        to_ground(shape, evidence.grid, crs, evidence.path),
        row.id,
        scene=row.scene,
        date=row.date,
        label=row.label,
        suggested=row.suggested,
        confidence=row.confidence,
        label_probability=row.label_probability,
        pixels=row.pixels,
        area_m2=math.nan if row.area_m2 is None else row.area_m2,
        score=row.score,
        new_class=row.suggested,
    )


def _notes(subject: Subject, findings: Findings) -> list[str]:
    notes = [
        f"no pixel is labelled {name}: how sure the model is where it is right is not known, "
        "so it is suggested nowhere"
        for name, n in zip(subject.scheme.names, findings.sums.pixels, strict=True)
        if not n
    ]
    shares = [
        (count.contradicted / max(count.labelled, 1), evidence.scene)
        for count, evidence in zip(findings.scenes, subject.evidence, strict=True)
    ]
    strange = sorted((one for one in shares if one[0] > _UNKNOWN_GROUND), reverse=True)
    if strange:
        named = ", ".join(
            f"{100 * share:.0f} % of {scene or 'the labels'}"
            for share, scene in strange[:_NAMED_SCENES]
        )
        more = f" and {len(strange) - _NAMED_SCENES} more" if len(strange) > _NAMED_SCENES else ""
        notes.append(f"the model contradicts {named}{more}: there it is rather the model that errs")
    return notes


def _shared_crs(crs: Sequence[str | None]) -> str | None:
    """The CRS that all scenes have, or else longitude and latitude; None: they have none."""
    first = crs[0]
    if first is None or all(other and is_same_crs(first, other) for other in crs):
        return first
    return LONLAT


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value

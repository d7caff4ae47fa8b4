"""How good a model or a map is, as a report.

report = assess(EvaluateConfig(model="run/bundle", data="data", out="report"))
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from lcseg.classes import ClassScheme, load_scheme
from lcseg.errors import LcsegError
from lcseg.evaluation.card import complete_card
from lcseg.evaluation.chips import draw_predictions, examine_chips
from lcseg.evaluation.config import EvaluateConfig
from lcseg.evaluation.findings import Findings
from lcseg.evaluation.maps import examine_map
from lcseg.evaluation.places import read_places
from lcseg.evaluation.report import Pictures, Report, write_report
from lcseg.evaluation.tally import rank_scenes
from lcseg.model.bundle import Bundle, load_bundle
from lcseg.pictures import draw_panels, figure_png
from lcseg.pipeline.caching import plan_cache
from lcseg.pipeline.store import ChipStore
from lcseg.raster.grid import pixel_sizes_agree
from lcseg.raster.source import bands_agree
from lcseg.records.folder import open_workspace
from lcseg.records.manifest import Manifest, read_manifest

_LOG = logging.getLogger("lcseg")

PANEL_CHIPS = 4


def assess(config: EvaluateConfig) -> Report:
    """Judge a bundle on a split, or a map by a label raster, and write the report."""
    out = Path(config.out)
    with open_workspace(out) as space:
        report, pictures = _assess_bundle(config) if config.model else _assess_map(config)
        write_report(report, space.folder, pictures)
    return report


def choose_chips(store: ChipStore, n: int) -> list[int]:
    """Choose the chips whose labels show the most: many classes, evenly (entropy), few ignored."""
    share = store.histograms / store.histograms.sum(axis=1, keepdims=True)
    share[:, -1] = 0
    entropy = -(share * np.log(np.maximum(share, 1e-12))).sum(axis=1)
    return sorted(np.argsort(-entropy, kind="stable")[:n].tolist())


def _assess_bundle(config: EvaluateConfig) -> tuple[Report, Pictures]:
    bundle, manifest = load_bundle(config.model), read_manifest(config.data)
    require_fit(bundle, manifest, config.data)
    cache = plan_cache(config.data, manifest, [config.split])
    _LOG.info("%s", cache)
    store = cache.open(config.split, config.quiet)
    stride_px = bundle.info.stride_px
    findings = examine_chips(
        bundle.model,
        store,
        read_places(config.data, manifest, config.split),
        manifest.class_scheme,
        stride_px,
        config,
    )
    chips = choose_chips(store, PANEL_CHIPS)
    scheme = bundle.info.class_scheme
    rows = draw_predictions(bundle.model, store, chips, scheme, stride_px)
    panels = figure_png(draw_panels(["image", "label", "prediction"], rows, scheme))
    details = {
        "trained for": f"{bundle.info.step:,} steps",
        "data digest": manifest.digest[:16],
        "chips": f"{len(store):,} of {manifest.chip_px} px",
    }
    reference = f"{config.data}, split {config.split}"
    report = _report(config.model, reference, scheme, findings, details)
    complete_card(bundle, reference, report.scores)
    return report, Pictures(panels, findings.tiles)


def _assess_map(config: EvaluateConfig) -> tuple[Report, Pictures]:
    scheme = load_scheme(config.classes)
    findings = examine_map(config, scheme)
    report = _report(config.map, config.label, scheme, findings, {})
    return report, Pictures(tiles=findings.tiles)


def _report(
    subject: str,
    reference: str,
    scheme: ClassScheme,
    findings: Findings,
    details: dict[str, str],
) -> Report:
    confusion = findings.tally.confusion
    return Report(
        title=f"{scheme.name}: how good is it?",
        subject=subject,
        reference=reference,
        scheme=scheme,
        counts=confusion.cells,
        scores=confusion.scores(scheme.names),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        details=details,
        calibration=findings.tally.reliability.calibration(),
        by_distance=findings.tally.distances(scheme.names),
        by_scene=rank_scenes(findings.by_scene, scheme.names),
        worst=findings.worst,
    )


def require_fit(bundle: Bundle, manifest: Manifest, data: str) -> None:
    """Refuse a data set, of that name, that the bundle cannot be judged on."""
    fix = "judge the bundle on data like that which it was trained on"
    info, names = bundle.info, manifest.class_scheme.names
    for what, is_fit, expected, found in (
        ("bands", bands_agree(info.bands, manifest.bands), info.bands, manifest.bands),
        ("pixels", info.dtype == manifest.dtype, (info.dtype,), (manifest.dtype,)),
        ("classes", info.class_scheme.names == names, info.class_scheme.names, names),
        (
            "pixel sizes",
            pixel_sizes_agree(info.pixel_m, manifest.pixel_m),
            (f"{info.pixel_m} m",),
            (f"{manifest.pixel_m} m",),
        ),
    ):
        if not is_fit:
            problem = f"its {what} are {', '.join(found)}, the bundle's {', '.join(expected)}"
            raise LcsegError(data, problem, fix)
    # Chips are padded to the stride by reflection, which cannot double them.
    if 2 * manifest.chip_px <= info.stride_px:
        least_px = info.stride_px // 2
        problem = f"its chips have {manifest.chip_px} px, the bundle needs more than {least_px}"
        raise LcsegError(data, problem, fix)

"""How good a model or a map is, as a report.

report = assess(EvaluateConfig(model="run/bundle", data="data", out="report"))
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from lcseg.classes import IGNORE, ClassScheme, load_scheme
from lcseg.errors import LcsegError
from lcseg.evaluation.config import EvaluateConfig
from lcseg.evaluation.confusion import Confusion
from lcseg.evaluation.report import Report, write_report
from lcseg.evaluation.scoring import ChipScorer, score_map
from lcseg.model.bundle import Bundle, load_bundle
from lcseg.pictures import draw_panels, figure_png, stretch
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
        report, panels = _assess_bundle(config) if config.model else _assess_map(config)
        write_report(report, space.folder, panels)
    return report


def choose_chips(store: ChipStore, n: int) -> list[int]:
    """Choose the chips whose labels show the most: many classes, evenly (entropy), few ignored."""
    share = store.histograms / store.histograms.sum(axis=1, keepdims=True)
    share[:, -1] = 0
    entropy = -(share * np.log(np.maximum(share, 1e-12))).sum(axis=1)
    return sorted(np.argsort(-entropy, kind="stable")[:n].tolist())


def draw_predictions(
    model: keras.Model, store: ChipStore, chips: list[int], scheme: ClassScheme, multiple_px: int
) -> list[list[np.ndarray]]:
    """Picture chips as rows of (image, label, prediction), uint8 [H, W, 3] each."""
    rows = []
    for chip in chips:
        image, label = store.read_chip(chip)
        height, width = label.shape
        pad = [[0, -height % multiple_px], [0, -width % multiple_px], [0, 0]]
        logits = model(np.pad(image, pad, "reflect")[None], training=False)
        prediction = tf.argmax(logits[0, :height, :width], -1).numpy().astype(np.uint8)
        valid = np.any(image, axis=-1)
        prediction[~valid] = IGNORE
        rows.append([stretch(image, valid), scheme.colorize(label), scheme.colorize(prediction)])
    return rows


def _assess_bundle(config: EvaluateConfig) -> tuple[Report, bytes]:
    bundle, manifest = load_bundle(config.model), read_manifest(config.data)
    _require_fit(bundle, manifest, config)
    cache = plan_cache(config.data, manifest, [config.split])
    _LOG.info("%s", cache)
    store = cache.open(config.split, config.quiet)
    stride_px = bundle.info.stride_px
    scorer = ChipScorer(bundle.model, manifest.class_scheme.n_classes)
    confusion, _ = scorer.score(store, config.batch, stride_px, config.quiet)
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
    return _report(config.model, reference, scheme, confusion, details), panels


def _assess_map(config: EvaluateConfig) -> tuple[Report, None]:
    scheme = load_scheme(config.classes)
    confusion = score_map(
        config.map,
        config.label,
        scheme,
        config.label_band,
        config.allow_ungeoreferenced,
        config.quiet,
    )
    return _report(config.map, config.label, scheme, confusion, {}), None


def _report(
    subject: str,
    reference: str,
    scheme: ClassScheme,
    confusion: Confusion,
    details: dict[str, str],
) -> Report:
    return Report(
        title=f"{scheme.name}: how good is it?",
        subject=subject,
        reference=reference,
        scheme=scheme,
        counts=confusion.cells,
        scores=confusion.scores(scheme.names),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        details=details,
    )


def _require_fit(bundle: Bundle, manifest: Manifest, config: EvaluateConfig) -> None:
    """Refuse a data set that the bundle cannot be judged on."""
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
            raise LcsegError(config.data, problem, fix)
    # Chips are padded to the stride by reflection, which cannot double them.
    if 2 * manifest.chip_px <= info.stride_px:
        least_px = info.stride_px // 2
        problem = f"its chips have {manifest.chip_px} px, the bundle needs more than {least_px}"
        raise LcsegError(config.data, problem, fix)

"""What a conversion will do, before a pixel is read.

plan = make_plan(ConvertConfig(images="*_naip.tif", labels="*_lc.tif", classes="chesapeake-4",
                               out="data"))
plan.scenes, plan.layouts, plan.parts
"""

from __future__ import annotations

from dataclasses import dataclass

from lcseg.classes import ClassScheme, load_scheme
from lcseg.raster.pairing import Pair, pair_globs, read_pairs
from lcseg.raster.site import Site
from lcseg.records.config import ConvertConfig
from lcseg.records.corrections import Corrections, place_corrections, read_verdicts
from lcseg.records.layout import Layout, lay_out
from lcseg.records.parts import Part, cut_parts
from lcseg.records.piece import Setting
from lcseg.records.selection import Selection
from lcseg.records.spec import RecordSpec
from lcseg.records.survey import Scene, survey


@dataclass(frozen=True)
class Plan:
    """A conversion, planned."""

    config: ConvertConfig
    scheme: ClassScheme
    scenes: list[Scene]
    sites: list[Site]
    layouts: list[Layout]  # One for each scene.
    parts: list[Part]
    corrections: Corrections | None  # Of labels; None: there are none.


def make_plan(config: ConvertConfig) -> Plan:
    """Look at all pairs, and decide where their chips lie and who is to do them."""
    scheme = load_scheme(config.classes)
    selection = Selection.parse(config.keep_below, config.min_labelled, scheme)
    # By their names: the order of the lines of a CSV must not change the splits.
    pairs = sorted(find_pairs(config), key=lambda pair: pair.key)
    verdicts = (
        read_verdicts(config.corrections, [pair.key for pair in pairs], scheme)
        if config.corrections
        else None
    )
    scenes = survey(pairs, scheme, config)
    corrections = place_corrections(verdicts, scenes) if verdicts else None
    sites, layouts = lay_out(scenes, config)
    first = scenes[0]
    spec = RecordSpec(
        config.chip_px, len(first.bands), first.dtype, scheme.n_classes, config.compression
    )
    setting = Setting(spec, scheme, selection, config.label_band, config.allow_ungeoreferenced)
    of_scene = corrections.of_scene if corrections else ()
    parts = list(cut_parts(scenes, layouts, setting, config.shard_mb * 1_000_000, of_scene))
    return Plan(config, scheme, scenes, sites, layouts, parts, corrections)


def find_pairs(config: ConvertConfig) -> list[Pair]:
    """The pairs that the flags name."""
    return read_pairs(config.pairs) if config.pairs else pair_globs(config.images, config.labels)

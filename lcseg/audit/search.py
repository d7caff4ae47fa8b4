"""Two looks at all evidence: what is confident, class by class, and where labels contradict that.

findings = search(evidence, n_classes=4, config=config)
findings.harvest.places                        # the most certain one first
findings.sums.thresholds, findings.joint.estimate(findings.sums.pixels)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lcseg.audit.confident import ConfidentJoint, SelfConfidence
from lcseg.audit.config import AuditConfig
from lcseg.audit.evidence import Evidence
from lcseg.audit.marks import mark_places
from lcseg.audit.places import Harvest, Rules
from lcseg.classes import IGNORE
from lcseg.errors import LcsegError
from lcseg.progress import Progress
from lcseg.raster.patches import Patches
from lcseg.raster.pixel_area import measure_rows


@dataclass(frozen=True)
class SceneCount:
    """How many labels of a scene are contradicted."""

    labelled: int = 0  # Pixels with a label and a probability.
    contradicted: int = 0  # Of these, those that another class is confidently in.

    def add(self, sure_hw: np.ndarray, label_hw: np.ndarray) -> SceneCount:
        """Count the pixels of a block."""
        return SceneCount(
            self.labelled + int(np.count_nonzero(label_hw != IGNORE)),
            self.contradicted + int(np.count_nonzero(sure_hw)),
        )


@dataclass(frozen=True)
class Findings:
    """All that was found."""

    sums: SelfConfidence  # Of all labelled pixels.
    joint: ConfidentJoint  # Of all labelled pixels.
    harvest: Harvest  # The places.
    scenes: tuple[SceneCount, ...]  # Of each evidence, in order.


def search(evidence: Sequence[Evidence], n_classes: int, config: AuditConfig) -> Findings:
    """Find the places where labels are contradicted; thresholds are those of all scenes together.

    Raises:
        LcsegError: no pixel has both a label and a probability, or a scene without a CRS is asked
            for areas.
    """
    for one in evidence:
        if config.min_area_m2 and not one.grid.crs:
            raise LcsegError(one.path, "has no CRS, so no areas", "leave --min_area_m2 out")
    n_blocks = sum(1 for one in evidence for _ in one.blocks())
    with Progress("audit", 2 * n_blocks, "blocks", config.quiet) as progress:
        sums = SelfConfidence.empty(n_classes)
        for one in evidence:
            for block in one.blocks():
                sums = sums.add(*one.read(block))
                progress.advance()
        if not sums.pixels.any():
            where = evidence[0].path if evidence else config.data
            raise LcsegError(where, "has no pixel with both a label and a probability")
        findings = Findings(sums, ConfidentJoint.empty(n_classes), Harvest(config.places), ())
        rules = Rules(n_classes, config.min_area_m2)
        for one in evidence:
            findings = _search_scene(one, findings, rules, config.edge_tolerance_px, progress)
    return findings


def _search_scene(
    one: Evidence, findings: Findings, rules: Rules, edge_px: int, progress: Progress
) -> Findings:
    """Add what is found in one more scene."""
    number, grid = len(findings.scenes), one.grid
    row_m2 = measure_rows(grid, one.path) if grid.crs else np.full(grid.height, np.nan)
    joint, harvest, count, patches = findings.joint, findings.harvest, SceneCount(), Patches()
    for block in one.blocks():
        wide = block.widen(edge_px)
        probs_hwk, label_hw = one.read(wide)
        marks = mark_places(probs_hwk, label_hw, findings.sums.least, edge_px)
        label_hw = label_hw[block.within(wide).slices]
        joint = joint.add(label_hw, marks.guess_hw)
        count = count.add(marks.sure_hw, label_hw)
        whole, _ = patches.add(block, marks.key_hw, marks.values)
        harvest = harvest.add(number, whole, row_m2, rules)
        progress.advance()
    harvest = harvest.add(number, patches.finish(), row_m2, rules)
    return Findings(findings.sums, joint, harvest, (*findings.scenes, count))

"""What is audited, by what: all that a search needs to know.

subject = Subject("lc.tif", "probabilities.tif", scheme, [evidence])
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lcseg.audit.evidence import Evidence
from lcseg.classes import ClassScheme


@dataclass(frozen=True)
class Subject:
    """Labels, and predictions that may contradict them."""

    labels: str  # As the report names them.
    predictions: str  # As the report names them.
    scheme: ClassScheme  # The classes.
    evidence: Sequence[Evidence]  # Of each scene.
    notes: tuple[str, ...] = ()  # What weakens the findings, a sentence each.

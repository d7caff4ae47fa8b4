"""What a user should know before training, each with what to do about it.

for warning in advise(pairs, splits, scheme): …
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from lcseg.classes import ClassScheme
from lcseg.raster.pairing import SPLITS
from lcseg.records.ground import REFUSED
from lcseg.records.manifest import SplitSummary
from lcseg.records.pair_report import PairReport

_OTHER_DEAL = "try another --seed, a smaller --block_chips or a larger share"
_SHOWN = 3

FULL_OVERLAP = 0.99
"""The share of an image from which on its label raster counts as covering it."""

MUCH = 0.5
"""The share of pixels without image, or without label, that is worth a word."""

LEAST_SHIFT_PX = 0.05


def advise(
    pairs: Sequence[PairReport],
    splits: Mapping[str, SplitSummary],
    scheme: ClassScheme,
    wanted: Sequence[str] = SPLITS,
) -> Iterator[str]:
    """Say what a user should act on, one sentence each, the gravest first.

    Args:
        pairs: of the conversion.
        splits: what each split holds.
        scheme: the classes.
        wanted: the splits that are meant to hold chips.
    """
    empty = [split for split in wanted if not splits[split].chips]
    for split in empty:
        use = "be learnt from" if split == "train" else "measure the model with"
        yield f"{split} holds no chip: there is nothing to {use}; {_OTHER_DEAL}."
    held = {split: summary for split, summary in splits.items() if summary.chips}
    for index, name in enumerate(scheme.names):
        without = [split for split, summary in held.items() if not summary.class_pixels[index]]
        if without:
            yield _miss_class(name, without, len(without) == len(held))
    for applies, text in _OF_PAIRS:
        found = [pair for pair in pairs if applies(pair)]
        if found:
            yield text.format(_name(found))


def _miss_class(name: str, without: Sequence[str], is_nowhere: bool) -> str:
    if is_nowhere:
        return f"{name} occurs nowhere: check the codes of the scheme, or take the class out."
    effects = []
    if "train" in without:
        effects.append("it cannot be learnt")
    if set(without) - {"train"}:
        effects.append("its scores there are unknown")
    return f"{name} is missing from {' and '.join(without)}: {', '.join(effects)}; {_OTHER_DEAL}."


def _is_off(pair: PairReport) -> bool:
    """Whether the pixels of the label raster lie between those of the image."""
    is_shifted = pair.sampling == "shifted"
    return is_shifted and any(abs(off) > LEAST_SHIFT_PX for off in pair.off_px)


_OF_PAIRS: tuple[tuple[Callable[[PairReport], bool], str], ...] = (
    (
        lambda pair: not pair.kept,
        "No chip comes from {}: see why chips were dropped, or take them out.",
    ),
    (
        lambda pair: bool(pair.dropped.get(REFUSED)),
        "Chips of {} were given up: their ground is that of a scene in another split; if they are "
        "many, put scenes of one place into one split, or use --split_by=block.",
    ),
    (
        lambda pair: pair.overlap < FULL_OVERLAP,
        "The label raster does not cover the whole image of {}: what it leaves out is not learnt; "
        "check that the two belong together.",
    ),
    (
        lambda pair: pair.nodata > MUCH,
        "Most pixels are without image in {}: check the nodata value and the alpha band.",
    ),
    (
        lambda pair: pair.ignored > MUCH,
        "Most pixels of the image are without label in {}: check the ignored codes of the scheme.",
    ),
    (
        lambda pair: bool(pair.crs and pair.label_crs) and pair.crs != pair.label_crs,
        "Image and label are in different CRSs in {}: labels were projected; look at some with "
        "lcseg inspect --preview.",
    ),
    (
        _is_off,
        "Labels lie between the pixels of the image in {}: their edges are off by up to half a "
        "pixel; if both were made on one grid, correct the georeferencing.",
    ),
)
"""When a pair is worth a word, and which."""


def _name(pairs: Sequence[PairReport]) -> str:
    names = ", ".join(pair.key for pair in pairs[:_SHOWN])
    more = len(pairs) - _SHOWN
    return f"{names} and {more:,} more" if more > 0 else names

"""The model card of a bundle: `MODEL_CARD.md`, for people who must decide whether a model will do.

text = describe_model(info, manifest, scores)  # by training, for save_bundle
complete_card(bundle, "data, split test", scores)  # by evaluation: adds the scores to the card

A card is Markdown. Completing one replaces the section of the same heading, or adds one at the end;
what people have written into the others stays.
"""

from __future__ import annotations

import logging
import re

from tabulate import tabulate

from lcseg.errors import LcsegError
from lcseg.evaluation.confusion import Scores
from lcseg.files import exists, read_bytes, write_bytes
from lcseg.model.bundle import CARD, Bundle
from lcseg.model.info import BundleInfo, read_info
from lcseg.records.manifest import Manifest, describe

_LOG = logging.getLogger("lcseg")

POOR_IOU = 0.5
"""Classes whose IoU is lower are named among the limits."""

RARE_SHARE = 0.01
"""Classes with less of the labelled training pixels are named among the limits."""

_NETWORK = ("depth", "width", "kernel_px", "norm", "mixed_precision", "loss", "class_weights")
"""Settings that tell models apart."""


def describe_model(
    info: BundleInfo, manifest: Manifest | None = None, validation: Scores | None = None
) -> str:
    """Write the card of a model.

    Args:
        info: what the bundle says of itself.
        manifest: of the data set that it was trained on; None: not at hand.
        validation: scores on the split that the best epoch was chosen by; None: not known.
    """
    scheme, config = info.class_scheme, info.config
    network = ", ".join(f"{name} {config[name]}" for name in _NETWORK if name in config)
    parts = [
        f"# {scheme.name}: model card",
        f"A U-Net{f' ({network})' if network else ''} that gives every pixel of an image one of "
        f"{scheme.n_classes} classes of land cover. Trained for {info.step:,} steps with "
        f"{info.created_by}. `bundle.json` has all settings. `lcseg evaluate` adds what it finds.",
        "## In and out",
        _describe_ends(info),
        "## Data",
        _describe_data(info, manifest),
        "## Limits",
        "\n".join(f"- {limit}" for limit in _list_limits(info, manifest, validation)),
    ]
    if validation:
        parts += [
            "## Scores on validation",
            f"{_fenced(validation.table())}\n\nThe best epoch was chosen by them, so they flatter "
            "a little.",
        ]
    return "\n\n".join(parts) + "\n"


def complete_card(bundle: Bundle, reference: str, scores: Scores) -> None:
    """Add scores to the card of a bundle; a bundle that cannot be written is left as it is.

    Args:
        bundle: what was judged.
        reference: what it was judged on.
        scores: what was found.
    """
    path = bundle.path / CARD
    try:
        if read_info(bundle.path).model_sha256 != bundle.info.model_sha256:
            raise LcsegError(bundle.path, "holds another model by now")
        text = read_bytes(path).decode() if exists(path) else describe_model(bundle.info)
        text = put_section(text, f"Scores on {reference}", _fenced(scores.table()))
        write_bytes(path, text.encode())
    except (OSError, LcsegError) as error:
        _LOG.info("model card: left as it is: %s", error)
    else:
        _LOG.info("model card: %s", path)


def put_section(text: str, heading: str, body: str) -> str:
    """Replace the section of a heading of the second level, or add it at the end."""
    line = f"## {heading}"
    sections = [part.rstrip("\n") for part in re.split(r"^(?=## )", text, flags=re.MULTILINE)]
    section = f"{line}\n\n{body}"
    place = next(
        (i for i, part in enumerate(sections) if part.split("\n")[0] == line), len(sections)
    )
    sections[place : place + 1] = [section]
    return "\n\n".join(sections) + "\n"


def _describe_ends(info: BundleInfo) -> str:
    width = f"{info.pixel_m:.4g} m wide" if info.pixel_m else "of unknown width"
    rows = [
        (i, land.name, land.color, ", ".join(map(str, land.codes)))
        for i, land in enumerate(info.class_scheme.classes)
    ]
    table = tabulate(
        rows, ["output", "class", "colour", "codes of the labels"], disable_numparse=True
    )
    return (
        f"In: raw pixels of {info.dtype}, {width} on the ground; bands {', '.join(info.bands)}; "
        f"sides that are multiples of {info.stride_px} px. The model sees {info.halo_px} px beyond "
        f"a pixel. Out: a logit of each class.\n\n{_fenced(table)}"
    )


def _describe_data(info: BundleInfo, manifest: Manifest | None) -> str:
    bands = tabulate(
        list(zip(info.bands, info.mean, info.std, strict=True)),
        ["band", "mean", "deviation"],
        floatfmt=".5g",
        disable_numparse=[0],
    )
    text = f"Digest of the data set: `{info.data_digest[:16]}`."
    if manifest:
        dates = sorted(source.date for source in manifest.sources if source.date)
        taken = f", taken from {dates[0][:10]} to {dates[-1][:10]}" if dates else ""
        text = (
            f"{len(manifest.sources):,} scenes{taken}, as chips of {manifest.chip_px} px. {text}"
            f"\n\n{_fenced(describe(manifest.splits, manifest.class_scheme))}"
        )
    return f"{text}\n\nThe valid pixels of the training split:\n\n{_fenced(bands)}"


def _list_limits(
    info: BundleInfo, manifest: Manifest | None, validation: Scores | None
) -> list[str]:
    pixel = f", and pixels of {info.pixel_m:.4g} m, 10 % more or less" if info.pixel_m else ""
    limits = [
        "It knows land like that of its scenes, in their seasons and their light. How good it is "
        "elsewhere, or with another sensor, is not known: judge it there first.",
        f"It takes these bands, in this order and in these units{pixel}.",
        "What is none of its classes gets one of them all the same.",
        "Scores are those of whole chips, at whose edges it sees less than in a scene.",
    ]
    if manifest and "train" in manifest.splits:
        pixels = manifest.splits["train"].class_pixels
        rare = [
            name
            for name, n in zip(info.class_scheme.names, pixels, strict=True)
            if n < RARE_SHARE * sum(pixels)
        ]
        if rare:
            limits.append(f"It has seen little of {', '.join(rare)}: less than 1 % of the labels.")
    poor = [c.name for c in validation.classes if (c.iou or 0) < POOR_IOU] if validation else []
    if poor:
        limits.append(f"It is poor at {', '.join(poor)}: IoU on validation below {POOR_IOU}.")
    if info.config.get("norm") == "group":
        limits.append(
            "It normalises by a whole window, so large maps are blended where its blocks meet."
        )
    return limits


def _fenced(text: str) -> str:
    return f"```\n{text}\n```"

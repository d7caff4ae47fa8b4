"""Transitions: from which class to which a pixel went, as classes of their own.

transitions = transition_scheme(scheme)        # of 4 classes: 16, of which 4 are "stable …"
code_hw = encode(before_hw, after_hw, n)       # uint8: before * n + after, 255 where not known
transitions.names[code]                        # "tree/forest to barren/impervious"

So a map of transitions is a class map like any other, and `lcseg sample` and `lcseg area` take it.
"""

from __future__ import annotations

import numpy as np

from lcseg.classes import IGNORE, ClassScheme, LandClass
from lcseg.errors import LcsegError

MOST_CLASSES = 15
"""Their transitions, 225, fit into a byte."""

_SUFFIX = ", transitions"
_PALE = 0.78
"""How far the colour of what stays is on the way to white: what changed shall stand out."""

_FROM = 0.2
"""The share of the class that was, in the colour of a change."""


def transition_scheme(scheme: ClassScheme) -> ClassScheme:
    """The classes of a map of transitions, in the order of their codes.

    What stays has the pale colour of its class, what changes nearly that of the class it became.
    """
    require_tellable(scheme, "--classes")
    palette = scheme.palette.astype(float)
    classes: list[LandClass] = []
    for i, before in enumerate(scheme.names):
        for j, after in enumerate(scheme.names):
            if i == j:
                name, color = f"stable {before}", palette[i] + (255 - palette[i]) * _PALE
            else:
                name, color = f"{before} to {after}", _FROM * palette[i] + (1 - _FROM) * palette[j]
            text = "#{:02X}{:02X}{:02X}".format(*np.rint(color).astype(int))
            classes.append(LandClass(name, text, (len(classes),)))
    return ClassScheme(scheme.name + _SUFFIX, tuple(classes), ignore=(IGNORE,))


def classes_of(transitions: ClassScheme) -> tuple[str, ...] | None:
    """The names of the classes between which a scheme has all transitions; None: it is no such."""
    n = round(transitions.n_classes**0.5)
    if n * n != transitions.n_classes:
        return None
    names = tuple(name.removeprefix("stable ") for name in transitions.names[:: n + 1])
    expected = [
        f"stable {before}" if before == after else f"{before} to {after}"
        for before in names
        for after in names
    ]
    return names if expected == list(transitions.names) else None


def require_tellable(scheme: ClassScheme, where: object) -> None:
    """Refuse schemes whose transitions do not fit into a byte, or cannot be told apart by name."""
    if scheme.n_classes > MOST_CLASSES:
        raise LcsegError(
            where,
            f"has {scheme.n_classes} classes, and change is told between {MOST_CLASSES} at most",
            "join classes: give the codes of several to one class in --classes",
        )
    names = [f"{before} to {after}" for before in scheme.names for after in scheme.names]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise LcsegError(
            where,
            f"has class names of which two transitions are called {twice[0]!r}",
            "name classes without 'to'",
        )


def encode(before_hw: np.ndarray, after_hw: np.ndarray, n_classes: int) -> np.ndarray:
    """Codes of transitions, uint8 [H, W], of uint8 class indices; 255 where one is not known."""
    is_known = (before_hw != IGNORE) & (after_hw != IGNORE)
    # In bytes: what does not fit is not known, and is replaced.
    code_hw = before_hw * np.uint8(n_classes) + after_hw
    return np.where(is_known, code_hw, np.uint8(IGNORE))


def decode(code_hw: np.ndarray, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Class indices before and after, uint8 [H, W] each, of codes; 255 where not known."""
    before_hw, after_hw = np.divmod(code_hw, np.uint8(n_classes))
    is_known = code_hw != IGNORE
    missing = np.uint8(IGNORE)
    return np.where(is_known, before_hw, missing), np.where(is_known, after_hw, missing)


def find_changed(code_hw: np.ndarray, n_classes: int) -> np.ndarray:
    """Whether the class is another one, bool [H, W], by codes of transitions."""
    return (code_hw != IGNORE) & (code_hw % np.uint8(n_classes + 1) != 0)

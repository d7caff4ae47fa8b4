"""Pages of HTML that ask for nothing else, from templates that share their style and pieces.

page = page_environment("lcseg.records").get_template("conversion.html")
html = page.render(report=report)

A template can `{% import "parts.html" as parts %}`: the head with the style, figures, pictures.
"""

from __future__ import annotations

import base64
import functools
from collections.abc import Callable
from pathlib import Path

import jinja2

from lcseg.files import replaced

_PACKAGE = "lcseg"
_NOTHING = "–"


@functools.cache
def page_environment(*packages: str, **filters: Callable[..., str]) -> jinja2.Environment:
    """Make the environment for the HTML templates of packages.

    Args:
        packages: where templates are looked for, in this order, before the pieces that all share.
        filters: what the templates may call beside `FILTERS`, by name.
    """
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [jinja2.PackageLoader(name, "") for name in dict.fromkeys((*packages, _PACKAGE))]
        ),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= FILTERS | filters
    return environment


def write_page(path: str | Path, html: str) -> None:
    """Write a page, aside and renamed."""
    with replaced(path) as aside:
        aside.write_text(html, encoding="utf-8")


def _percent(share: float | None) -> str:
    return _NOTHING if share is None else f"{100 * share:.1f}"


def _thousands(count: int) -> str:
    return f"{count:,}"


def _data_url(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()


FILTERS: dict[str, Callable[..., str]] = {
    "percent": _percent,
    "thousands": _thousands,
    "data_url": _data_url,
}
"""What all templates may call: `{{ share | percent }}`."""

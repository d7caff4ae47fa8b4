"""The page of `lcseg serve` in a real browser: what tests of it have in common."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import BrowserContext, Page

from lcseg.classes import load_scheme

DESKTOP, PHONE = (1280, 800), (360, 740)
PATIENCE_MS = 60_000
COLORS = {
    land.name: tuple(bytes.fromhex(land.color[1:])) for land in load_scheme("chesapeake-4").classes
}

_WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (e) => window.violations.push(e.blockedURI));
window.asking = 0;
window.askedAt = 0;
const plainFetch = window.fetch;
window.fetch = async (...args) => {
  window.asking += 1;
  try {
    return await plainFetch(...args);
  } finally {
    window.asking -= 1;
    window.askedAt = performance.now();
  }
};
"""
_SETTLED = """
() => document.querySelector("#shares tbody tr") && document.getElementById("status").hidden
  && window.asking === 0 && performance.now() - window.askedAt > 600
"""
"""Longer than the map moves, and than the page waits for more of it."""


def run_server(*flags: str) -> Iterator[str]:
    """Run `lcseg serve` until it is done with, and give the address of its page."""
    program = str(Path(sys.executable).with_name("lcseg"))
    with subprocess.Popen([program, "serve", *flags], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            address = re.search(r"http://\S+", process.stdout.readline())
            assert address, "the server did not start; its words are below"
            yield address.group()
        finally:
            process.terminate()


def open_page(context: BrowserContext) -> Page:
    page = context.new_page()
    page.add_init_script(_WATCH)
    return page


def is_complaint(said: Any) -> bool:
    # What a test has answered with an error on purpose, the browser complains of too.
    return said.type in ("error", "warning") and "Failed to load resource" not in said.text


def is_near(url: str) -> bool:
    return url.startswith(("http://127.0.0.1:", "data:", "blob:http://127.0.0.1:"))


def settle(page: Page) -> None:
    """Wait until the page asks for nothing more."""
    page.evaluate("window.askedAt = performance.now()")
    page.wait_for_function(_SETTLED)


def hash_of(page: Page) -> dict[str, str]:
    return dict(part.split("=") for part in page.url.split("#")[1].split("&"))


def color_at(page: Page, across: float, down: float = 0.3) -> tuple[int, ...]:
    """The colour on the screen at shares of the map's width and height."""
    picture = Image.open(io.BytesIO(page.locator("#map").screenshot())).convert("RGB")
    color = picture.getpixel((int(across * picture.width), int(down * picture.height)))
    assert isinstance(color, tuple)
    return color


def colors_of(page: Page, left: float, right: float) -> set[tuple[int, ...]]:
    """The colours of a part of the map that nothing lies upon."""
    picture = Image.open(io.BytesIO(page.locator("#map").screenshot())).convert("RGB")
    width, height = picture.size
    box = tuple(map(int, (left * width, 0.25 * height, right * width, 0.45 * height)))
    return set(map(tuple, np.asarray(picture.crop(box)).reshape(-1, 3).tolist()))  # type: ignore[arg-type]

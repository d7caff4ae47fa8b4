"""One place and one server for all tests of serving that change neither; and a browser."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
from collections.abc import Iterator

import pytest
from browsing import DESKTOP, PATIENCE_MS, is_complaint, is_near, open_page
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from served import Place, make_place, running

from lcseg.serving.config import ServeConfig

AXE = "axe-core@4.14.1"


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return make_place(tmp_path_factory.mktemp("served"))


@pytest.fixture(scope="session")
def address(place: Place) -> Iterator[str]:
    """The address of a server with the data sets "made" and "bare"."""
    with running(ServeConfig(config=str(place.write_config()), port=0)) as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    if program is None:
        pytest.skip("there is no chromium; on Debian: apt install chromium")
    expect.set_options(timeout=PATIENCE_MS / 2)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": DESKTOP[0], "height": DESKTOP[1]})
    context.set_default_timeout(PATIENCE_MS)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext, server: str) -> Iterator[Page]:
    """A tab that fails the test where the page leaves its origin, or the browser complains."""
    complaints: list[str] = []
    page = open_page(context)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda said: complaints.append(said.text) if is_complaint(said) else None)
    page.on("request", lambda asked: None if is_near(asked.url) else complaints.append(asked.url))
    yield page
    assert page.evaluate("window.violations") == []
    assert complaints == []


@pytest.fixture(scope="session")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The source of axe-core, which looks for what keeps people out."""
    folder = tmp_path_factory.mktemp("axe")
    subprocess.run(
        ["npm", "pack", "--silent", f"--pack-destination={folder}", AXE], check=True, cwd=folder
    )
    with tarfile.open(next(folder.glob("*.tgz"))) as packed:
        source = packed.extractfile("package/axe.min.js")
        assert source
        return source.read().decode()

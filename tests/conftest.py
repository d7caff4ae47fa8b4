"""Small real things to test with: rasters, a data set, a bundle, and the program itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import settings
from rasterio.transform import Affine

from lcseg.runtime import start_tensorflow

start_tensorflow()

from bundles import make_bundle  # noqa: E402

from lcseg.model.config import UNetConfig  # noqa: E402
from lcseg.records.config import ConvertConfig  # noqa: E402
from lcseg.records.conversion import convert  # noqa: E402
from lcseg.synthetic import Landscape, make_landscape  # noqa: E402

# A shell that starts pytest in the background ignores SIGINT, which all its programs take over.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The same cases in every run.
settings.register_profile("fixed", derandomize=True)
settings.load_profile("fixed")

CRS = "EPSG:26918"
TRANSFORM = (1.0, 0.0, 400_000.0, 0.0, -1.0, 4_300_000.0)
PATIENCE_S = 1800
"""A program that takes longer hangs: the demo takes minutes, and many on a slow machine."""
RasterMaker = Callable[..., str]


def write_raster(
    path: str | Path,
    values: np.ndarray,
    crs: str | None = CRS,
    transform: tuple[float, ...] | None = TRANSFORM,
    nodata: float | None = None,
    driver: str = "GTiff",
    colormap: dict[int, tuple[int, ...]] | None = None,
    **options: object,
) -> str:
    """Write [H, W] or [H, W, C] values as a raster of one go."""
    bands = values[..., None] if values.ndim == 2 else values
    place = {} if transform is None else {"transform": Affine(*transform)}
    with rasterio.open(
        path,
        "w",
        driver=driver,
        height=bands.shape[0],
        width=bands.shape[1],
        count=bands.shape[2],
        dtype=bands.dtype,
        crs=crs,
        nodata=nodata,
        **place,
        **options,
    ) as dataset:
        dataset.write(np.moveaxis(bands, -1, 0))
        if colormap:
            dataset.write_colormap(1, colormap)
    return str(path)


@pytest.fixture
def make_raster(tmp_path: Path) -> RasterMaker:
    """A function that writes a raster into the test's own folder: (name, values, …) -> path."""

    def make(name: str, values: np.ndarray, **options: object) -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return write_raster(path, values, **options)  # type: ignore[arg-type]

    return make


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three georeferenced scenes of 192 px: `N_image.tif`, `N_label.tif`."""
    folder = tmp_path_factory.mktemp("scenes")
    for seed in range(3):
        scene = make_landscape(Landscape(192, seed, unlabelled_share=0.1, nodata_share=0.05))
        place = (1.0, 0.0, 400_000.0 + 1000 * seed, 0.0, -1.0, 4_300_000.0)
        image, label = (folder / f"{seed}_{what}.tif" for what in ("image", "label"))
        write_raster(image, scene.image_hwc, transform=place, nodata=0)
        write_raster(label, scene.codes_hw, transform=place)
    return folder


@pytest.fixture(scope="session")
def dataset(scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of 64 px chips of those scenes, four classes, split by blocks of one chip."""
    out = tmp_path_factory.mktemp("data") / "dataset"
    convert(
        ConvertConfig(
            classes="chesapeake-4",
            out=str(out),
            images=f"{scenes}/*_image.tif",
            labels=f"{scenes}/*_label.tif",
            chip_px=64,
            block_chips=1,
            quiet=True,
        )
    )
    return out


@pytest.fixture(scope="session")
def save_bundle_of() -> Callable[..., Path]:
    """A function that saves the bundle of an untrained model: (folder, config, …) -> folder."""
    return make_bundle


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of a small U-Net: 4 bands of uint8 at 1 m, four classes."""
    return make_bundle(tmp_path_factory.mktemp("bundle") / "bundle", UNetConfig(2, 4))


@pytest.fixture
def lcseg() -> Callable[..., subprocess.CompletedProcess[str]]:
    """A function that runs `lcseg VERB …` as a user would."""

    def run(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
        program = Path(sys.executable).with_name("lcseg")
        return subprocess.run(  # type: ignore[call-overload, no-any-return]
            [str(program), *arguments],
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
            env={**os.environ},
            **options,
        )

    return run


class Server:
    """A program that runs until it serves a page.

    Attributes:
        printed: what it printed before.
        address: of the page.
    """

    def __init__(self, *arguments: str, **options: object) -> None:
        program = Path(sys.executable).with_name("lcseg")
        self.process = subprocess.Popen(  # type: ignore[call-overload]
            [str(program), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # No browser shall open.
            env={**os.environ, "BROWSER": "true"},
            **options,
        )
        printed = []
        for line in self.process.stdout:
            if line.startswith("page "):
                self.printed, self.address = "".join(printed), line.split()[1]
                return
            printed.append(line)
        raise AssertionError(f"no page: {self.process.wait()} {self.process.stderr.read()}")

    def end(self) -> tuple[int, str]:
        """End it as its user would; returns its status and what it wrote to stderr."""
        self.process.send_signal(signal.SIGINT)
        _, errors = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, errors

    def kill(self) -> None:
        """End it whatever it does."""
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def serving() -> Iterator[Callable[..., tuple[str, str, Callable[[], tuple[int, str]]]]]:
    """A function that runs `lcseg VERB …` until it serves a page.

    It returns what was printed before, the address of the page, and a function that ends the
    server as its user would, and returns its status and what it wrote to stderr.
    """
    started: list[Server] = []

    def begin(*arguments: str, **options: object) -> tuple[str, str, Callable[[], tuple[int, str]]]:
        server = Server(*arguments, **options)
        started.append(server)
        return server.printed, server.address, server.end

    yield begin
    for server in started:
        server.kill()


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Server]]:
    """The demo, gone the whole way once: the folder that has `demo-run`, and the live page."""
    folder = tmp_path_factory.mktemp("demo")
    server = Server("demo", "--out=demo-run", "--serve", "--port=0", cwd=folder)
    yield folder, server
    server.kill()


@pytest.fixture
def real_data() -> Path:
    """The folder of real imagery; without it the test is skipped."""
    folder = os.environ.get("LCSEG_REAL_DATA")
    if not folder:
        pytest.skip("LCSEG_REAL_DATA does not name a folder of real imagery")
    return Path(folder)

"""Prediction, reading and writing included, beside its limits and beside others.

- The bare network on the same padded blocks, and all but the network.
- Two worker processes, each on its own core, beside one.
- A scene of which nine tenths hold no data, beside one that is full.
- GeoAI's `predict_geotiff` with half overlap and a network of the same size, where the variable
  GEOAI_PYTHON names the Python of an environment that has it (pip install geoai-py).
"""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from unittest import mock

from benchmarks.scenes import BANDS, write_scene
from benchmarks.timing import race, report
from lcseg.runtime import start_tensorflow

start_tensorflow()

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from distributed import Client  # noqa: E402

from benchmarks.bundles import write_bundle  # noqa: E402
from lcseg.model.bundle import load_bundle  # noqa: E402
from lcseg.model.info import BundleInfo  # noqa: E402
from lcseg.prediction import parts  # noqa: E402
from lcseg.prediction.blocks import plan_blocks, read_padded  # noqa: E402
from lcseg.prediction.config import PredictConfig  # noqa: E402
from lcseg.prediction.mapping import predict_map  # noqa: E402
from lcseg.raster.source import open_image  # noqa: E402
from lcseg.synthetic import Landscape, make_landscape  # noqa: E402

SIZE_PX = 8192
BLOCK_PX = 1024
MPX = SIZE_PX**2 / 1e6
_FULL_SHARE = 0.1


class _Copier:
    """In place of a network: the first band is the class."""

    def __init__(self, info: BundleInfo) -> None:
        self.info = info

    def classify(self, padded_nhwc: np.ndarray) -> np.ndarray:
        halo_px = self.info.halo_px
        return padded_nhwc[:, halo_px:-halo_px, halo_px:-halo_px, 0] // 52


class Bench:
    """A bundle, a scene, and ways to map it."""

    def __init__(self, folder: Path) -> None:
        self.bundle, self.scene, self.sparse, self.small = (
            folder / name for name in ("bundle", "scene.tif", "sparse.tif", "small.tif")
        )
        self._out = folder / "map.tif"
        tile_hwc = make_landscape(Landscape(1024)).image_hwc
        write_scene(self.scene, tile_hwc, SIZE_PX, 0, BANDS)
        write_scene(self.small, tile_hwc, 4 * BLOCK_PX, 0, BANDS)
        self._write_sparse(tile_hwc)
        write_bundle(self.bundle)

    def _write_sparse(self, tile_hwc: np.ndarray) -> None:
        """A scene whose first tenth of rows holds data."""
        import rasterio

        with rasterio.open(self.scene) as full:
            profile = full.profile | {"nodata": 0, "SPARSE_OK": True}
        rows = int(SIZE_PX * _FULL_SHARE)
        with rasterio.open(self.sparse, "w", **profile) as dataset:
            values_chw = np.tile(np.moveaxis(tile_hwc, -1, 0), (1, 1, SIZE_PX // 1024))
            window = rasterio.windows.Window(0, 0, SIZE_PX, rows)
            dataset.write(np.maximum(values_chw[:, :rows], 1), window=window)
            dataset.descriptions = BANDS

    def _config(self, scene: Path, scheduler: str = "") -> PredictConfig:
        for path in self._out.parent.glob("map.*"):
            path.unlink()
        return PredictConfig(
            str(self.bundle),
            str(scene),
            str(self._out),
            block_px=BLOCK_PX,
            scheduler=scheduler,
            quiet=True,
        )

    def predict(self, scene: Path) -> float:
        """Seconds that a map takes in this process."""
        return predict_map(self._config(scene)).seconds

    def predict_pinned(self, cores: list[int]) -> float:
        """Seconds that a map takes with a Dask worker on each of some cores, which are warm."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        address = f"tcp://127.0.0.1:{port}"
        python = f"{sys.executable} -m distributed.cli"
        commands = [
            f"{python}.dask_scheduler --no-dashboard --host 127.0.0.1 --port {port}",
            *(
                f"taskset -c {core} {python}.dask_worker {address} --nthreads 1"
                " --no-dashboard --memory-limit 0"
                for core in cores
            ),
        ]
        with ExitStack() as stack:
            for command in commands:
                process = subprocess.Popen(
                    command.split(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
                )
                stack.callback(process.wait)
                stack.callback(process.kill)
            with Client(address) as client:
                client.wait_for_workers(len(cores))
            predict_map(self._config(self.small, address))
            return predict_map(self._config(self.scene, address)).seconds

    def predict_by_geoai(self) -> float:
        """Seconds that GeoAI says it took, and its peak memory, printed."""
        out = self._out.with_name("geoai.tif")
        out.unlink(missing_ok=True)
        command = [os.environ["GEOAI_PYTHON"], "benchmarks/geoai_predict.py"]
        done = subprocess.run(
            [*command, str(self.scene), str(out)], check=True, capture_output=True, text=True
        )
        seconds, peak_gb, weights = map(float, done.stdout.split()[-3:])
        print(f"GeoAI: {weights:,.0f} weights, peak {peak_gb:.2f} GB")
        return seconds

    def race_bare(self) -> None:
        bundle = load_bundle(self.bundle)
        print(f"{bundle.model.count_params():,} weights, {SIZE_PX} px square, 4 bands, 5 classes\n")
        forward = tf.function(lambda images: tf.argmax(bundle.model(images, training=False), -1))
        with open_image(str(self.scene)) as image:
            blocks = [
                read_padded(image, block, bundle.info.halo_px)[0]
                for block in plan_blocks(image.grid.window, BLOCK_PX, bundle.info.stride_px)
            ]

        def infer() -> None:
            for padded_hwc in blocks:
                forward(padded_hwc[None]).numpy()

        forward(blocks[0][None])

        def predict_without() -> float:
            with mock.patch.object(parts, "load_backend", lambda *_: _Copier(bundle.info)):
                return self.predict(self.scene)

        rivals = {
            "predict": lambda: self.predict(self.scene),
            "all but the network": predict_without,
            "bare network": infer,
        }
        report("Mpx/s", race(rivals, MPX, repeats=3), "bare network", target=0.95)

    def race_nodata(self) -> None:
        rivals = {
            "a tenth full": lambda: self.predict(self.sparse),
            "full": lambda: self.predict(self.scene),
        }
        report("Mpx/s", race(rivals, MPX, repeats=2), "full", target=5.0)

    def race_workers(self) -> None:
        rivals = {
            "2 workers": lambda: self.predict_pinned([0, 1]),
            "1 worker": lambda: self.predict_pinned([0]),
        }
        report("Mpx/s", race(rivals, MPX, repeats=2), "1 worker", target=1.8)

    def race_geoai(self) -> None:
        rivals = {"predict": lambda: self.predict(self.scene), "GeoAI": self.predict_by_geoai}
        if "GEOAI_PYTHON" in os.environ:
            report("Mpx/s", race(rivals, MPX, repeats=1), "GeoAI", target=6.0)
            own_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
            print(f"peak of this process: {own_gb:.2f} GB")


def main() -> None:
    names = sys.argv[1:] or ["bare", "nodata", "workers", "geoai"]
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        for name in names:
            getattr(bench, f"race_{name}")()


if __name__ == "__main__":
    main()

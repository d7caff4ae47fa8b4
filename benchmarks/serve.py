"""Live maps: how soon a tile is there, beside the bare network and beside titiler.

- Warm tiles for one client: the blocks are predicted already.
- Cold tiles for one client, beside the time that the bare network takes for their blocks.
- Six clients, beside a titiler server with a custom algorithm that asks the same network on the
  same image (pip install titiler.core).
"""

from __future__ import annotations

import http.client
import importlib.util
import itertools
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.scenes import BANDS, write_scene
from benchmarks.timing import race, report
from lcseg.runtime import start_tensorflow

start_tensorflow()

import numpy as np  # noqa: E402
import rasterio  # noqa: E402
import tensorflow as tf  # noqa: E402
from rasterio.enums import Resampling  # noqa: E402

from benchmarks.bundles import write_bundle  # noqa: E402
from lcseg.model.bundle import load_bundle  # noqa: E402
from lcseg.serving.dataset import BLOCK_PX  # noqa: E402
from lcseg.serving.tiling import TMS  # noqa: E402
from lcseg.synthetic import Landscape, make_landscape  # noqa: E402

SIZE_PX = 4096
CLIENTS = 6
ZOOM = 17
"""At which the tiles' pixels come nearest to those of the scene, of 1 m."""

TARGET_WARM_MS = 60.0
TARGET_COLD = 3.0


class Visitor:
    """A client that keeps its connection."""

    def __init__(self, port: int) -> None:
        self._link = http.client.HTTPConnection("127.0.0.1", port, timeout=120)

    def get(self, path: str) -> float:
        """Seconds until the answer is there."""
        started_s = time.perf_counter()
        self._link.request("GET", path)
        answer = self._link.getresponse()
        body = answer.read()
        if answer.status != http.client.OK:
            raise RuntimeError(f"{path}: {answer.status} {body[:200]!r}")
        return time.perf_counter() - started_s


@contextmanager
def served(command: Sequence[str], port: int, path: str) -> Iterator[int]:
    """Run a server, and wait until it answers."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        while process.poll() is None:
            try:
                Visitor(port).get(path)
                break
            except (ConnectionError, http.client.HTTPException):
                time.sleep(0.2)
        yield port
    finally:
        process.terminate()
        process.wait()


def find_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def list_tiles(scene: Path) -> list[tuple[int, int]]:
    """Columns and rows of the tiles that lie wholly on a scene, in an order that jumps about."""
    with rasterio.open(scene) as dataset:
        bounds = rasterio.warp.transform_bounds(dataset.crs, "OGC:CRS84", *dataset.bounds)
    tiles = [(tile.x, tile.y) for tile in TMS.tiles(*bounds, ZOOM)]
    columns, rows = ({*axis} for axis in zip(*tiles, strict=True))
    edges = {min(columns), max(columns)}, {min(rows), max(rows)}
    inner = [(x, y) for x, y in tiles if x not in edges[0] and y not in edges[1]]
    random.Random(0).shuffle(inner)
    return inner


def visit(port: int, paths: Sequence[str], clients: int) -> float:
    """Seconds that some clients take to get all paths between them."""
    shares = [paths[i::clients] for i in range(clients)]

    def get_all(share: Sequence[str]) -> None:
        visitor = Visitor(port)
        for path in share:
            visitor.get(path)

    threads = [threading.Thread(target=get_all, args=(share,)) for share in shares]
    started_s = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - started_s


def measure_block(bundle: Path) -> float:
    """Seconds that the bare network takes for a block with its halo."""
    loaded = load_bundle(bundle)
    side = BLOCK_PX + 2 * loaded.info.halo_px
    forward = tf.function(lambda images: tf.nn.softmax(loaded.model(images, training=False)))
    image = np.random.default_rng(0).integers(0, 255, (1, side, side, 4), np.uint8)
    forward(image)
    times = []
    for _ in range(20):
        started_s = time.perf_counter()
        forward(image).numpy()
        times.append(time.perf_counter() - started_s)
    return statistics.median(times)


def measure_cold(port: int, to_path: Callable[[int, int], str], tiles: Sequence[tuple[int, int]]):
    """Seconds, and blocks that had to be predicted, of tiles that share none."""
    visitor, found = Visitor(port), []
    apart = [(x, y) for x, y in tiles if x % 3 == 0 and y % 3 == 0]
    for x, y in apart:
        before = count_blocks(port)
        seconds = visitor.get(to_path(x, y))
        found.append((seconds, count_blocks(port) - before))
    return found


def count_blocks(port: int) -> int:
    link = http.client.HTTPConnection("127.0.0.1", port)
    link.request("GET", "/metrics")
    lines = link.getresponse().read().decode().splitlines()
    link.close()
    (line,) = (line for line in lines if line.startswith("lcseg_blocks_predicted_total"))
    return int(float(line.split()[1]))


def say(name: str, value: float, target: float, unit: str) -> None:
    verdict = "pass" if value <= target else "MISS"
    print(f"{name}, target at most {target:g}{unit}: {verdict} at {value:.2f}{unit}")


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        bundle, scene = Path(name) / "bundle", Path(name) / "scene.tif"
        write_bundle(bundle)
        tile_hwc = make_landscape(Landscape(1024)).image_hwc
        write_scene(scene, tile_hwc, SIZE_PX, 0, BANDS)
        with rasterio.open(scene, "r+") as dataset:
            dataset.build_overviews([2, 4, 8], Resampling.average)
        tiles = list_tiles(scene)
        port, other = find_port(), find_port()
        lcseg = [sys.executable, "-c", "from lcseg.cli import main; main()", "serve"]
        lcseg += [f"--model={bundle}", f"--image={scene}", f"--port={port}"]
        titiler = [sys.executable, "-m", "benchmarks.titiler_server", str(bundle), str(other)]
        asked = {"url": scene, "algorithm": "classify", "buffer": 32, "bidx": [1, 2, 3, 4]}
        query = urllib.parse.urlencode(asked, doseq=True)

        def own_path(x: int, y: int) -> str:
            return f"/tiles/scene/classes/{ZOOM}/{x}/{y}.png"

        def other_path(x: int, y: int) -> str:
            return f"/tiles/WebMercatorQuad/{ZOOM}/{x}/{y}.png?{query}"

        first = tiles[0]
        with served(lcseg, port, "/healthz"):
            cold = measure_cold(port, own_path, tiles[1:])
            block_s = measure_block(bundle)
            shares = sorted(s / (max(n, 1) * block_s) for s, n in cold)
            print(f"{len(cold)} cold tiles; the bare network takes {1e3 * block_s:.0f} ms a block")
            p95 = shares[int(0.95 * len(shares))]
            say("95th percentile of a cold tile in times of its blocks", p95, TARGET_COLD, "")
            paths = list(itertools.starmap(own_path, tiles))
            visit(port, paths, CLIENTS)
            visitor = Visitor(port)
            warm_ms = sorted(1e3 * visitor.get(path) for path in paths * 2)
            middle, late = warm_ms[len(warm_ms) // 2], warm_ms[int(0.95 * len(warm_ms))]
            print(f"{len(warm_ms)} warm tiles, one client: median {middle:.1f} ms")
            say("95th percentile of a warm tile", late, TARGET_WARM_MS, " ms")
            if importlib.util.find_spec("titiler") is None:
                print("titiler is not installed: pip install titiler.core")
                return
            others = list(itertools.starmap(other_path, tiles))[:60]
            with served(titiler, other, other_path(*first)):
                rivals = {
                    "lcseg serve": lambda: visit(port, paths[:60], CLIENTS),
                    "titiler": lambda: visit(other, others, CLIENTS),
                }
                print()
                rates = race(rivals, len(others), repeats=3)
            report(f"tiles/s, {CLIENTS} clients", rates, "titiler", target=3.0)


if __name__ == "__main__":
    main()

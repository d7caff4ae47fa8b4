"""Lossless ways to store chips: size against the rates of writing and reading, on one core.

LCSEG_REAL_DATA=… python -m benchmarks.compression

Without the folder of real imagery, made-up landscapes alone are measured.
"""

from __future__ import annotations

import collections
import io
import os
import statistics
import struct
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from tabulate import tabulate

from benchmarks.timing import race
from lcseg.raster.grid import Window
from lcseg.raster.source import open_image
from lcseg.records.example import Example
from lcseg.runtime import start_tensorflow
from lcseg.synthetic import Landscape, make_landscape

start_tensorflow()

import tensorflow as tf  # noqa: E402

CHIP_PX, READS, REPEATS = 256, 64, 3
KEYS = ("image", "label")
Chip = tuple[np.ndarray, np.ndarray]
Shapes = tuple[tuple[int, ...], tuple[int, ...]]


@dataclass(frozen=True)
class Way:
    """How an array [H, W, C] of uint8 is stored as bytes."""

    pack: Callable[[np.ndarray], bytes]
    unpack: Callable[[bytes, tuple[int, ...]], np.ndarray]
    unpack_tensor: Callable[[tf.Tensor, tuple[int, ...]], tf.Tensor]
    whole_file: bool = False  # The TFRecord file is compressed, and not each value.


def zlib_way(level: int) -> Way:
    return Way(
        lambda array: zlib.compress(array.tobytes(), level),
        lambda value, shape: to_array(zlib.decompress(value), shape),
        lambda value, shape: to_tensor(tf.io.decode_compressed(value, "ZLIB"), shape),
    )


def to_array(value: bytes, shape: tuple[int, ...]) -> np.ndarray:
    return np.frombuffer(value, np.uint8).reshape(shape)


def to_tensor(value: tf.Tensor, shape: tuple[int, ...]) -> tf.Tensor:
    return tf.reshape(tf.io.decode_raw(value, tf.uint8), shape)


def differ(array: np.ndarray) -> np.ndarray:
    """Each pixel less the one to its left, modulo 256."""
    return np.diff(array, axis=1, prepend=np.zeros_like(array[:, :1]))


def sum_tensor(tensor: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.cumsum(tf.cast(tensor, tf.int32), axis=1) % 256, tf.uint8)


def encode_png(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array.squeeze()).save(buffer, "png")
    return buffer.getvalue()


_RAW = (lambda array: array.tobytes(), to_array, to_tensor)
_ZLIB_1 = zlib_way(1)
WAYS = {
    "none": Way(*_RAW),
    "zlib 1": _ZLIB_1,
    "zlib 6": zlib_way(6),
    "zlib 1 of differences": Way(
        lambda array: _ZLIB_1.pack(differ(array)),
        lambda value, shape: np.cumsum(_ZLIB_1.unpack(value, shape), axis=1, dtype=np.uint8),
        lambda value, shape: sum_tensor(_ZLIB_1.unpack_tensor(value, shape)),
    ),
    "PNG": Way(
        encode_png,
        lambda value, shape: np.asarray(Image.open(io.BytesIO(value))).reshape(shape),
        lambda value, shape: tf.ensure_shape(tf.io.decode_png(value, shape[-1]), shape),
    ),
    "zlib 1 of the file": Way(*_RAW, whole_file=True),
}


def find_imagery() -> dict[str, list[Chip]]:
    """Chips with their labels, by kind of imagery."""
    scene = make_landscape(Landscape(4 * CHIP_PX))
    imagery = {"made-up landscape": cut(scene.image_hwc, scene.codes_hw)}
    real = os.environ.get("LCSEG_REAL_DATA")
    if real:
        patches = sorted(Path(real).glob("chesapeake-naip/patches/*_naip-new.tif"))
        labels = [path.with_name(path.name.replace("naip-new", "lc")) for path in patches]
        imagery["NAIP, 1 m, with its labels"] = [
            chip for pair in zip(patches, labels, strict=True) for chip in cut(*map(read, pair))
        ]
        for name, pattern in (("NAIP, 5 m", "naip-nd-5m"), ("NEON, 0.1 m, 3 bands", "neon-10cm")):
            paths = sorted(Path(real).glob(f"unlabelled/{pattern}/*.tif"))
            images = [read(path) for path in paths]
            imagery[name] = [
                chip for image in images for chip in cut(image, np.zeros_like(image[..., 0]))
            ]
    return imagery


def read(path: Path) -> np.ndarray:
    with open_image(str(path)) as image:
        return image.read(Window(0, 0, image.grid.height, image.grid.width))[0]


def cut(image_hwc: np.ndarray, label: np.ndarray) -> list[Chip]:
    """Whole chips, side by side."""
    height, width = image_hwc.shape[:2]
    label_hwc = label.reshape(height, width, 1).astype(np.uint8)
    places = [
        np.s_[row : row + CHIP_PX, col : col + CHIP_PX]
        for row in range(0, height - CHIP_PX + 1, CHIP_PX)
        for col in range(0, width - CHIP_PX + 1, CHIP_PX)
    ]
    return [(np.ascontiguousarray(image_hwc[p]), label_hwc[p].copy()) for p in places]


def write_records(way: Way, chips: list[Chip], path: Path) -> None:
    """Write chips, again and again until there are READS, into a TFRecord file."""
    kind = "ZLIB" if way.whole_file else ""
    options = tf.io.TFRecordOptions(kind, compression_level=1 if kind else None)
    records = []
    for chip in chips:
        example = Example()
        for key, array in zip(KEYS, chip, strict=True):
            example.features.feature[key].bytes_list.value.append(way.pack(array))
        records.append(example.SerializeToString())
    with tf.io.TFRecordWriter(str(path), options) as writer:
        for i in range(READS):
            writer.write(records[i % len(records)])


def read_records(way: Way, shapes: Shapes, path: Path) -> Iterator[Chip]:
    """Read such a file with Python, without a look at its checksums."""
    data = zlib.decompress(path.read_bytes()) if way.whole_file else path.read_bytes()
    at = 0
    while at < len(data):
        (size,) = struct.unpack_from("<Q", data, at)
        feature = Example.FromString(data[at + 12 : at + 12 + size]).features.feature
        values = (feature[key].bytes_list.value[0] for key in KEYS)
        image, label = (way.unpack(v, shape) for v, shape in zip(values, shapes, strict=True))
        yield image, label
        at += size + 16


def read_dataset(way: Way, shapes: Shapes, path: Path) -> tf.data.Dataset:
    wanted = {key: tf.io.FixedLenFeature([], tf.string) for key in KEYS}

    def parse(record: tf.Tensor) -> tuple[tf.Tensor, ...]:
        features = tf.io.parse_single_example(record, wanted)
        pairs = zip(KEYS, shapes, strict=True)
        return tuple(way.unpack_tensor(features[key], shape) for key, shape in pairs)

    return tf.data.TFRecordDataset(str(path), "ZLIB" if way.whole_file else "").map(parse)


def share(way: Way, arrays: list[np.ndarray]) -> float:
    """The packed size as a share of the raw one."""
    packed = [way.pack(array) for array in arrays]
    if way.whole_file:
        packed = [zlib.compress(b"".join(packed), 1)]
    return sum(map(len, packed)) / sum(array.nbytes for array in arrays)


def timed(work: Callable[[], object]) -> Callable[[], float]:
    """A rival that tells its seconds on a processor: those of one core, whoever else runs."""

    def run() -> float:
        started_s = time.process_time()
        work()
        return time.process_time() - started_s

    return run


def measure(way: Way, chips: list[Chip], path: Path) -> list[float]:
    """Sizes of image and label, and chips a second written, read, and read by tf.data."""
    image, label = chips[0]
    shapes = image.shape, label.shape
    write_records(way, chips, path)
    dataset = read_dataset(way, shapes, path)
    for known, *read in zip(chips, read_records(way, shapes, path), dataset, strict=False):
        for image, label in read:
            if not (np.array_equal(image, known[0]) and np.array_equal(label, known[1])):
                raise ValueError("not lossless")
    rivals = {
        "written": timed(
            lambda: write_records(way, [chips[i % len(chips)] for i in range(READS)], path)
        ),
        "read": timed(lambda: collections.deque(read_records(way, shapes, path), 0)),
        "read by tf.data": timed(lambda: collections.deque(dataset, 0)),
    }
    rates = race(rivals, READS, REPEATS)
    sizes = [share(way, list(arrays)) for arrays in zip(*chips, strict=True)]
    return sizes + [statistics.median(values) for values in rates.values()]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, chips in find_imagery().items():
            rows = [[way, *measure(WAYS[way], chips, Path(folder) / "chips")] for way in WAYS]
            headers = [name, "image", "label", "written/s", "read/s", "by tf.data/s"]
            print(tabulate(rows, headers, floatfmt=("", ".2f", ".3f", ".0f", ".0f", ".0f")))
            print(f"{len(chips)} chips of {CHIP_PX} px, {chips[0][0].shape[-1]} bands, uint8\n")


if __name__ == "__main__":
    main()

"""Hold the reader of ../README.md against the golden vectors, with nothing but Python.

python tfrecords_spec/golden/check.py
"""

import json
import re
import struct
import sys
from pathlib import Path

TYPE_CODES = {"uint8": "B", "uint16": "H", "int16": "h", "float32": "f"}


def load_reader(readme):
    """Run the code of the README that needs no package; returns what it defines."""
    reader = {}
    for block in re.findall(r"```python\n(.*?)```", readme.read_text("utf-8"), flags=re.DOTALL):
        if not re.search("import (numpy|tensorflow)", block):
            exec(block, reader)
    return reader


def check(folder, reader):
    """Raise an AssertionError where a data set of `folder` is not what chips.json says."""
    expected = json.loads((folder / "chips.json").read_text("utf-8"))
    for name in ("none", "zlib"):
        manifest = reader["read_manifest"](folder / name)
        assert manifest["compression"] == name
        chips = [decode(reader, manifest, chip) for chip in reader["read_chips"](folder / name)]
        assert len(chips) == len(expected), f"{name} has {len(chips)} chips"
        for i, (chip, known) in enumerate(zip(chips, expected, strict=True)):
            assert chip.keys() == known.keys(), f"{name}, chip {i} has the keys {sorted(chip)}"
            for key, value in known.items():
                assert chip[key] == value, f"{name}, {key} of chip {i} is {chip[key]}"
        for shard in manifest["shards"]:
            check_crcs((folder / name / shard["file"]).read_bytes(), reader)


def decode(reader, manifest, chip):
    """A chip with its pixels as nested lists."""
    image, label = reader["unpack"](manifest, chip)
    rows, columns, bands = chip["shape"]
    values = struct.unpack(f"<{rows * columns * bands}{TYPE_CODES[manifest['dtype']]}", image)
    pixels = split(values, bands)
    return {**chip, "image": split(pixels, columns), "label": split(list(label), columns)}


def split(values, size):
    return [list(values[i : i + size]) for i in range(0, len(values), size)]


def check_crcs(data, reader):
    at = 0
    while at < len(data):
        (size,) = struct.unpack_from("<Q", data, at)
        parts = (data[at : at + 8], 8), (data[at + 12 : at + 12 + size], 12 + size)
        for part, place in parts:
            (crc,) = struct.unpack_from("<I", data, at + place)
            assert reader["masked_crc32c"](part) == crc, f"CRC at byte {at + place}"
        at += size + 16


if __name__ == "__main__":
    here = Path(__file__).resolve().parent
    check(Path(sys.argv[1]) if len(sys.argv) > 1 else here, load_reader(here.parent / "README.md"))
    print("the reader finds what chips.json says")

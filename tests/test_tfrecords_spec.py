"""The contract in tfrecords_spec/, held against what lcseg writes.

reader = run_code_of("tfrecords_spec/README.md")
for image_hwc, label_hw, features in reader["read_chips"](dataset): …
"""

import copy
import dataclasses
import json
import re
import struct
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from referencing import Registry, Resource

from lcseg.classes import SCHEMES, ClassScheme, LandClass
from lcseg.documents import format_document
from lcseg.records import spec as keys
from lcseg.records.codec import decode_chip
from lcseg.records.config import ConvertConfig
from lcseg.records.conversion import convert
from lcseg.records.manifest import (
    BandStatistics,
    Manifest,
    ShardInfo,
    SourceInfo,
    SplitSummary,
    read_manifest,
)
from lcseg.records.shards import read_shard

FOLDER = Path(__file__).parents[1] / "tfrecords_spec"
README = (FOLDER / "README.md").read_text(encoding="utf-8")
SCHEMAS = {path.name: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}
DATASET, CLASS_SCHEME = SCHEMAS["dataset.schema.json"], SCHEMAS["class_scheme.schema.json"]


@pytest.fixture(scope="module")
def reader() -> dict:
    """What the Python code of the README defines."""
    namespace: dict = {}
    for block in re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL):
        exec(block, namespace)
    return namespace


@pytest.fixture(scope="module")
def document(dataset) -> dict:
    return json.loads((dataset / "dataset.json").read_text(encoding="utf-8"))


def validate(document: object, schema: dict) -> None:
    resources = [(name, Resource.from_contents(value)) for name, value in SCHEMAS.items()]
    registry = Registry().with_resources(resources)
    jsonschema.Draft202012Validator(schema, registry=registry).validate(document)


def assert_same_chips(reader: dict, folder: Path) -> None:
    manifest = read_manifest(folder)
    records = [r for shard in manifest.shards for r in read_shard(folder / shard.file)]
    chips = [decode_chip(manifest.spec, record) for record in records]
    for chip, (image_hwc, label_hw, features) in zip(
        chips, reader["read_chips"](folder), strict=True
    ):
        np.testing.assert_array_equal(image_hwc, chip.image_hwc)
        assert image_hwc.dtype == chip.image_hwc.dtype
        np.testing.assert_array_equal(label_hw, chip.label_hw)
        assert features["shape"] == list(manifest.spec.image_shape)
        assert features["source"] == [chip.source.encode()]
        assert (features["row"], features["col"]) == ([chip.row], [chip.col])
        assert struct.unpack("<6d", features["transform"][0]) == chip.transform
        assert features["crs"] == [chip.crs.encode()]


def test_reader_of_the_readme_reads_what_lcseg_wrote(reader, dataset):
    assert_same_chips(reader, dataset)


@pytest.mark.parametrize("dtype", ["uint16", "int16", "float32"])
def test_reader_of_the_readme_reads_every_pixel_type(reader, make_raster, tmp_path, dtype):
    random = np.random.default_rng(0)
    image = make_raster("i.tif", random.integers(-99, 99, (40, 300, 5)).astype(dtype), crs=None)
    label = make_raster("l.tif", np.ones((40, 300), np.uint8), crs=None)
    out = tmp_path / "data"
    convert(
        ConvertConfig(
            "chesapeake-4",
            str(out),
            image,
            label,
            allow_ungeoreferenced=True,
            chip_px=16,
            block_chips=1,
            quiet=True,
        )
    )
    assert_same_chips(reader, out)


def test_reader_of_the_readme_refuses_another_major_version(reader, document, tmp_path):
    (tmp_path / "dataset.json").write_text(json.dumps({**document, "format_version": "2.0"}))
    with pytest.raises(AssertionError):
        next(reader["read_chips"](tmp_path))


def test_checksums_of_a_shard_are_those_of_the_readme(reader, dataset):
    data = (dataset / "val-00000.tfrecord").read_bytes()
    at, n_records = 0, 0
    while at < len(data):
        (size,) = struct.unpack_from("<Q", data, at)
        (of_length,) = struct.unpack_from("<I", data, at + 8)
        (of_record,) = struct.unpack_from("<I", data, at + 12 + size)
        assert reader["masked_crc32c"](data[at : at + 8]) == of_length
        if n_records < 2:  # Bit by bit, this is slow.
            assert reader["masked_crc32c"](data[at + 12 : at + 12 + size]) == of_record
        at, n_records = at + size + 16, n_records + 1
    assert at == len(data)
    assert n_records > 1


def test_crc_of_the_readme_gives_the_check_values_of_rfc_3720(reader):
    assert reader["crc32c"](bytes(32)) == 0x8A9136AA
    assert reader["crc32c"](b"\xff" * 32) == 0x62A8AB43
    assert reader["crc32c"](bytes(range(32))) == 0x46DD794E
    assert reader["crc32c"](b"123456789") == 0xE3069283


def test_readme_describes_every_key_and_every_field():
    named = set(re.findall(r"`([\w.\[\]]+)`", README))
    words = {part for name in named for part in re.split(r"\W+", name)}
    assert {
        value for name, value in vars(keys).items() if name.isupper() and name != "DTYPES"
    } <= words
    for kind in (Manifest, BandStatistics, SplitSummary, ShardInfo, SourceInfo):
        assert {field.name for field in dataclasses.fields(kind)} <= words, kind


@pytest.mark.parametrize(
    ("kind", "schema"),
    [
        (Manifest, DATASET),
        *((k, DATASET["$defs"][k.__name__]) for k in (BandStatistics, SplitSummary)),
        *((k, DATASET["$defs"][k.__name__]) for k in (ShardInfo, SourceInfo)),
        (ClassScheme, CLASS_SCHEME),
        (LandClass, CLASS_SCHEME["$defs"]["LandClass"]),
    ],
)
def test_schema_has_the_fields_of_the_dataclass(kind, schema):
    fields = dataclasses.fields(kind)
    assert set(schema["properties"]) == {field.name for field in fields}
    required = {field.name for field in fields if field.default is dataclasses.MISSING}
    assert set(schema["required"]) == required


def test_schemas_are_valid_schemas():
    assert sorted(SCHEMAS) == ["class_scheme.schema.json", "dataset.schema.json"]
    for schema in SCHEMAS.values():
        jsonschema.Draft202012Validator.check_schema(schema)


def test_schema_takes_what_lcseg_wrote(document):
    validate(document, DATASET)


@pytest.mark.parametrize("name", SCHEMES)
def test_schema_takes_the_built_in_class_schemes(name):
    validate(json.loads(format_document(SCHEMES[name])), CLASS_SCHEME)


def test_schema_takes_fields_of_a_later_minor_version(document):
    later = {**document, "format_version": "1.12", "mood": "good"}
    later["shards"] = [{**shard, "mood": 1} for shard in document["shards"]]
    validate(later, DATASET)


GONE = object()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        *(((name,), GONE) for name in DATASET["required"]),
        (("format",), "lcseg-bundle"),
        (("format_version",), "2.0"),
        (("format_version",), "1"),
        (("chip_px",), "64"),
        (("chip_px",), 0),
        (("bands",), []),
        (("dtype",), "float64"),
        (("pixel_m",), 0),
        (("class_scheme", "classes"), []),
        (("class_scheme", "classes", 0, "color"), "red"),
        (("class_scheme", "classes", 0, "codes"), []),
        (("class_scheme", "ignored"), [0]),
        (("statistics", "std", 0), 0),
        (("statistics", "mean", 0), None),
        (("splits", "train"), GONE),
        (("splits", "dev"), {"chips": 0, "class_pixels": [0, 0], "ignored_pixels": 0}),
        (("splits", "val", "ignored_pixels"), -1),
        (("splits", "val", "class_pixels"), GONE),
        (("shards",), []),
        (("shards", 0, "file"), "../elsewhere.tfrecord"),
        (("shards", 0, "split"), "dev"),
        (("shards", 0, "sha256"), "0" * 63),
        (("shards", 0, "bytes"), GONE),
        (("sources", 0, "transform"), [1, 0, 0, 0, 1]),
        (("sources", 0, "crs"), 26918),
        (("settings", "seed"), None),
    ],
)
def test_schema_refuses_a_broken_manifest(document, path, value):
    broken = copy.deepcopy(document)
    *parents, name = path
    place = broken
    for parent in parents:
        place = place[parent]
    if value is GONE:
        del place[name]
    else:
        place[name] = value
    with pytest.raises(jsonschema.ValidationError) as error:
        validate(broken, DATASET)
    assert list(error.value.absolute_path) in (list(path), list(parents))

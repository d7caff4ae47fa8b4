"""The contract in tfrecords_spec/, held against what lcseg writes.

reader = run_code_of("tfrecords_spec/README.md")
for image_hwc, label_hw, chip in reader["read_arrays"](dataset, wanted): …
"""

import copy
import dataclasses
import json
import re
import runpy
import shutil
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import tensorflow as tf
from referencing import Registry, Resource

from lcseg.classes import SCHEMES, ClassScheme, LandClass
from lcseg.documents import format_document
from lcseg.records import spec as keys
from lcseg.records.codec import decode_chip, encode_chip
from lcseg.records.config import ConvertConfig
from lcseg.records.conversion import convert
from lcseg.records.manifest import (
    BandStatistics,
    ChangeInfo,
    CorrectionsInfo,
    Manifest,
    ShardInfo,
    SourceInfo,
    SplitSummary,
    read_manifest,
)
from lcseg.records.shards import read_shard
from lcseg.records.spec import Chip

FOLDER = Path(__file__).parents[1] / "tfrecords_spec"
GOLDEN = FOLDER / "golden"
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


def everything(_: dict) -> bool:
    return True


def assert_same_chips(reader: dict, folder: Path) -> None:
    manifest = read_manifest(folder)
    chips = [
        (shard.split, decode_chip(manifest.spec, record))
        for shard in manifest.shards
        for record in read_shard(folder / shard.file)
    ]
    for (split, chip), (image_hwc, label_hw, read) in zip(
        chips, reader["read_arrays"](folder, everything), strict=True
    ):
        np.testing.assert_array_equal(image_hwc, chip.image_hwc)
        assert image_hwc.dtype == chip.image_hwc.dtype
        np.testing.assert_array_equal(label_hw, chip.label_hw)
        assert read["split"] == split
        assert read["shape"] == list(manifest.spec.image_shape)
        for key in ("source", "row", "col", "crs", "date"):
            assert read[key] == getattr(chip, key)
        assert tuple(read["transform"]) == chip.transform
        labels = (*range(manifest.class_scheme.n_classes), 255)
        assert read["histogram"] == [np.sum(label_hw == label) for label in labels]


def test_reader_of_the_readme_reads_what_lcseg_wrote(reader, dataset):
    assert_same_chips(reader, dataset)


def test_reader_of_the_readme_chooses_chips_by_their_classes(reader, dataset):
    chosen = list(reader["read_arrays"](dataset, lambda chip: chip["histogram"][0] > 99))
    everyone = list(reader["read_arrays"](dataset, everything))
    assert 0 < len(chosen) < len(everyone)
    assert len(chosen) == sum(np.sum(label_hw == 0) > 99 for _, label_hw, _ in everyone)


@pytest.mark.parametrize("compression", ["none", "zlib"])
@pytest.mark.parametrize("dtype", ["uint16", "int16", "float32"])
def test_reader_of_the_readme_reads_every_pixel_type(
    reader, make_raster, tmp_path, dtype, compression
):
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
            compression=compression,
            quiet=True,
        )
    )
    assert_same_chips(reader, out)


@pytest.mark.parametrize("version", ["1.0", "3.0", "20.0"])
def test_reader_of_the_readme_refuses_another_major_version(reader, document, tmp_path, version):
    (tmp_path / "dataset.json").write_text(json.dumps({**document, "format_version": version}))
    with pytest.raises(ValueError, match=f"has format version {version}, this reader is of 2.1"):
        next(reader["read_chips"](tmp_path))


def test_reader_of_the_readme_stays_in_the_folder_of_the_manifest(reader, document, tmp_path):
    shards = [{**document["shards"][0], "file": "../a.tfrecord"}]
    (tmp_path / "dataset.json").write_text(json.dumps({**document, "shards": shards}))
    with pytest.raises(ValueError, match=r"\.\./a\.tfrecord is not in the folder of the manifest"):
        reader["read_manifest"](tmp_path)


def test_reader_of_the_readme_refuses_a_damaged_shard(reader, tmp_path):
    shutil.copytree(GOLDEN / "none", tmp_path / "none")
    shard = tmp_path / "none" / "val-00002.tfrecord"
    data = bytearray(shard.read_bytes())
    data[-5] ^= 1
    shard.write_bytes(data)
    with pytest.raises(ValueError, match=r"val-00002\.tfrecord is damaged"):
        list(reader["read_chips"](tmp_path / "none"))


def test_reader_of_the_readme_passes_over_unknown_keys_of_every_type(reader):
    example = tf.train.Example.FromString(next(read_shard(GOLDEN / "none/train-00000.tfrecord")))
    known = reader["read_features"](example.SerializeToString())
    feature = example.features.feature
    feature["x_bytes"].bytes_list.value.extend([b"", b"\xff"])
    feature["x_floats"].float_list.value.extend([0.5, -1.0])
    feature["x_integers"].int64_list.value.extend([-(2**63), 2**63 - 1, 0])
    feature["x_nothing"].SetInParent()
    read = reader["read_features"](example.SerializeToString())
    assert {key: read[key] for key in known} == known
    assert read["x_bytes"] == [b"", b"\xff"]
    assert read["x_integers"] == [-(2**63), 2**63 - 1, 0]


def test_reader_of_the_readme_expands_no_further_than_a_chip(reader):
    manifest = reader["read_manifest"](GOLDEN / "zlib")
    chip = next(reader["read_chips"](GOLDEN / "zlib"))
    for stream in (zlib.compress(bytes(10**7)), zlib.compress(bytes(8))):
        with pytest.raises(ValueError, match="image of Zürich/夏 1 has a wrong size"):
            reader["unpack"](manifest, {**chip, "image": stream})


def check_without_packages(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run golden/check.py where no installed package can be imported."""
    bare = [sys.executable, "-I", "-S"]
    for package in ("numpy", "tensorflow", "google.protobuf", "lcseg"):
        with_package = subprocess.run(
            [*bare, "-c", f"import {package}"], capture_output=True, check=False
        )
        assert b"ModuleNotFoundError" in with_package.stderr
    return subprocess.run(
        [*bare, str(GOLDEN / "check.py"), str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_golden_vectors_are_read_by_python_alone():
    done = check_without_packages(GOLDEN)
    assert (done.returncode, done.stdout) == (0, "the reader finds what chips.json says\n"), done


@pytest.mark.parametrize("changed", ["image", "label", "date", "row", "histogram", "transform"])
def test_check_of_the_golden_vectors_finds_what_differs(tmp_path, changed):
    folder = shutil.copytree(GOLDEN, tmp_path / "golden")
    chips = json.loads((folder / "chips.json").read_text(encoding="utf-8"))
    place = chips[1]
    if isinstance(place[changed], str):
        place[changed] += "Z"
    else:
        name: str | int = changed
        while isinstance(place[name], list):
            place, name = place[name], -1
        place[name] += 1
    (folder / "chips.json").write_text(json.dumps(chips), encoding="utf-8")
    done = check_without_packages(folder)
    assert done.returncode == 1
    assert f"AssertionError: none, {changed} of chip 1 is " in done.stderr


def golden_chips() -> list[dict]:
    return json.loads((GOLDEN / "chips.json").read_text(encoding="utf-8"))


def chip_of(content: dict) -> Chip:
    """The chip that the plain JSON tells of."""
    return Chip(
        np.array(content["image"], np.uint16),
        np.array(content["label"], np.uint8),
        *(content[key] for key in ("source", "row", "col")),
        tuple(content["transform"]),
        *(content[key] for key in ("crs", "date")),
    )


@pytest.mark.parametrize("compression", ["none", "zlib"])
def test_golden_vectors_are_read_by_tf_data_alone(reader, compression):
    """The code is that of the README, which imports nothing but TensorFlow."""
    known = golden_chips()
    for split in ("train", "val", "test"):
        expected = [chip for chip in known if chip["split"] == split]
        if not expected:
            continue
        read = list(reader["read_dataset"](GOLDEN / compression, split))
        assert len(read) == len(expected)
        for chip, content in zip(read, expected, strict=True):
            assert chip.keys() | {"split"} == content.keys()
            for key, value in chip.items():
                found = value.numpy()
                found = found.decode() if isinstance(found, bytes) else found.tolist()
                assert found == content[key], key
    assert (chip["image"].dtype, chip["label"].dtype) == (tf.uint16, tf.uint8)


@pytest.mark.parametrize("compression", ["none", "zlib"])
def test_golden_vectors_are_read_by_lcseg(compression):
    manifest = read_manifest(GOLDEN / compression)
    chips = [
        decode_chip(manifest.spec, record)
        for shard in manifest.shards
        for record in read_shard(GOLDEN / compression / shard.file)
    ]
    assert chips == [chip_of(content) for content in golden_chips()]


def test_golden_content_is_encoded_into_the_golden_bytes():
    manifest = read_manifest(GOLDEN / "none")
    records = [r for s in manifest.shards for r in read_shard(GOLDEN / "none" / s.file)]
    assert [encode_chip(manifest.spec, chip_of(chip)) for chip in golden_chips()] == records


def test_golden_vectors_are_what_their_maker_makes(tmp_path):
    runpy.run_path(str(GOLDEN / "make.py"))["make"](tmp_path)
    made = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file())
    kept = {path.relative_to(GOLDEN) for path in GOLDEN.rglob("*.*") if path.suffix != ".py"}
    assert set(made) == {path for path in kept if "__pycache__" not in path.parts}
    for path in made:
        # zlib of another build makes other streams of the same bytes.
        if path.parts[0] != "zlib":
            assert (tmp_path / path).read_bytes() == (GOLDEN / path).read_bytes(), path
    assert_same_content(read_manifest(tmp_path / "zlib"), read_manifest(GOLDEN / "zlib"))


def assert_same_content(made: Manifest, kept: Manifest) -> None:
    """Hold manifests against each other, but for the sizes and checksums of their shards."""
    assert dataclasses.replace(made, shards=kept.shards) == kept
    for one, other in zip(made.shards, kept.shards, strict=True):
        assert (one.file, one.split, one.records) == (other.file, other.split, other.records)


def test_golden_vectors_are_as_odd_as_the_readme_says():
    first, second, third = golden_chips()
    assert (first["row"], first["col"]) == (-5, -3)
    a, b, c, d, e, f = first["transform"]
    assert b and d  # Turned.
    # Both chips of the scene lie on its one grid.
    columns, rows = second["col"] - first["col"], second["row"] - first["row"]
    moved = [a, b, c + a * columns + b * rows, d, e, f + d * columns + e * rows]
    assert second["transform"] == pytest.approx(moved, rel=1e-15)
    one, other = (np.array(chip["image"]) for chip in (first, second))
    np.testing.assert_array_equal(one[rows:, columns:], other[:-rows, :-columns])
    assert not first["source"].isascii()
    assert (third["date"], third["crs"]) == ("", "")
    image_hwc, label_hw = np.array(first["image"]), np.array(first["label"])
    is_zero = (image_hwc == 0).all(axis=-1)
    assert (is_zero & (label_hw != 255)).any()
    assert (~is_zero & (label_hw == 255)).any()
    assert ((image_hwc >> 8) != (image_hwc & 255)).any()
    assert [s.file for s in read_manifest(GOLDEN / "none").shards][1] == "val-00002.tfrecord"


def test_checksums_of_a_shard_are_those_of_the_readme(reader, dataset):
    (shard, *_) = read_manifest(dataset).shards_of("val")
    data = (dataset / shard.file).read_bytes()
    assert f"{reader['crc32c'](data):08x}" == shard.crc32c
    at, n_records = 0, 0
    while at < len(data):
        (size,) = struct.unpack_from("<Q", data, at)
        (of_length,) = struct.unpack_from("<I", data, at + 8)
        (of_record,) = struct.unpack_from("<I", data, at + 12 + size)
        assert reader["masked_crc32c"](data[at : at + 8]) == of_length
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
    constants = {k: v for k, v in vars(keys).items() if k.isupper() and not k.startswith("_")}
    assert {value for value in constants.values() if isinstance(value, str)} <= words
    assert {*keys.DTYPES, *keys.COMPRESSIONS} <= words
    of_corrections = (CorrectionsInfo, ChangeInfo)
    for kind in (Manifest, BandStatistics, SplitSummary, ShardInfo, SourceInfo, *of_corrections):
        assert {field.name for field in dataclasses.fields(kind)} <= words, kind


@pytest.mark.parametrize(
    ("kind", "schema"),
    [
        (Manifest, DATASET),
        *((k, DATASET["$defs"][k.__name__]) for k in (BandStatistics, SplitSummary)),
        *((k, DATASET["$defs"][k.__name__]) for k in (ShardInfo, SourceInfo)),
        *((k, DATASET["$defs"][k.__name__]) for k in (CorrectionsInfo, ChangeInfo)),
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


@pytest.mark.parametrize("compression", ["none", "zlib"])
def test_schema_takes_the_golden_manifests(compression):
    validate(json.loads((GOLDEN / compression / "dataset.json").read_text("utf-8")), DATASET)


@pytest.mark.parametrize(
    "date",
    ["", "2023-06-15", "2023-06-15T10:20", "2023-06-15T10:20:30.25Z", "2023-06-15T10:20:30+02:00"],
)
def test_schema_takes_dates(document, date):
    validate({**document, "sources": [{**document["sources"][0], "date": date}]}, DATASET)


@pytest.mark.parametrize("name", SCHEMES)
def test_schema_takes_the_built_in_class_schemes(name):
    validate(json.loads(format_document(SCHEMES[name])), CLASS_SCHEME)


def test_schema_takes_fields_of_a_later_minor_version(document):
    later = {**document, "format_version": "2.12", "mood": "good"}
    later["shards"] = [{**shard, "mood": 1} for shard in document["shards"]]
    validate(later, DATASET)


def test_schema_takes_manifests_of_the_version_before(document):
    before = {name: value for name, value in document.items() if name != "corrections"}
    validate({**before, "format_version": "2.0"}, DATASET)


GONE = object()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        *(((name,), GONE) for name in DATASET["required"]),
        (("format",), "lcseg-bundle"),
        (("format_version",), "1.0"),
        (("format_version",), "3.0"),
        (("format_version",), "2"),
        (("compression",), "gzip"),
        (("compression",), None),
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
        (("shards", 0, "crc32c"), "0" * 7),
        (("shards", 0, "crc32c"), "ABCDEF01"),
        (("shards", 0, "file"), ".."),
        (("shards", 0, "bytes"), GONE),
        (("sources", 0, "transform"), [1, 0, 0, 0, 1]),
        (("sources", 0, "crs"), 26918),
        (("sources", 0, "date"), "15.6.2023"),
        (("sources", 0, "date"), "2023"),
        (("sources", 0, "date"), None),
        (("sources", 0, "date"), GONE),
        (("settings", "seed"), None),
        (("corrections",), "suspects.gpkg"),
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

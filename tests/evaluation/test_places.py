"""Where chips lie, as their records tell."""

import shutil

import pytest

from lcseg.errors import LcsegError
from lcseg.evaluation.places import read_places
from lcseg.evaluation.spots import Place
from lcseg.records.codec import decode_chip
from lcseg.records.manifest import read_manifest
from lcseg.records.shards import read_shard


def test_chips_lie_where_their_records_say(dataset):
    manifest = read_manifest(dataset)
    for split in manifest.splits:
        places = read_places(dataset, manifest, split)
        chips = [
            decode_chip(manifest.spec, record)
            for shard in manifest.shards_of(split)
            for record in read_shard(dataset / shard.file)
        ]
        expected = [Place(chip.source, chip.row, chip.col, i) for i, chip in enumerate(chips)]
        assert [places[i] for i in range(len(places))] == expected
        assert len(places) == manifest.chips_of(split) > 1
    assert {places[i].scene for i in range(len(places))} <= {s.key for s in manifest.sources}


def test_a_damaged_shard_is_named(dataset, tmp_path):
    other = shutil.copytree(dataset, tmp_path / "other")
    manifest = read_manifest(other)
    path = other / manifest.shards_of("test")[0].file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(LcsegError, match=path.name):
        read_places(other, manifest, "test")

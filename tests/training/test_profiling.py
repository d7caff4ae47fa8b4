"""A profile of some steps."""

import pytest
from tensorflow.tsl.profiler.protobuf import xplane_pb2

from lcseg.model.config import UNetConfig
from lcseg.pipeline.config import InputConfig
from lcseg.training.config import TrainConfig
from lcseg.training.profiling import Profiler
from lcseg.training.run import RunFolder
from lcseg.training.trainer import train


def read_profiled_steps(folder):
    """The numbers of the steps that a profile has marked, in order."""
    (path,) = folder.glob("tensorboard/train/plugins/profile/*/*.xplane.pb")
    space = xplane_pb2.XSpace.FromString(path.read_bytes())
    numbers = []
    for plane in space.planes:
        for line in plane.lines:
            for event in line.events:
                if plane.event_metadata[event.metadata_id].name == "train":
                    stats = {plane.stat_metadata[s.metadata_id].name: s for s in event.stats}
                    numbers.append(stats["step_num"].int64_value)
    return sorted(numbers)


@pytest.mark.slow
def test_profile_has_the_steps_that_were_asked_for_one_by_one(dataset, tmp_path):
    config = TrainConfig(
        str(dataset),
        str(tmp_path / "run"),
        UNetConfig(1, 2),
        InputConfig(2, 32),
        epochs=1,
        steps_per_epoch=12,
        profile_steps="5,9",
        quiet=True,
    )
    train(config)
    assert read_profiled_steps(tmp_path / "run") == [5, 6, 7, 8]
    assert RunFolder(tmp_path / "run").read_history().is_finished


def test_host_looks_before_and_after_every_profiled_step():
    limit = Profiler("unused", 5, 7).limit
    assert [limit(step) for step in (0, 4, 5, 6)] == [5, 5, 6, 7]
    assert limit(7) > 10**9
    assert Profiler("unused", 0, 0).limit(0) > 10**9

"""A worker that measures: alone here, in a process of its own; tests/tools has two of them."""

import pytest
from processes import own_process, workers

from lcseg.model.config import UNetConfig
from lcseg.model.unet import ModelInput, build_unet
from lcseg.pipeline.config import InputConfig
from lcseg.records.manifest import read_manifest
from lcseg.scaling.pace import PaceConfig
from lcseg.scaling.worker import PROBE_BYTES, measure_pace
from lcseg.training.cluster import ALONE
from lcseg.training.config import TrainConfig

pytestmark = pytest.mark.slow


def settings(dataset, folder, batch, norm="batch"):
    train = TrainConfig(
        str(dataset), str(folder), UNetConfig(1, 4, norm), InputConfig(batch, 32), quiet=True
    )
    return PaceConfig(train, steps=12)


def of_worker(cluster, config):
    return measure_pace(config, cluster)


def test_one_worker_times_its_steps(dataset, tmp_path):
    config = settings(dataset, tmp_path, 2)
    with own_process() as pool:
        pace = pool.submit(measure_pace, config, ALONE).result()
    assert (pace.device, pace.devices, pace.device_batch, pace.crop_px) == ("CPU", 1, 2, 32)
    assert (pace.call_steps, len(pace.call_s), len(pace.single_s)) == ((10, 2), 2, 6)
    assert 0 <= pace.wait_s < sum(pace.call_s)
    # The first call makes the graph; the steps after it do not.
    assert pace.first_s > 10 * max(pace.single_s)
    assert min(pace.load_s, pace.input_s) > 0
    assert (pace.gradients, pace.probes, pace.sums) == (None, (), 0)
    bands = len(read_manifest(dataset).bands)
    model = build_unet(
        config.train.model, ModelInput(bands, "uint8", (0,) * bands, (1,) * bands), 4
    )
    assert pace.weights == sum(v.numpy().size for v in model.trainable_variables)


def test_two_workers_time_their_sums_and_count_them(dataset, tmp_path):
    with workers(2) as both:
        paces = both.results(of_worker, settings(dataset, tmp_path, 4, "none"))
    for pace in paces:
        assert (pace.device_batch, pace.devices) == (2, 1)
        assert pace.gradients.bytes == 4 * pace.weights
        assert tuple(probe.bytes for probe in pace.probes) == PROBE_BYTES
        assert min(probe.seconds for probe in (*pace.probes, pace.gradients)) > 0
        # The loss, and whether all have input; none of statistics.
        assert pace.sums in (1, 2)

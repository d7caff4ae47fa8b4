"""Seconds that TorchGeo takes for some batches of random crops; prints them.

python -m benchmarks.torchgeo_loader SCENES CROP_PX BATCH BATCHES
"""

from __future__ import annotations

import sys
import time

from torch.utils.data import DataLoader
from torchgeo.datasets import RasterDataset, stack_samples
from torchgeo.samplers import RandomGeoSampler

WORKERS = 2


class Images(RasterDataset):
    filename_glob = "*_image.tif"


class Labels(RasterDataset):
    filename_glob = "*_label.tif"
    is_image = False


def main(folder: str, crop_px: int, batch: int, batches: int) -> None:
    scenes = Images(folder) & Labels(folder)
    # A batch for each worker to warm up with.
    sampler = RandomGeoSampler(scenes, crop_px, length=(batches + WORKERS) * batch)
    loader = DataLoader(
        scenes, batch, sampler=sampler, num_workers=WORKERS, collate_fn=stack_samples
    )
    iterator = iter(loader)
    for _ in range(WORKERS):
        next(iterator)
    started_s = time.perf_counter()
    for _ in iterator:
        pass
    print(time.perf_counter() - started_s)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))

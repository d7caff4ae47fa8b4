"""Maps a scene with GeoAI's `predict_geotiff` and a network like the one of `bundles`.

python benchmarks/geoai_predict.py SCENE OUT

It prints seconds, peak memory in GB, and weights. It runs in an environment that has GeoAI, not
lcseg.
"""

from __future__ import annotations

import resource
import sys
import time

import numpy as np
import torch
from geoai import predict_geotiff
from torch import nn

TILE_PX, OVERLAP_PX = 512, 256
DEPTH, WIDTH, BANDS, CLASSES = 3, 16, 4, 5


def convolve_twice(before: int, filters: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (before, filters):
        convolution = nn.Conv2d(channels, filters, 3, padding=1, bias=False)
        layers += [convolution, nn.BatchNorm2d(filters), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        filters = [WIDTH * 2**level for level in range(DEPTH + 1)]
        self.down = nn.ModuleList(map(convolve_twice, [BANDS, *filters[:-1]], filters))
        self.pool = nn.MaxPool2d(2)
        self.widen = nn.ModuleList(
            nn.ConvTranspose2d(2 * n, n, 2, 2) for n in reversed(filters[:-1])
        )
        self.up = nn.ModuleList(convolve_twice(2 * n, n) for n in reversed(filters[:-1]))
        self.logits = nn.Conv2d(WIDTH, CLASSES, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        skips = []
        for block in self.down[:-1]:
            skips.append(block(x))
            x = self.pool(skips[-1])
        x = self.down[-1](x)
        for widen, block in zip(self.widen, self.up, strict=True):
            x = block(torch.cat([skips.pop(), widen(x)], 1))
        return self.logits(x)


def main(scene: str, out: str) -> None:
    torch.manual_seed(0)
    model = UNet().eval()
    started_s = time.perf_counter()
    predict_geotiff(
        model,
        scene,
        out,
        tile_size=TILE_PX,
        overlap=OVERLAP_PX,
        batch_size=4,
        num_classes=CLASSES,
        output_dtype="uint8",
        output_nodata=255,
        postprocess_fn=lambda sums_chw: np.argmax(sums_chw, 0, keepdims=True).astype(np.uint8),
        device="cpu",
        verbose=False,
    )
    seconds = time.perf_counter() - started_s
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(seconds, peak_gb, sum(p.numel() for p in model.parameters()))


if __name__ == "__main__":
    main(*sys.argv[1:])

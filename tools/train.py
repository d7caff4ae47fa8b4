"""Train a U-Net on a data set; a run that was stopped goes on with the same command.

lcseg train --data=data --run=run --epochs=50
"""

from __future__ import annotations

from lcseg import cli
from lcseg.runtime import start_tensorflow
from lcseg.training.config import TrainConfig

FLAGS = cli.ConfigFlags(TrainConfig)


def main(config: TrainConfig) -> None:
    start_tensorflow()
    from lcseg.training.trainer import train

    summary = train(config)
    print(
        f"{summary.steps:,} steps, {summary.seconds:.0f} s, "
        f"best mean IoU on validation {summary.best_mean_iou:.3f}\n"
        f"bundle: {summary.bundle}\n"
        f"curves: tensorboard --logdir={summary.run}/tensorboard"
    )


if __name__ == "__main__":
    cli.run(FLAGS, main)

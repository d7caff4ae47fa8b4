"""Train a U-Net on a data set; a run that was stopped goes on with the same command.

lcseg train --data=data --run=run --epochs=50

Started on several hosts it trains on all of them, if TF_CONFIG, a Slurm step or LCSEG_HOSTS and
LCSEG_INDEX say which they are.
"""

from __future__ import annotations

import os

from lcseg import cli
from lcseg.runtime import start_tensorflow
from lcseg.training.cluster import find_cluster
from lcseg.training.config import TrainConfig

FLAGS = cli.ConfigFlags(TrainConfig)


def main(config: TrainConfig) -> None:
    cluster = find_cluster(os.environ)
    if cluster.is_evaluator:
        print("this is an evaluator's task, but the workers evaluate: there is nothing to do")
        return
    start_tensorflow()
    from lcseg.training.trainer import train

    try:
        summary = train(config, cluster)
    except OSError as error:
        # Of a disk that is full, Python does not say which.
        error.filename = error.filename or config.run
        raise
    if not cluster.is_chief:
        return
    print(
        f"{summary.steps:,} steps, {summary.seconds:.0f} s, "
        f"best mean IoU on validation {summary.best_mean_iou:.3f}\n"
        f"bundle: {summary.bundle}\n"
        f"curves: tensorboard --logdir={summary.run}/tensorboard"
    )


if __name__ == "__main__":
    cli.run(FLAGS, main)

"""A model in an ONNX file that `lcseg export` wrote, run by onnxruntime, without TensorFlow.

model = OnnxModel("model.onnx")
model.info.class_scheme, model.info.stride_px, model.info.halo_px
logits_nhwk = model.predict(images_nhwc)       # float32 [N, H, W, classes]
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, cast

import numpy as np

from lcseg.errors import LcsegError
from lcseg.files import exists, fetched, locate, read_bytes
from lcseg.model.info import FILE, parse_info

_QUIET = 3
"""Of onnxruntime's log, errors alone."""


class OnnxModel:
    """A model that answers as its bundle does.

    Args:
        path: of the ONNX file, which may be in a store.
        threads: how many to run it with; 0: one for each core.

    Raises:
        LcsegError: onnxruntime is not installed, or the file is missing, broken or not lcseg's.
    """

    def __init__(self, path: str | Path, threads: int = 0) -> None:
        self._session = _open_session(locate(path), threads)
        document = self._session.get_modelmeta().custom_metadata_map.get(FILE)
        if document is None:
            raise LcsegError(
                path,
                "is ONNX, but says nothing of classes and bands",
                "give a file that lcseg export wrote",
            )
        self.info = parse_info(document, path)
        self._input, self._output = (
            io[0].name for io in (self._session.get_inputs(), self._session.get_outputs())
        )

    def predict(self, images_nhwc: np.ndarray) -> np.ndarray:
        """Predict images of any number and size.

        Args:
            images_nhwc: raw pixels [N, H, W, bands] of the type of `info`; H and W are multiples of
                its stride.

        Returns:
            Logits, float32 [N, H, W, classes]; their softmax are the probabilities.

        Raises:
            ValueError: the images do not fit the model.
        """
        info, shape = self.info, images_nhwc.shape
        is_fit = len(shape) == 4 and shape[3] == len(info.bands) and images_nhwc.dtype == info.dtype
        if not is_fit or shape[1] % info.stride_px or shape[2] % info.stride_px:
            raise ValueError(
                f"images are {images_nhwc.dtype} {list(shape)}, expected {info.dtype} "
                f"[N, H, W, {len(info.bands)}] with sides that {info.stride_px} divides"
            )
        logits = self._session.run([self._output], {self._input: images_nhwc})[0]
        return cast(np.ndarray, logits)


def digest_model(path: str | Path) -> str:
    """The checksum of an ONNX file, SHA-256 in hexadecimal."""
    return hashlib.sha256(read_bytes(locate(path))).hexdigest()


class OnnxPredictor:
    """Predicts blocks, as `predictor.Predictor` does with TensorFlow."""

    def __init__(self, model: OnnxModel) -> None:
        self._model = model
        self.info = model.info

    def classify(self, padded_nhwc: np.ndarray) -> np.ndarray:
        """Classes, uint8 [N, H, W], of blocks read with the halo."""
        return self.predict(padded_nhwc)[0]

    def predict(self, padded_nhwc: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Classes, uint8 [N, H, W], and logits, float32 [N, H, W, K]."""
        halo_px = self.info.halo_px
        height, width = padded_nhwc.shape[1:3]
        logits_nhwk = self._model.predict(np.ascontiguousarray(padded_nhwc))
        own_nhwk = logits_nhwk[:, halo_px : height - halo_px, halo_px : width - halo_px]
        return own_nhwk.argmax(axis=-1).astype(np.uint8), own_nhwk

    def to_probabilities(self, logits_nhwk: np.ndarray) -> np.ndarray:
        """Turn logits into probabilities, float32 [N, H, W, K] that sum to 1."""
        powers = np.exp(logits_nhwk - logits_nhwk.max(axis=-1, keepdims=True))
        return powers / powers.sum(axis=-1, keepdims=True)


def _open_session(path: Path, threads: int) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise LcsegError(
            path, f"takes onnxruntime to run: {error}", "pip install 'lcseg[onnx]'"
        ) from error
    if not exists(path):
        raise LcsegError(path, "is missing", "write one with lcseg export --format=onnx")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _QUIET
    options.intra_op_num_threads = threads
    with fetched(path) as here:
        try:
            return onnxruntime.InferenceSession(
                str(here), options, providers=["CPUExecutionProvider"]
            )
        except LcsegError:
            raise
        except Exception as error:
            # Its kinds of errors have no kind of their own.
            raise LcsegError(path, f"onnxruntime cannot load it: {error}") from error

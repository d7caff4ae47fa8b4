"""The process that TensorFlow runs in: started without chatter, and its memory given back.

start_tensorflow()        # in a binary, once its flags are known to be good
release_memory()          # when the network is no longer needed
"""

from __future__ import annotations

import ctypes
import gc
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


def start_tensorflow() -> None:
    """Import TensorFlow and find its devices, holding back what it writes to stderr.

    Its first messages come before it reads its own log level. Set `TF_CPP_MIN_LOG_LEVEL=0` to
    see everything, for example to learn why a GPU was not found.
    """
    is_loud = os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3") == "0"
    if is_loud or "tensorflow" in sys.modules:
        return
    with _stderr_held_back():
        import tensorflow as tf

        tf.config.list_physical_devices()
    # A million objects that live as long as the process: to look through them takes a quarter of a
    # second each time.
    gc.freeze()


def release_memory() -> None:
    """Give back to the system what is no longer used, where the C library can: glibc keeps it."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim:
        trim(0)


@contextmanager
def _stderr_held_back() -> Iterator[None]:
    """Hold back the process's stderr; it is shown after all if the block fails."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except Exception:
            held.seek(0)
            os.write(kept, held.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)

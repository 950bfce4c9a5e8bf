"""From an exception to one sentence for people."""

import errno

from napari_runet.images.image_input import ImageError
from napari_runet.io.images import FileError
from napari_runet.models.store import ModelError

OWN_ERRORS: tuple[type[Exception], ...] = (ImageError, FileError, ModelError)
"""Errors whose message already is such a sentence."""


def describe_failure(error: Exception, what: str, own: tuple[type[Exception], ...] = OWN_ERRORS) -> str:
    """One sentence on what went wrong and what to do.

    Parameters
    ----------
    error
        What was raised.
    what
        What did not work, for an error that nobody foresaw ("Segmentation failed").
    own
        Errors that speak for themselves.
    """
    if isinstance(error, own):
        return str(error)
    if _is_out_of_memory(error):
        where = "graphics card" if "CUDA" in str(error) else "computer"
        return f"{what}: the {where} has too little free memory. Choose a smaller region, or another device."
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{what}: the disk for temporary files is full. Free some space, or set TMPDIR to a larger disk."
    reason = str(error).strip().splitlines()
    return f"{what}: {reason[0] if reason else 'no reason was given'} ({type(error).__name__})."


def _is_out_of_memory(error: Exception) -> bool:
    """Also torch's own, which cannot be named here: this module knows no torch."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and ("DefaultCPUAllocator" in text or "not enough memory" in text)

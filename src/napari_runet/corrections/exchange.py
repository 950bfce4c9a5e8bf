"""Corrections as a folder of image files: ``images/`` and ``labels/``, where 255 is unknown."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile

from napari_runet.corrections.correction import UNKNOWN, Correction
from napari_runet.io.images import FileError, read_image

LABEL_SUFFIXES = (".tif", ".tiff", ".png")


def export_correction(folder: Path, name: str, image: npt.NDArray[Any], correction: Correction) -> Path:
    """Write an image plane and what is known about it, as ``images/<name>.tif`` and ``labels/<name>.tif``.

    Parameters
    ----------
    folder
        Made where it is not there.
    name
        Stem of both files; the plane's index is added to it.
    image
        (Y, X) or (Y, X, C), any real dtype.

    Returns
    -------
    The labels' path.

    Raises
    ------
    FileError
        When a file of this name is there already, or cannot be written.
    """
    stem = "_".join([name, *(str(position) for position in correction.index)])
    image_path, label_path = folder / "images" / f"{stem}.tif", folder / "labels" / f"{stem}.tif"
    for path in (image_path, label_path):
        if path.exists():
            raise FileError(f"{path} is there already; choose another folder or name.")
    colours = "rgb" if image.ndim == 3 and image.shape[-1] == 3 else "minisblack"
    try:
        _write(image_path, image, photometric=colours)
        _write(label_path, correction.labels, photometric="minisblack")
    except OSError as error:
        image_path.unlink(missing_ok=True)
        raise FileError(f"{folder} cannot be written: {error.strerror or error}.") from error
    return label_path


def import_corrections(folder: Path) -> dict[str, Correction]:
    """The corrections in ``labels/``, by the stem of their files.

    Raises
    ------
    FileError
        When there are none, or a file is no label image.
    """
    paths = sorted(path for path in (folder / "labels").glob("*") if path.suffix.lower() in LABEL_SUFFIXES)
    if not paths:
        raise FileError(f"There are no label images in {folder / 'labels'}.")
    return {path.stem: _read(path) for path in paths}


def _read(path: Path) -> Correction:
    labels = read_image(path)
    if labels.ndim != 2 or labels.dtype.kind not in "bui" or (labels.size and int(labels.max()) > UNKNOWN):
        raise FileError(f"{path} is no label image: class ids from 0 to 254 in one channel, {UNKNOWN} for unknown.")
    return Correction(labels.astype(np.uint8))


def _write(path: Path, array: npt.NDArray[Any], photometric: str) -> None:
    """Write a TIFF, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        tifffile.imwrite(partial, np.ascontiguousarray(array), photometric=photometric, compression="zlib")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)

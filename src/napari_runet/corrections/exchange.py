"""Corrections as a folder of image files: ``images/`` and ``labels/``, where 255 is unknown."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile

from napari_runet.corrections.correction import UNKNOWN, Correction
from napari_runet.io.atomic import written_atomically
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
    image = image[..., 0] if image.ndim == 3 and image.shape[-1] == 1 else image
    try:
        _write(image_path, image)
        _write(label_path, correction.labels)
    except OSError as error:
        image_path.unlink(missing_ok=True)
        raise FileError(f"{folder} cannot be written: {error.strerror or error}.") from error
    return label_path


def import_corrections(folder: Path) -> dict[str, Correction]:
    """The corrections in ``labels/``, by the stem of their files.

    Raises
    ------
    FileError
        When there are none, a file is no label image, or two share a name.
    """
    paths: dict[str, Path] = {}
    for path in sorted(path for path in (folder / "labels").glob("*") if path.suffix.lower() in LABEL_SUFFIXES):
        other = paths.setdefault(path.stem, path)
        if other is not path:
            raise FileError(f"{other} and {path.name} share a name, so it is not clear which one is meant.")
    if not paths:
        raise FileError(f"There are no label images in {folder / 'labels'}.")
    return {stem: _read(path) for stem, path in paths.items()}


def _read(path: Path) -> Correction:
    labels = read_image(path)
    ids = labels.ndim == 2 and labels.dtype.kind in "bui"
    if not ids or (labels.size and not 0 <= int(labels.min()) <= int(labels.max()) <= UNKNOWN):
        raise FileError(f"{path} is no label image: class ids from 0 to 254 in one channel, {UNKNOWN} for unknown.")
    return Correction(labels.astype(np.uint8))


def _write(path: Path, array: npt.NDArray[Any]) -> None:
    """Write (Y, X) or (Y, X, C) as one page of a TIFF, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    colours = "rgb" if array.ndim == 3 and array.shape[-1] == 3 else "minisblack"
    together = "contig" if array.ndim == 3 else None
    with written_atomically(path) as stream:
        array = np.ascontiguousarray(array)
        tifffile.imwrite(stream, array, photometric=colours, planarconfig=together, compression="zlib")

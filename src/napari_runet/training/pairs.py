"""Reading pairs of image and labels from a folder."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_runet.io.images import read_image
from napari_runet.training.losses import UNKNOWN

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp")


class DataError(ValueError):
    """The training or evaluation data cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Pair:
    """An image and its labels.

    Parameters
    ----------
    name
        The image file's stem.
    image
        (Y, X) or (Y, X, C), any real dtype.
    labels
        (Y, X) uint8 class ids, 255 where unknown.
    fov
        (Y, X) bool, the pixels that count; None for all.
    """

    name: str
    image: npt.NDArray[Any]
    labels: npt.NDArray[np.uint8]
    fov: npt.NDArray[np.bool_] | None = None


def read_pairs(folder: Path) -> list[Pair]:
    """All pairs of a folder with ``images/`` and ``masks/`` (non-zero = 1) or ``labels/``, perhaps ``fov/``.

    Raises
    ------
    DataError
        When a folder is missing, there are no images, one has no labels, or sizes differ.
    """
    images = _files(folder / "images")
    if not images:
        raise DataError(f"There are no images in {folder / 'images'}.")
    kind = "labels" if (folder / "labels").is_dir() else "masks"
    labels, fovs = _files(folder / kind), _files(folder / "fov")
    missing = sorted(images.keys() - labels.keys())
    if missing:
        raise DataError(
            f"{len(missing)} of {len(images)} images in {folder} have no file in {kind}/; the first is {missing[0]!r}."
        )
    return [_read_pair(path, labels[stem], kind, fovs.get(stem)) for stem, path in sorted(images.items())]


def _files(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        return {}
    return {path.stem: path for path in sorted(folder.iterdir()) if path.suffix.lower() in IMAGE_SUFFIXES}


def _read_pair(image_path: Path, label_path: Path, kind: str, fov_path: Path | None) -> Pair:
    image, labels = read_image(image_path), read_image(label_path)
    if labels.ndim == 3:
        labels = labels[..., :3].max(axis=-1)
    labels = labels.astype(np.uint8) if kind == "labels" else (labels > 0).astype(np.uint8)
    fov = None
    if fov_path is not None:
        fov = read_image(fov_path)
        fov = (fov[..., :3].max(axis=-1) if fov.ndim == 3 else fov) > 0
    for what, array in (("labels", labels), ("field of view", fov)):
        if array is not None and array.shape != image.shape[:2]:
            raise DataError(f"{image_path.name}: the image is {image.shape[:2]}, its {what} {array.shape}.")
    return Pair(image_path.stem, image, labels, fov)


def known_labels(pair: Pair) -> npt.NDArray[np.uint8]:
    """Labels with everything outside the field of view unknown."""
    return pair.labels if pair.fov is None else np.where(pair.fov, pair.labels, np.uint8(UNKNOWN))

"""Reading pairs of image and labels from a folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt
import PIL.Image

from napari_runet.images.axes import Axes
from napari_runet.images.image_input import ImageInput
from napari_runet.io.images import TIFF_SUFFIXES, read_image
from napari_runet.io.opening import IMAGE_SUFFIXES
from napari_runet.training.losses import UNKNOWN

LABEL_SUFFIXES = (*TIFF_SUFFIXES, ".png", ".jpg", ".jpeg", ".bmp")
"""Of files in labels/: programs that write a GIF number its colours anew, so that class ids would change unseen."""


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
        (Y, X) or (Y, X, C), any real dtype: an array, or what is sliced like one.
    labels
        (Y, X) uint8 class ids, 255 where unknown.
    fov
        (Y, X) bool, the pixels that count; None for all.
    measured
        (y, x[, C]) pixels by which `image`, a part of a plane, is normalised; None where it is the plane.
    """

    name: str
    image: Any
    labels: npt.NDArray[np.uint8]
    fov: npt.NDArray[np.bool_] | None = None
    measured: npt.NDArray[Any] | None = None


class PairFolder(Sequence[Pair]):
    """The pairs of a folder, each read when it is asked for.

    The folder holds ``images/`` and ``masks/`` (0 = background, all else = foreground) or ``labels/`` (class ids,
    255 = unknown), perhaps ``fov/`` (non-zero = counted), paired by the files' stems.

    Parameters
    ----------
    folder
        Which.

    Attributes
    ----------
    notes
        Sentences about what was odd in the pairs read so far, but could be used.

    Raises
    ------
    DataError
        When a folder is missing, there are no images, one has no labels, or two share a name; and when a pair is
        read whose sizes differ or whose labels are no class ids.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise DataError(f"There is no folder {folder}.")
        self._images = _files(folder / "images")
        if not self._images:
            raise DataError(f"There are no images in {folder / 'images'}.")
        self._kind = "labels" if (folder / "labels").is_dir() else "masks"
        self._labels = _files(folder / self._kind, LABEL_SUFFIXES if self._kind == "labels" else IMAGE_SUFFIXES)
        self._fovs = _files(folder / "fov") if (folder / "fov").is_dir() else None
        self._names = sorted(self._images)
        self._unused = [path.name for name, path in self._labels.items() if name not in self._images]
        self._grey: set[str] = set()
        for kind, files in ((self._kind, self._labels), ("fov", self._fovs)):
            missing = [] if files is None else [name for name in self._names if name not in files]
            if missing:
                raise DataError(
                    f"{len(missing)} of {len(self._names)} images in {folder} have no file in {kind}/; "
                    f"the first is {missing[0]!r}."
                )

    @property
    def notes(self) -> list[str]:
        notes = []
        if self._unused:
            notes.append(
                f"Files in {self._kind}/ without an image are left out: {len(self._unused)}, such as {self._unused[0]}."
            )
        if self._grey:
            first, many = min(self._grey), len(self._grey)
            notes.append(
                f"{many} mask{'s hold' if many > 1 else ' holds'} more than one value above 0 (such as {first}); "
                "all of them count as foreground. Class ids belong into labels/."
            )
        return notes

    def __len__(self) -> int:
        return len(self._names)

    @overload
    def __getitem__(self, index: int) -> Pair: ...
    @overload
    def __getitem__(self, index: slice) -> list[Pair]: ...
    def __getitem__(self, index: int | slice) -> Pair | list[Pair]:
        if isinstance(index, slice):
            return [self._read(name) for name in self._names[index]]
        return self._read(self._names[index])

    def _read(self, name: str) -> Pair:
        image = read_image(self._images[name])
        path = self._labels[name]
        labels = _flat(_read_ids(path) if self._kind == "labels" else read_image(path))
        fov = None if self._fovs is None else _flat(read_image(self._fovs[name])) > 0
        for what, array in ((self._kind, labels), ("fov", fov)):
            if array is not None and array.shape != image.shape[:2]:
                sizes = [" x ".join(map(str, shape)) for shape in (image.shape[:2], array.shape)]
                raise DataError(f"{name}: the image is {sizes[0]}, its file in {what}/ is {sizes[1]}.")
        return Pair(name, image, _class_ids(labels, path) if self._kind == "labels" else self._mask(labels, path), fov)

    def _mask(self, values: npt.NDArray[Any], path: Path) -> npt.NDArray[np.uint8]:
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise DataError(f"{path} holds values that are not numbers.")
        mask = values > 0
        if mask.any() and values[mask].min() != values.max():
            self._grey.add(path.name)
        return mask.astype(np.uint8)


def read_pairs(folder: Path) -> list[Pair]:
    """All pairs of a folder, read into memory; see `PairFolder`."""
    return list(PairFolder(folder))


def _files(folder: Path, suffixes: tuple[str, ...] = IMAGE_SUFFIXES) -> dict[str, Path]:
    """Image files by stem."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.suffix.lower() in suffixes and not path.name.startswith("."):
            other = found.setdefault(path.stem, path)
            if other is not path:
                raise DataError(f"{other} and {path.name} share a name, so it is not clear which one is meant.")
    return found


def _flat(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """(Y, X) of a label image that was saved with colours, or with an alpha channel, which does not count."""
    if values.ndim != 3:
        return values
    colours = values[..., :-1] if values.shape[-1] in (2, 4) else values
    flat: npt.NDArray[Any] = colours.max(axis=-1)
    return flat


def _read_ids(path: Path) -> npt.NDArray[Any]:
    """A label image; in a file with a palette the class ids are the entries' numbers, not their colours."""
    values = read_image(path)
    if path.suffix.lower() in (".png", ".bmp"):
        with PIL.Image.open(path) as image:
            if image.mode == "P":
                return np.asarray(image)
    return values


def _class_ids(values: npt.NDArray[Any], path: Path) -> npt.NDArray[np.uint8]:
    if values.dtype.kind == "f" and not (np.isfinite(values) & (values == np.floor(values))).all():
        raise DataError(f"{path} holds values that are no class ids; these are whole numbers, 255 for unknown.")
    if values.size and not 0 <= values.min() <= values.max() <= UNKNOWN:
        raise DataError(f"{path} holds {values.min()} to {values.max()}; class ids are 0 to 254, and 255 for unknown.")
    return values.astype(np.uint8)


def as_plane(pixels: Any, name: str) -> ImageInput:
    """Pixels (Y, X) or (Y, X, C) as an image: what their dimensions are is not guessed.

    Raises
    ------
    ImageError
        When they are empty or complex, or have other dimensions.
    """
    return ImageInput.from_array(pixels, axes=Axes("YX" if len(pixels.shape) == 2 else "YXC"), name=name)


def known_labels(pair: Pair) -> npt.NDArray[np.uint8]:
    """Labels with everything outside the field of view unknown."""
    return pair.labels if pair.fov is None else np.where(pair.fov, pair.labels, np.uint8(UNKNOWN))

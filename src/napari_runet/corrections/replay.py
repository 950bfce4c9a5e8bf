"""Corrections of images that are not open, read back from their journals."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from napari_runet.corrections.correction import SQUARE
from napari_runet.corrections.correction_set import CorrectionSet
from napari_runet.corrections.image_key import ImageKey
from napari_runet.corrections.journal import journal_folder
from napari_runet.corrections.journal_file import SUFFIX, PlaneKey, planes_of
from napari_runet.corrections.journal_format import JournalContent, JournalError, decode
from napari_runet.images.axes import Axes
from napari_runet.images.image_input import ImageError, ImageInput, Region, index_at_level
from napari_runet.images.normalisation import spaced_pixels
from napari_runet.io.images import TIFF_SUFFIXES, FileError, read_image
from napari_runet.io.large_tiff import read_large_tiff
from napari_runet.io.opening import image_shape

MOST_PLANES = 24
MEASURED_ON = 1 << 24
"""The intensities of a large plane are measured on the finest of its levels that has at most so many pixels."""


class CorrectedPlane(NamedTuple):
    """What a model learns from.

    Parameters
    ----------
    name
        For people.
    pixels
        (Y, X) or (Y, X, C), any real dtype.
    labels
        (Y, X) uint8, 255 where unknown.
    measured
        (y, x, C) evenly spaced pixels of the whole plane, where `pixels` are a square of it: its intensities are those
        of the plane. None where they are the plane.
    """

    name: str
    pixels: npt.NDArray[Any]
    labels: npt.NDArray[np.uint8]
    measured: npt.NDArray[Any] | None = None


@dataclass(frozen=True, slots=True)
class KeptPlane:
    """What a journal says about one plane of an image.

    Parameters
    ----------
    image
        The image's key; its path is empty for one that came from no file.
    known
        What a person said about the plane.
    written
        When the journal was last written, in seconds since the epoch.
    """

    image: ImageKey
    known: CorrectionSet
    written: float

    @property
    def name(self) -> str:
        """The image's name, and the plane's position."""
        return " ".join([Path(self.image.path).stem or "unnamed", *map(str, self.known.index)])

    def read(self) -> CorrectedPlane:
        """The plane's pixels, from the image's file, and labels.

        Raises
        ------
        FileError
            When there is no file any more, or it holds other pixels now, or is read in another way.
        """
        if not self.image.path:
            raise FileError(f"The image of {self.name} came from no file.")
        path = Path(self.image.path)
        shape, _ = image_shape(path)
        if len(self.known.index) > len(shape) - 2:
            return self._read_square(path)
        pixels = read_image(Path(self.image.path))
        if ImageKey.of(pixels, self.image.path) != self.image:
            raise FileError(f"{self.image.path} has changed since it was corrected.")
        try:
            source = ImageInput.from_array(pixels, name=self.name)
        except ImageError as error:
            raise FileError(str(error)) from error
        if len(source.axes.plane_axes) != len(self.known.index) or source.plane_shape != self.known.shape:
            raise FileError(f"{self.image.path} was read along other axes when it was corrected.")
        return CorrectedPlane(self.name, source.plane(self.known.index), self.known.labels)

    def _read_square(self, path: Path) -> CorrectedPlane:
        """A square of a plane that is too large to be read whole."""
        if path.suffix.lower() not in TIFF_SUFFIXES:
            raise FileError(f"Squares of {path} are learned from while it is open.")
        file = read_large_tiff(path)
        array = file.array(0)
        if ImageKey.of(array, self.image.path) != self.image:
            raise FileError(f"{path} has changed since it was corrected.")
        *index, _, row, column = self.known.index
        square = Region(row * SQUARE, column * SQUARE, *self.known.shape)
        try:
            source = ImageInput.from_array(array, axes=Axes(file.axes.replace("S", "C")), name=self.name)
        except ValueError as error:
            raise FileError(f"{path} does not say what its dimensions are.") from error
        pixels = source.plane(index, square)
        if len(index) != len(source.axes.plane_axes) or pixels.shape[:2] != self.known.shape:
            raise FileError(f"{path} was read along other axes when it was corrected.")
        coarser = [file.array(number) for number in range(len(file.levels))]
        whole = ImageInput(measured_on(coarser, source.axes), source.axes, self.name)
        measured = spaced_pixels(whole, index_at_level(source, index, whole))
        return CorrectedPlane(self.name, pixels, self.known.labels, measured)


def measured_on(levels: Sequence[Any], axes: Axes) -> Any:
    """The level that a large plane's intensities are measured on; the finest is first."""
    y, x = axes.spatial
    return next((level for level in levels if level.shape[y] * level.shape[x] <= MEASURED_ON), levels[-1])


def kept_planes(folder: Path | None = None) -> Iterator[KeptPlane]:
    """All corrected planes of which there is a journal, the one written last first.

    Several programs may have written about one image; its planes are then the sum. A journal that cannot be read
    is left out here, and told of when its image is opened.
    """
    by_image: dict[ImageKey, list[tuple[float, Path]]] = {}
    for path in (folder or journal_folder()).glob(f"*{SUFFIX}"):
        content = _content(path)
        if content is not None:
            with suppress(OSError):
                by_image.setdefault(content.key, []).append((path.stat().st_mtime, path))
    for key, found in sorted(by_image.items(), key=lambda entry: -max(written for written, _ in entry[1])):
        # read again, for together they may be large; one that is gone by now was taken in by another program
        contents = [_content(path) for _, path in sorted(found)]
        changes = [change for content in contents if content is not None for change in content.changes]
        for plane in planes_of(changes).values():
            yield KeptPlane(key, plane, max(written for written, _ in found))


def _content(path: Path) -> JournalContent | None:
    """What a journal holds; None where it cannot be read."""
    try:
        return decode(path.read_bytes())
    except (JournalError, OSError):
        return None


def earlier_corrections(
    classes: tuple[str, ...],
    skip: Collection[tuple[str, PlaneKey]] = (),
    folder: Path | None = None,
    most: int = MOST_PLANES,
) -> list[CorrectedPlane]:
    """Planes that were corrected earlier, for training.

    Parameters
    ----------
    classes
        Names of the model's classes; corrections that were made with others mean something else.
    skip
        Planes that are open, by the name of their image's key and their own.
    most
        The last so many; those whose file is gone or has changed do not count.
    """
    found: list[CorrectedPlane] = []
    for plane in kept_planes(folder):
        known = plane.known
        if known.classes != classes or (plane.image.name, (known.index, known.shape)) in skip:
            continue
        if not known.flags.any() or not plane.image.path:
            continue
        try:
            found.append(plane.read())
        except FileError:
            continue  # gone or changed: it cannot be learned from any more
        if len(found) >= most:
            break
    return found

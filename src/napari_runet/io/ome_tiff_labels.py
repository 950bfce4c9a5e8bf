"""Labels as OME-TIFF: tiled, compressed, with the levels of the label image that it is made of."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile

from napari_runet.io.atomic import written_atomically
from napari_runet.io.ome_zarr_labels import GrowingLabels, LabelImage

TILE = 512
_UNITS = {
    "micrometer": "µm", "um": "µm", "µm": "µm", "nanometer": "nm", "nm": "nm", "millimeter": "mm", "mm": "mm",
    "centimeter": "cm", "cm": "cm", "meter": "m", "m": "m", "inch": "in",
}  # fmt: skip
_SIZES = {"Z": "PhysicalSizeZ", "Y": "PhysicalSizeY", "X": "PhysicalSizeX"}


def write_ome_tiff(path: Path, labels: GrowingLabels, image: LabelImage) -> None:
    """Write a label image as OME-TIFF, tile by tile; a file that is there is replaced whole.

    Parameters
    ----------
    path
        Ending in ``.ome.tif``.
    labels
        The label image, with all its levels.
    image
        What it is.

    Raises
    ------
    FileError
        When the labels cannot be read.
    OSError
        When the file cannot be written.
    """
    metadata: dict[str, Any] = {"axes": image.axes, "Name": image.name}
    for letter, unit, size in zip(image.axes, image.units, image.levels[0].scale, strict=True):
        if letter in _SIZES and unit in _UNITS:
            metadata |= {_SIZES[letter]: size, f"{_SIZES[letter]}Unit": _UNITS[unit]}
    options: dict[str, Any] = {
        "tile": (TILE, TILE), "dtype": np.uint8, "compression": "zlib", "photometric": "minisblack"
    }  # fmt: skip
    with written_atomically(path) as stream, tifffile.TiffWriter(stream, bigtiff=True, ome=True) as file:
        for number, level in enumerate(image.levels):
            first = number == 0
            file.write(
                _tiles(labels, level.shape, number),
                shape=level.shape,
                subifds=len(image.levels) - 1 if first else None,
                subfiletype=0 if first else 1,
                metadata=metadata if first else None,
                **options,
            )


def _tiles(labels: GrowingLabels, shape: tuple[int, ...], level: int) -> Iterator[npt.NDArray[np.uint8]]:
    """The tiles of a level, plane after plane; those at the edges are whole tiles, too."""
    rows, columns = shape[-2:]
    for index in np.ndindex(*shape[:-2]):
        for y in range(0, rows, TILE):
            band = labels.read(index, y, 0, (min(TILE, rows - y), columns), level)
            for x in range(0, columns, TILE):
                tile = np.zeros((TILE, TILE), np.uint8)
                part = band[:, x : x + TILE]
                tile[: part.shape[0], : part.shape[1]] = part
                yield tile

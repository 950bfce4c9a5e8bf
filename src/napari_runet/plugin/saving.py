"""From results to files: which masks, under which names, with which pixel size."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from napari_runet.io.masks import write_mask

if TYPE_CHECKING:
    from napari_runet.plugin.layers import ResultLayers
    from napari_runet.plugin.results import Result

Format = Literal["tif", "png"]


@dataclass(frozen=True, slots=True, eq=False)
class MaskFile:
    """One mask to be written."""

    path: Path
    result: "Result"
    iteration: int
    pixel_size: tuple[float, float] | None
    unit: str | None

    def write(self) -> None:
        """Write the mask, as large as its image plane."""
        mask = self.result.whole_plane(self.iteration)
        write_mask(self.path, mask, pixel_size=self.pixel_size, unit=self.unit)


def plan(
    all_results: "Iterable[ResultLayers]", folder: Path, file_format: Format, shown: int | None
) -> list[MaskFile]:
    """Which files will be written.

    Parameters
    ----------
    all_results
        The images' masks.
    folder, file_format
        Where to, and as what.
    shown
        The iteration to save (its last one, for an image that has fewer); all when None.
    """
    files: list[MaskFile] = []
    taken: set[str] = set()
    for results in all_results:
        result = results.result
        if not len(result):
            continue
        numbers: Sequence[int] = range(1, len(result) + 1) if shown is None else [min(shown, len(result))]
        stem = _free(_stem(results.image.name), taken)
        size, unit = _pixel_size(results)
        for number in numbers:
            name = f"{stem}_iteration{number}" if shown is None else stem
            files.append(MaskFile(folder / f"{name}.{file_format}", result, number, size, unit))
    return files


def write_all(files: "Iterable[MaskFile]") -> Iterator[Path]:
    """Write files one after the other, yielding each that is done."""
    for file in files:
        file.path.parent.mkdir(parents=True, exist_ok=True)
        file.write()
        yield file.path


def _stem(name: str) -> str:
    """A layer's name as a file's name, without characters that some systems refuse."""
    return re.sub(r'[<>:"/\\|?*\x00-\x1f]', "_", name).strip(" .") or "mask"


def _free(stem: str, taken: set[str]) -> str:
    candidate, number = stem, 2
    while candidate.lower() in taken:
        candidate, number = f"{stem}-{number}", number + 1
    taken.add(candidate.lower())
    return candidate


def _pixel_size(results: "ResultLayers") -> tuple[tuple[float, float] | None, str | None]:
    """Height and width of a pixel and their unit, where the image has them."""
    image, source = results.image, results.result.source
    y, x = (source.letters.index(letter) for letter in "YX")
    size = (abs(float(image.scale[y] * source.factors[y])), abs(float(image.scale[x] * source.factors[x])))
    unit = str(image.units[x])
    known = unit != "pixel" and str(image.units[y]) == unit
    if not known and np.allclose(size, 1):
        return None, None
    return size, unit if known else None

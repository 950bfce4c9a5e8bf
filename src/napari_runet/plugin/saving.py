"""From results to files: which masks, under which names, with which pixel size."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from napari_runet.images.axes import name_plane
from napari_runet.io.masks import write_mask, write_stack

if TYPE_CHECKING:
    import numpy.typing as npt
    from napari.layers import Image

    from napari_runet.plugin.result_layers import ResultLayers
    from napari_runet.plugin.results import Result

Format = Literal["tif", "png"]


@dataclass(frozen=True, slots=True, eq=False)
class MaskFile:
    """One mask to be written: of a plane, as it is now."""

    path: Path
    result: "Result"
    iteration: int
    pixel_size: tuple[float, float] | None
    unit: str | None

    def write(self) -> None:
        """Write the mask, as large as its image plane."""
        mask = self.result.whole_plane(self.iteration)
        write_mask(self.path, mask, pixel_size=self.pixel_size, unit=self.unit)


@dataclass(frozen=True, slots=True, eq=False)
class StackFile:
    """The masks of a stack to be written as one file: of the planes that were segmented, as they are now."""

    path: Path
    planes: "Mapping[tuple[int, ...], Result]"
    iteration: int
    pixel_size: tuple[float, float] | None
    unit: str | None

    def write(self) -> None:
        """Write all planes of the stack, 0 where one has not been segmented."""
        some = next(iter(self.planes.values()))
        axes = some.source.input.axes
        letters = "".join(axes.order[axis] for axis in axes.plane_axes)
        shape = (*some.stack_shape, *some.source.input.plane_shape)
        write_stack(self.path, self._masks(shape), shape, f"{letters}YX", pixel_size=self.pixel_size, unit=self.unit)

    def _masks(self, shape: tuple[int, ...]) -> "Iterator[npt.NDArray[np.uint8]]":
        for index in np.ndindex(shape[:-2]):
            result = self.planes.get(index)
            yield np.zeros(shape[-2:], np.uint8) if result is None else result.whole_plane(self.iteration)


def plan(
    all_results: "Iterable[ResultLayers]", folder: Path, file_format: Format, shown: int | None
) -> list[MaskFile | StackFile]:
    """Which files will be written: one for each plane, but a stack is one TIFF file.

    Parameters
    ----------
    all_results
        The images' masks.
    folder, file_format
        Where to, and as what.
    shown
        The iteration to save (its last one, for an image that has fewer); all when None.
    """
    files: list[MaskFile | StackFile] = []
    taken: set[str] = set()
    for results in all_results:
        planes = {index: _as_it_is(result) for index, result in results.planes.items() if len(result)}
        if not planes:
            continue
        numbers: Sequence[int] = range(1, results.count + 1) if shown is None else [min(shown, results.count)]
        stem = _free(file_stem(results.image.name), taken)
        size, unit = _pixel_size(results)
        for number in numbers:
            name = f"{stem}_iteration{number}" if shown is None else stem
            path = folder / f"{name}.{file_format}"
            if results.is_stack and file_format == "tif":
                files.append(StackFile(path, planes, number, size, unit))
                continue
            for result in planes.values():
                plane = name_plane(result.source.input.axes, result.source.index).replace(", ", "_").replace(" ", "")
                mask = path.with_stem(f"{name}_{plane}") if plane else path
                files.append(MaskFile(mask, result, number, size, unit))
    return files


def _as_it_is(result: "Result") -> "Result":
    """A run as it stands: neither the next iteration nor another threshold changes what is saved."""
    return replace(result, iterations=list(result.iterations))


def written_over(files: "Iterable[MaskFile | StackFile]", images: "Iterable[Image]") -> Path | None:
    """A file of these that is the file of an image, which no mask may replace; None where there is none."""
    sources = [Path(image.source.path) for image in images if image.source.path]
    there = [file.path for file in files if file.path.exists()]
    return next((path for path in there if any(s.exists() and s.samefile(path) for s in sources)), None)


def write_all(files: "Iterable[MaskFile | StackFile]") -> Iterator[Path]:
    """Write files one after the other, yielding each that is done."""
    for file in files:
        file.path.parent.mkdir(parents=True, exist_ok=True)
        file.write()
        yield file.path


def file_stem(name: str) -> str:
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

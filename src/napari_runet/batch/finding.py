"""From files, folders and patterns to the images that they mean."""

import glob
import os
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from napari_runet.io.images import FileError
from napari_runet.io.ome_zarr import is_zarr
from napari_runet.io.opening import IMAGE_SUFFIXES
from napari_runet.io.pulled_image import PulledImage


@dataclass(frozen=True, slots=True)
class FoundImage:
    """An image to be segmented.

    Parameters
    ----------
    path
        Of the file, or of the folder of an OME-Zarr image.
    name
        What its masks are called, without ending: below a searched folder with the folders between, by ``/``.
    pulled
        Of a layer that lies in another process; `path` then only names it.
    """

    path: Path
    name: str
    pulled: PulledImage | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """The images, and sentences for people on what was left out."""

    images: tuple[FoundImage, ...]
    notes: tuple[str, ...] = ()


def find_images(
    inputs: Sequence[str | Path],
    pattern: str = "",
    *,
    output: Path | None = None,
    written: Collection[Path] = (),
) -> Found:
    """All images that files, folders and patterns name, each once, in the order of people (2 before 10).

    Parameters
    ----------
    inputs
        Files, which need not exist (that is told when their turn comes); folders; patterns such as
        ``"scans/**/*.tif"``.
    pattern
        Which files of a folder are meant: ``"*.png"``, or ``"**/*.png"`` for those below it too; by default all
        images that lie directly in it.
    output
        Where the masks go: what lies in it is not taken for an image.
    written
        Masks of an earlier run, which are not taken for images either.

    Raises
    ------
    FileError
        When a folder or a pattern leads to nothing, or to files alone whose names are no text.
    """
    masks = {real_path(path) for path in written}
    images: dict[Path, FoundImage] = {}
    notes: list[str] = []
    for given in inputs:
        every = list(_meant(given, pattern))
        left_out = _not_images(given, every, output, masks)
        found = [image for image in every if image not in left_out]
        if left_out:
            some = "1 file" if len(left_out) == 1 else f"{len(left_out)} files"
            notes.append(f"{some} in the output folder {output} not taken for an image.")
        if not found:
            raise FileError(_nothing(given, pattern, bool(left_out)))
        for image in found:
            images.setdefault(real_path(image.path), image)
    nameless = [image for image in images.values() if not _is_text(image.path.absolute())]
    notes += [f"{str(image.path)!a} is left out: its name is not UTF-8 text. Rename it." for image in nameless]
    if nameless and len(nameless) == len(images):
        raise FileError(" ".join(notes))
    return Found(tuple(image for image in images.values() if image not in nameless), tuple(notes))


def real_path(path: Path) -> Path:
    """Where a path leads; unlike `Path.resolve`, also for links that lead to themselves, which then cannot be read."""
    return Path(os.path.realpath(path))


def _is_text(path: Path) -> bool:
    """Whether what is recorded of a file can name it; on Linux any bytes may be a name."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def _not_images(
    given: str | Path, images: Sequence[FoundImage], output: Path | None, masks: Collection[Path]
) -> set[FoundImage]:
    """Those that were only found because masks lie where images are looked for; a file that is named is an image."""
    root = _searched(given)
    if root is None:
        return set()
    inside = real_path(output) if output is not None and root in real_path(output).parents else None
    found = {image: real_path(image.path) for image in images}
    return {image for image, path in found.items() if path in masks or (inside is not None and inside in path.parents)}


def _searched(given: str | Path) -> Path | None:
    """The folder that is searched for a folder or a pattern; None for a file."""
    path = Path(given)
    if os.path.isdir(path):
        return None if is_zarr(path) else real_path(path)
    if os.path.exists(path) or not glob.has_magic(str(given)):
        return None
    plain = [part for part in path.parents if not glob.has_magic(str(part))]
    return real_path(plain[0])


def _meant(given: str | Path, pattern: str) -> Iterator[FoundImage]:
    path = Path(given)
    if os.path.isdir(path) and not is_zarr(path):  # a file in a folder that nobody may look into is told at its turn
        for found in _in_folder(path, pattern):
            yield FoundImage(found, stem_of(found.relative_to(path)))
    elif not os.path.exists(path) and glob.has_magic(str(given)):
        for match in _in_order(Path(match) for match in glob.glob(str(given), recursive=True)):
            if match.is_file() or is_zarr(match):
                yield FoundImage(match, stem_of(PurePath(match.name)))
    else:
        yield FoundImage(path, stem_of(PurePath(path.name)))


def _in_folder(folder: Path, pattern: str) -> Iterator[Path]:
    try:
        paths = _in_order(folder.glob(pattern or "*"))
    except (NotImplementedError, ValueError) as error:
        raise FileError(
            f"{pattern!r} cannot be looked for below {folder}: {error}. Give a pattern such as '*.png' or '**/*.png'."
        ) from error
    for path in paths:
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        in_zarr = any(is_zarr(parent) for parent in path.parents if parent != folder and folder in parent.parents)
        image = is_zarr(path) or (path.is_file() and path.suffix.lower() in IMAGE_SUFFIXES)
        if image and not hidden and not in_zarr:
            yield path


def stem_of(path: PurePath) -> str:
    """A path without the endings of its file, by ``/``."""
    name = path.name
    for ending in (".ome.tif", ".ome.tiff", ".ome.zarr"):
        if name.lower().endswith(ending):
            return path.with_name(name[: -len(ending)]).as_posix()
    return path.with_suffix("").as_posix()


def _in_order(paths: "Iterator[Path] | Sequence[Path]") -> list[Path]:
    """Sorted as people count: frame 2 before frame 10."""
    return sorted(paths, key=lambda path: [_numbers(part) for part in path.parts])


def _numbers(text: str) -> list[tuple[int, int | str]]:
    parts = re.split(r"(\d+)", text.casefold())
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in parts]


def _nothing(given: str | Path, pattern: str, left_out: bool) -> str:
    if left_out:
        return f"There is nothing in {given} but masks of an earlier run."
    if os.path.isdir(given):
        if not os.access(given, os.R_OK | os.X_OK):
            return f"There is no permission to read the folder {given}."
        which = f"file that fits {pattern!r}" if pattern else f"image ({', '.join(IMAGE_SUFFIXES)}, OME-Zarr)"
        below = "" if "**" in pattern else " Give the pattern '**/*' for those in folders below it."
        return f"There is no {which} in {given}.{below}"
    return f"No file fits {given}."

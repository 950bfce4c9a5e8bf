"""The masks that images begin from: found beside them by their names."""

from collections.abc import Sequence
from pathlib import Path, PurePath

from napari_runet.batch.finding import FoundImage, stem_of
from napari_runet.io.images import FileError

SUFFIXES = (".tif", ".tiff", ".png")


def find_start_masks(folder: Path, images: Sequence[FoundImage]) -> dict[str, Path]:
    """The start mask of each image, by the image's name.

    Parameters
    ----------
    folder
        Holds label images called like the images: by their stem, or, for images found below a folder, in folders of
        the same names.
    images
        Those that are segmented.

    Raises
    ------
    FileError
        When an image has no start mask, or two.
    """
    if not folder.is_dir():
        raise FileError(f"There is no folder {folder} to start from; give one with a label image for each image.")
    masks: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix.lower() in SUFFIXES:
            masks.setdefault(stem_of(PurePath(path.relative_to(folder))), []).append(path)
    return {image.name: _mask_of(image, masks, folder) for image in images}


def _mask_of(image: FoundImage, masks: dict[str, list[Path]], folder: Path) -> Path:
    found = masks.get(image.name, [])
    if not found:
        raise FileError(
            f"{image.path.name} has no start mask: there is no {image.name}.tif or .png in {folder}. "
            "Add one (255 where unknown), or leave the image out."
        )
    if len(found) > 1:
        raise FileError(f"{found[0]} and {found[1]} could both be the start mask of {image.path.name}; remove one.")
    return found[0]

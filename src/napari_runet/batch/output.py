"""What is written for each image and where, and what would be in the way of it."""

import errno
import hashlib
import shutil
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from napari_runet.batch.finding import FoundImage, real_path
from napari_runet.io.images import FileError
from napari_runet.io.masks import why_not_written
from napari_runet.io.ome_zarr import is_zarr

OME_TIFF = "ome-tif"
BLOCK_FORMATS = ("ome-zarr", OME_TIFF)
"""Those that are written block by block, from images that are read so."""
FORMATS = ("tif", "png", *BLOCK_FORMATS)
PRIVATE_FOLDER = ".napari-runet"
"""In an output folder: the record of what is finished, the lock, thumbnails."""
SCRATCH = "scratch-"
"""What folders in the private one begin with that hold what is computed before it is written."""
COMPRESSED_MASK = 0.02
"""Bytes that a pixel of a compressed mask takes at least; thin structures take more."""
_CHUNK = 1 << 22


class Output(BaseModel):
    """What is written for each image, and where.

    Parameters
    ----------
    folder
        Made where it is missing.
    format
        ``"tif"`` or ``"png"``, for OME-Zarr images both as ``"ome-zarr"``; this, and ``"ome-tif"``, are made block by
        block, also from TIFF files.
    all_iterations
        Also write the mask of every iteration, as ``<name>_iteration<t>``.
    probabilities
        Also write the last iteration's probabilities, as ``<name>_probabilities.tif``, (C, Y, X) float32.
    level
        Which resolution of OME-Zarr images is segmented; 0 is the finest.
    into_image
        Write the masks of OME-Zarr images into their own ``labels`` group; else they go into
        ``<name>.ome.zarr/labels``, or ``<name>.ome.tif``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    folder: Path
    format: str = "tif"
    all_iterations: bool = False
    probabilities: bool = False
    level: int = Field(default=0, ge=0)
    into_image: bool = False

    def mask(self, name: str) -> Path:
        """Where the mask of the last iteration goes."""
        return self.folder / f"{name}.{self.format}"

    def iteration_mask(self, name: str, iteration: int) -> Path:
        """Where the mask of one iteration goes."""
        return self.mask(f"{name}_iteration{iteration}")

    def probability_file(self, name: str) -> Path:
        """Where the probabilities go."""
        return self.folder / f"{name}_probabilities.tif"

    def zarr_store(self, image: FoundImage) -> Path:
        """The store in whose ``labels`` group the mask of an OME-Zarr image goes."""
        return image.path if self.into_image else self.folder / f"{image.name}.ome.zarr"

    def is_in_blocks(self, image: FoundImage) -> bool:
        """Whether an image is read, segmented and written block by block."""
        return self.format in BLOCK_FORMATS or image.pulled is not None or is_zarr(image.path)

    def files(self, image: FoundImage, iterations: int, model_id: str) -> list[Path]:
        """All files that an image leads to; a folder for labels in OME-Zarr."""
        if self.is_in_blocks(image):
            tiff = self.format == OME_TIFF
            return [self.folder / f"{image.name}.ome.tif" if tiff else self.zarr_store(image) / "labels" / model_id]
        name = image.name
        paths = [self.mask(name)]
        if self.all_iterations:
            paths += [self.iteration_mask(name, t) for t in range(1, iterations + 1)]
        if self.probabilities:
            paths.append(self.probability_file(name))
        return paths


def check_output(images: Sequence[FoundImage], output: Output, iterations: int, model_id: str) -> None:
    """See that no mask would be written over another image's masks, or over an image; nothing is written.

    Raises
    ------
    FileError
        When one would, or the format is unknown.
    """
    if output.format not in FORMATS:
        raise FileError(f"There is no format {output.format!r}; choose {' or '.join(FORMATS)}.")
    inputs = {real_path(image.path) for image in images}
    owner: dict[str, Path] = {}
    for image in images:
        if output.is_in_blocks(image):
            _check_in_blocks(image, output)
        for path in output.files(image, iterations, model_id):
            # some file systems do not tell upper from lower case
            other = owner.setdefault(path.as_posix().casefold(), image.path)
            if other is not image.path:
                raise FileError(
                    f"{other} and {image.path} would both be written to {path}; rename one, or segment them one by one."
                )
            if real_path(path) in inputs:
                raise FileError(
                    f"The mask of {image.path} would be written over the image {path}; choose another folder."
                )


def _check_in_blocks(image: FoundImage, output: Output) -> None:
    """See that what is asked for can be written for an image that is segmented block by block."""
    if output.all_iterations or output.probabilities:
        raise FileError(
            f"{image.path} is segmented block by block, and only the mask of the last iteration is written; "
            "leave out --all-iterations and --probabilities."
        )
    if output.into_image and (output.format == OME_TIFF or not is_zarr(image.path)):
        raise FileError("Only OME-Zarr has a labels group within the image, for OME-Zarr; leave out --into-image.")
    if output.into_image and output.level != 0:
        raise FileError(
            f"The labels of {image.path} must have as many levels as it has, so only level 0 can go into it; leave "
            "out --level or --into-image."
        )
    store = real_path(image.path)
    if store in (real_path(output.folder), *real_path(output.folder).parents):
        raise FileError(f"The output folder {output.folder} lies inside the image {image.path}; choose another folder.")
    if not output.into_image and real_path(output.zarr_store(image)) == store:
        raise FileError(
            f"The mask of {image.path} would be written into the image itself; choose another folder, or ask for that "
            "by --into-image."
        )


def make_folder(folder: Path) -> None:
    """Make an output folder and see that it can be written to.

    Raises
    ------
    FileError
        When it cannot.
    """
    probe = folder / ".napari-runet-writable"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except (FileExistsError, NotADirectoryError) as error:
        raise FileError(f"{folder} is a file; choose a folder to write the masks into.") from error
    except OSError as error:
        raise FileError(why_not_written(folder, error)) from error


def bytes_expected(pixels: int, classes: int, iterations: int, output: Output) -> int:
    """How many bytes an image of so many pixels leads to, at the least."""
    masks = 1 + (iterations if output.all_iterations else 0)
    probabilities = 4 * classes / 2 if output.probabilities else 0
    return int(pixels * (COMPRESSED_MASK * masks + probabilities))


def check_room(folder: Path, expected: int) -> None:
    """See that a disk has room for so many bytes.

    Raises
    ------
    FileError
        When it has not.
    """
    existing = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    if expected > free:
        raise FileError(
            f"The disk of {folder} has {in_bytes(free)} free, and the results take at least about "
            f"{in_bytes(expected)}; make room or choose another folder."
        )


def size_of(folder: Path) -> int:
    """Bytes of all files in a folder; 0 where there is none."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def in_bytes(count: float) -> str:
    """A number of bytes for people."""
    units = ["bytes", "kB", "MB", "GB", "TB", "PB"]
    while count >= 1000 and len(units) > 1:
        count /= 1000
        del units[0]
    return f"{count:.0f} {units[0]}" if count >= 10 or units[0] == "bytes" else f"{count:.1f} {units[0]}"


def digest_of(path: Path) -> str:
    """sha256 of a file's content.

    Raises
    ------
    OSError
        When it cannot be read.
    """
    digest = hashlib.sha256()
    if path.is_dir():
        for file in sorted(file for file in path.rglob("*") if file.is_file()):
            digest.update(f"{file.relative_to(path).as_posix()} {digest_of(file)}\n".encode())
        return digest.hexdigest()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def name_below(path: Path, folder: Path) -> str:
    """How the record names a file: from its folder, or in full where it lies elsewhere."""
    return (path.relative_to(folder) if path.is_relative_to(folder) else path.absolute()).as_posix()


def check_replacing(paths: Iterable[Path], written: dict[str, str], unfinished: Collection[str], folder: Path) -> None:
    """See that only masks are replaced that were written here and that nobody has changed since.

    Parameters
    ----------
    paths
        What shall be written.
    written
        Digest of each file that the record names, by its path below `folder`.
    unfinished
        Files that a run that was ended had begun to write.

    Raises
    ------
    FileError
        When a file is there that is not such a mask.
    """
    for path in paths:
        name = name_below(path, folder)
        if name in unfinished or not path.exists():
            continue
        if name not in written:
            raise FileError(
                f"{path} is there already and was not written by this batch; move it away, or ask for it to be "
                "overwritten."
            )
        if digest_of(path) != written[name]:
            raise FileError(
                f"{path} was changed since it was written, so it is kept; move it away, or ask for it to be "
                "overwritten."
            )


def is_out_of_room(error: BaseException | None) -> bool:
    """Whether a full disk, or a used-up quota, is behind an error."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__
    return False

"""Segmenting image files into mask files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_runet.images.image_input import ImageError, ImageInput
from napari_runet.images.prediction import Prediction
from napari_runet.inference.iterations import Report, _ignore
from napari_runet.inference.segmenter import LoadedModel, iterate
from napari_runet.io.images import FileError, read_image
from napari_runet.io.masks import why_not_written, write_mask, write_probabilities
from napari_runet.settings import SegmentationSettings

FORMATS = ("tif", "png")


@dataclass(frozen=True, slots=True)
class Output:
    """What is written for each image, and where.

    Parameters
    ----------
    folder
        Made where it is missing.
    format
        ``"tif"`` or ``"png"``.
    all_iterations
        Also write the mask of every iteration, as ``<stem>_iteration<t>``.
    probabilities
        Also write the last iteration's probabilities, as ``<stem>_probabilities.tif``, (C, Y, X) float32.
    """

    folder: Path
    format: str = "tif"
    all_iterations: bool = False
    probabilities: bool = False

    def mask(self, stem: str) -> Path:
        """Where the mask of the last iteration goes."""
        return self.folder / f"{stem}.{self.format}"

    def files(self, stem: str, iterations: int) -> list[Path]:
        """All files that an image leads to."""
        names = [self.mask(stem)]
        if self.all_iterations:
            names += [self.mask(f"{stem}_iteration{t}") for t in range(1, iterations + 1)]
        if self.probabilities:
            names.append(self.folder / f"{stem}_probabilities.tif")
        return names


def check_output(images: Sequence[Path], output: Output, iterations: int) -> None:
    """Make the output folder, and see that nothing would be written over another image's masks, or over an image.

    Raises
    ------
    FileError
        When it would, or the folder cannot be made or written to, or the format is unknown.
    """
    if output.format not in FORMATS:
        raise FileError(f"There is no format {output.format!r}; choose {' or '.join(FORMATS)}.")
    inputs = {image.resolve() for image in images}
    owner: dict[str, Path] = {}
    for image in images:
        for path in output.files(image.stem, iterations):
            # some file systems do not tell upper from lower case
            other = owner.setdefault(path.name.casefold(), image)
            if other is not image:
                raise FileError(
                    f"{other} and {image} would both be written to {path}; rename one, or segment them one by one."
                )
            if path.resolve() in inputs:
                raise FileError(f"The mask of {image} would be written over the image {path}; choose another folder.")
    probe = output.folder / ".napari-runet-writable"
    try:
        output.folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except FileExistsError as error:
        raise FileError(f"{output.folder} is a file; choose a folder to write the masks into.") from error
    except OSError as error:
        raise FileError(why_not_written(output.folder, error)) from error


def read_single_plane(path: Path) -> ImageInput:
    """Read an image file that holds one plane.

    Raises
    ------
    FileError, ImageError
        When it cannot be read, or holds a stack.
    """
    image = ImageInput.from_array(read_image(path), name=path.name)
    planes = [image.array.shape[axis] for axis in image.axes.plane_axes]
    if any(count != 1 for count in planes):
        shape = " x ".join(map(str, image.array.shape))
        raise ImageError(
            f"{path.name} is a stack ({shape}, read as {image.axes.order}); this command segments single images: "
            "save its planes as files of their own first."
        )
    return image


def segment_file(
    path: Path, model: LoadedModel, settings: SegmentationSettings, output: Output, report: Report = _ignore
) -> list[Path]:
    """Segment one image file, and return the files written.

    Raises
    ------
    FileError, ImageError
        When it cannot be read, segmented or written.
    """
    image = read_single_plane(path)
    threshold = settings.threshold or model.card.threshold
    total = settings.iterations or model.card.iterations
    written = []
    for step in iterate(image, model, settings, report=report):
        last = step.number == total
        if not (last or output.all_iterations):
            continue
        prediction = Prediction(step.foreground[None], threshold, model.card.id, model.card.sha256)
        labels = prediction.labels_at(1)
        targets = [output.mask(f"{path.stem}_iteration{step.number}")] if output.all_iterations else []
        targets += [output.mask(path.stem)] if last else []
        for target in targets:
            write_mask(target, labels)
            written.append(target)
        if last and output.probabilities:
            written.append(output.folder / f"{path.stem}_probabilities.tif")
            write_probabilities(written[-1], prediction.probabilities[0])
    return written

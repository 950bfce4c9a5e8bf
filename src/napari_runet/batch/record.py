"""What is known about an image that was segmented: enough to tell that it need not be done again."""

import hashlib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from napari_runet.batch.finding import FoundImage
from napari_runet.batch.output import Output, digest_of
from napari_runet.io.pulled_image import PulledImage
from napari_runet.models.card import ModelCard
from napari_runet.settings import Precision, SegmentationSettings

RECORD_VERSION = 1


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class How(_Frozen):
    """Everything besides the image that masks depend on."""

    model_id: str
    model_sha256: str
    card_sha256: str = Field(description="Digest of what the card says about computing.")
    iterations: int
    threshold: float
    tile_size: int
    rescale: bool = True
    flips: bool = False
    scales: bool = False
    precision: Precision = "auto"
    format: str
    all_iterations: bool
    probabilities: bool
    follow_iterations: int = Field(default=0, description="0 where frames do not go on from the frame before.")
    start_sha256: str = Field(default="", description="Of the file of the mask to begin from; empty for none.")
    level: int = Field(default=0, description="Of images that are segmented in blocks.")
    halo: int = Field(default=0, description="Pixels around each block; 0 for what is not segmented in blocks.")

    @classmethod
    def of(cls, card: ModelCard, settings: SegmentationSettings, output: Output) -> "How":
        """What a model, settings and an output come to, with the card's values where the settings leave it to them."""
        said = {"network", "normalisation", "classes", "tile_overlap", "structure_width"}
        computing = card.model_dump_json(include=said)
        return cls(
            model_id=card.id,
            model_sha256=card.sha256,
            card_sha256=hashlib.sha256(computing.encode()).hexdigest(),
            iterations=settings.iterations or card.iterations,
            threshold=settings.threshold or card.threshold,
            tile_size=settings.tile_size or card.tile_size,
            rescale=settings.rescale,
            flips=settings.flips,
            scales=settings.scales,
            precision=settings.precision,
            format=output.format,
            all_iterations=output.all_iterations,
            probabilities=output.probabilities,
            follow_iterations=settings.follow_iterations if settings.follow_time else 0,
        )


class FinishedImage(_Frozen):
    """An image whose masks are written.

    Parameters
    ----------
    name, image
        What its masks are called, and the image's path.
    image_sha256
        Of the image file's content.
    how
        What else they depend on.
    files
        sha256 of each file written, by its path below the output folder.
    planes, pixels, foreground
        Planes of the image, pixels of all of them, and how many have each foreground class.
    classes
        Names of the foreground classes.
    seconds
        How long it took, reading and writing included.
    read_as
        How the image's dimensions were read.
    asked
        Whether that was by what a person said, because its file does not.
    doubt
        How much the plane that needs it most needs a look, in [0, 1]; None where it was not scored.
    """

    kind: Literal["finished"] = "finished"
    name: str
    image: str
    image_sha256: str
    how: How
    files: dict[str, str]
    planes: int
    pixels: int
    foreground: tuple[int, ...]
    classes: tuple[str, ...]
    seconds: float
    read_as: str
    asked: bool
    doubt: float | None = None

    def is_whole(self, folder: Path) -> bool:
        """Whether all its files are there; what is in them is not looked at."""
        return all((folder / file).exists() for file in self.files)


class FailedImage(_Frozen):
    """An image that could not be segmented, and why; `files` are those that an earlier run wrote of it."""

    kind: Literal["failed"] = "failed"
    name: str
    image: str
    model_id: str
    error: str
    files: dict[str, str] = {}


class Job(_Frozen):
    """One image to be segmented, with all that a process needs to know that does it.

    Parameters
    ----------
    image, name
        The file, and what its masks are called.
    output, how, settings
        What is written, what that depends on, and how the image is segmented.
    known
        What was finished earlier; None for nothing.
    written
        sha256 of each file that earlier runs wrote for this image, by its path below the output folder.
    unfinished
        Files below the output folder that a run that was ended had begun to write.
    axes
        What the image's dimensions are, where its file does not say.
    start
        Label image to begin from; None for nothing.
    overwrite
        Do it anew in any case, and replace whatever is there.
    pulled
        Of a layer that lies in the process that asks; `image` then only names it.
    """

    image: Path
    name: str
    output: Output
    how: How
    settings: SegmentationSettings
    known: FinishedImage | None = None
    written: dict[str, str] = {}
    unfinished: tuple[str, ...] = ()
    axes: str = ""
    start: Path | None = None
    overwrite: bool = False
    pulled: PulledImage | None = None

    @property
    def found(self) -> FoundImage:
        """The image."""
        return FoundImage(self.image, self.name, self.pulled)

    @property
    def is_in_blocks(self) -> bool:
        """Whether it is read, segmented and written block by block."""
        return self.output.is_in_blocks(self.found)

    @property
    def files(self) -> list[Path]:
        """All files that it leads to."""
        return self.output.files(self.found, self.how.iterations, self.how.model_id)

    def is_finished(self, image_sha256: str) -> bool:
        """Whether an image of this content is done already, and its masks are there."""
        known = self.known
        if known is None or self.overwrite or (known.image_sha256, known.how) != (image_sha256, self.how):
            return False
        read_alike = not known.asked or self.axes in ("", known.read_as)
        return read_alike and known.is_whole(self.output.folder)

    def finished(self, image_sha256: str) -> "Outcome | None":
        """What became of it earlier, where it is done already and need not be done again."""
        if self.known is None or not self.is_finished(image_sha256):
            return None
        folder, files = self.output.folder, self.known.files
        changed = any(digest_of(folder / name) != written for name, written in files.items())
        return Outcome(record=self.known, skipped=True, corrected=changed)


class Outcome(_Frozen):
    """What became of a job: its record, whether it had been finished before, and its masks corrected since."""

    record: FinishedImage
    skipped: bool = False
    corrected: bool = False


Entry = Annotated[FinishedImage | FailedImage, Field(discriminator="kind")]
entry_adapter: TypeAdapter[Entry] = TypeAdapter(Entry)

"""What was corrected in one image: its planes, what its journal kept, and where both meet."""

from dataclasses import replace
from typing import TYPE_CHECKING

from napari_runet.images.image_input import ImageError
from napari_runet.plugin.keeping import Keeper
from napari_runet.plugin.plane_correction import plane_index
from napari_runet.plugin.reading import levels_of, read_layer
from napari_runet.plugin.squares import square_at
from napari_runet.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_runet.corrections.correction_set import CorrectionSet
    from napari_runet.corrections.journal_file import PlaneKey, Planes
    from napari_runet.plugin.choices import Choices
    from napari_runet.plugin.plane_correction import PlaneCorrection
    from napari_runet.plugin.reading import Source


def plane_key(source: "Source") -> "PlaneKey":
    """What a plane's corrections are filed under: its position, and its shape."""
    return plane_index(source), source.input.plane_shape


class ImageCorrections:
    """What was corrected in one image: by plane, with the journal that keeps it.

    Attributes
    ----------
    planes
        What is or was open in this viewer.
    found
        What the journal held and nobody has opened yet.
    earlier
        What was kept of the image's file when it had another content, as long as nothing else is known of the plane.
    problem
        Why corrections are not being saved; empty when they are.
    """

    def __init__(self, image: "Image") -> None:
        self.image = image
        self.planes: dict[PlaneKey, PlaneCorrection] = {}
        self.found: Planes = {}
        self.earlier: Planes = {}
        self.problem = ""
        self.keeper = Keeper(levels_of(image)[0], image.source.path or "")

    def take_found(self) -> None:
        """Take up what the journal held; a plane that was opened before the journal was gets it at once."""
        self.found = dict(self.keeper.planes)
        for key in [key for key in self.found if key in self.planes]:
            self.planes[key].take_known(self.found.pop(key))
        self.earlier = {
            key: known
            for key, known in self.keeper.earlier.items()
            if key not in self.found and (key not in self.planes or not self.planes[key].known.flags.any())
        }

    def take(self, key: "PlaneKey") -> "CorrectionSet | None":
        """What the journal held of a plane that is being opened."""
        return self.found.pop(key, None)

    def take_earlier(self, key: "PlaneKey") -> "CorrectionSet | None":
        """What was kept of a plane when the file had another content; it is on disk for the present one, too, now."""
        known = self.earlier.pop(key, None)
        if known is not None:
            self.keeper.append(known.snapshot())
        return known

    @property
    def sentence(self) -> str:
        """What was kept and nobody has opened, for people; empty for nothing."""
        sentences = []
        if self.found:
            sentences.append(f"Corrections of {self.image.name} were kept: {_summed(self.found.values())}.")
        if self.earlier:
            sentences.append(
                f"The file of {self.image.name} has changed since it was corrected. What was painted then is kept "
                f"({_summed(self.earlier.values())}); Restore puts it on the image as it is now."
            )
        return " ".join(sentences)


def _summed(planes: "Iterable[CorrectionSet]") -> str:
    counts = [known.counts for known in planes]
    regions = sum(count.reviewed_regions for count in counts)
    where = f" on {len(counts)} planes" if len(counts) > 1 else ""
    return (
        f"{sum(count.added for count in counts)} px added, {sum(count.removed for count in counts)} removed, "
        f"{counted(regions, 'region')} reviewed{where}"
    )


def source_at(viewer: "ViewerModel", choices: "Choices", image: "Image", key: "PlaneKey") -> "Source":
    """The plane of an image that corrections were filed under.

    Raises
    ------
    ImageError
        When the image is now read in another way than when it was corrected.
    """
    index, shape = key
    source = choices.source(image)
    part = square_at(viewer, image, source, key)
    if part is not None:
        return part
    position, level = (index[:-1], index[-1]) if source.levels > 1 and index else (index, 0)
    if len(position) == len(source.index) and level < source.levels:
        if level != source.level:
            reading = choices.reading(image)
            source = read_layer(image, viewer.dims.point, type(reading)(reading.axes, level))
        source = replace(source, index=position)
        if source.input.plane_shape == shape:
            return source
    raise ImageError(
        f"{image.name} was read in another way when it was corrected (planes of {shape[0]} x {shape[1]} pixels); "
        "choose that reading under Image to get those corrections back."
    )

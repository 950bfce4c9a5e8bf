"""What a model can learn from: the corrected planes of open images, and those that were corrected earlier."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_runet.corrections.replay import CorrectedPlane, earlier_corrections
from napari_runet.images.normalisation import spaced_pixels
from napari_runet.plugin.correction_layers import plane_name
from napari_runet.plugin.reading import why_not

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import numpy.typing as npt
    from napari.layers import Image

    from napari_runet.corrections.journal_file import PlaneKey
    from napari_runet.models.card import ModelCard
    from napari_runet.plugin.corrected_images import CorrectedImages
    from napari_runet.plugin.plane_correction import PlaneCorrection
    from napari_runet.plugin.reading import Source


@dataclass(frozen=True, slots=True, eq=False)
class CorrectedSource:
    """A plane of an open image, and its labels (Y, X) uint8 at this moment, 255 where unknown."""

    image: "Image"
    source: "Source"
    labels: "npt.NDArray[np.uint8]"


def usable(images: "CorrectedImages", card: "ModelCard") -> tuple[list[CorrectedSource], list[str]]:
    """The corrected planes of open images that a model can learn from, and a sentence for each that it cannot.

    Those that were kept from earlier and not restored are among them, unless they were of other classes.
    """
    usable, reasons = [], []
    for plane in images.corrected_planes():
        sample = CorrectedSource(plane.image, plane.source, plane.known.correction.labels)
        reason = why_not(plane.source, card) or _other_classes(plane, card) or _odd_label(sample, card)
        if reason:
            reasons.append(reason)
        else:
            usable.append(sample)
    for image, source, known in images.kept_planes():
        if known.classes == card.class_names and not why_not(source, card):
            usable.append(CorrectedSource(image, source, known.correction.labels))
    return usable, reasons


def _other_classes(plane: "PlaneCorrection", card: "ModelCard") -> str:
    theirs, ours = plane.known.classes, card.class_names
    if not theirs or theirs == ours:
        return ""
    return (
        f"{plane.image.name} was corrected with the classes {', '.join(theirs[1:])}, and {card.title} finds "
        f"{', '.join(ours[1:])}: it learns nothing from that image."
    )


def _odd_label(sample: CorrectedSource, card: "ModelCard") -> str:
    highest = int(sample.labels[sample.labels != 255].max(initial=0))
    if highest < len(card.classes):
        return ""
    return (
        f"{sample.image.name} has pixels labelled {highest}, which is no class of {card.title}; "
        "undo them, or paint them over."
    )


def reader(
    samples: list[CorrectedSource], classes: tuple[str, ...], earlier_but: "set[tuple[str, PlaneKey]] | None"
) -> "Callable[[], list[CorrectedPlane]]":
    """A function that reads the samples' pixels, and planes that were corrected earlier; not for the GUI's thread.

    Parameters
    ----------
    classes
        Names of the model's classes.
    earlier_but
        Planes that are open and come with `samples`; None to take no earlier ones.
    """
    names = [plane_name(sample.image, sample.source) for sample in samples]

    def read() -> list[CorrectedPlane]:
        planes: list[CorrectedPlane] = []
        measured: dict[object, npt.NDArray[Any]] = {}  # a plane is measured once for all of its squares
        for name, sample in zip(names, samples, strict=True):
            source = sample.source
            plane = sample.image, source.index
            if source.whole is not None and plane not in measured:
                measured[plane] = spaced_pixels(*source.measured)
            planes.append(CorrectedPlane(name, source.input.plane(source.index), sample.labels, measured.get(plane)))
        if earlier_but is not None:
            planes += earlier_corrections(classes, earlier_but)
        return planes

    return read

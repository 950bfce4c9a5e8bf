"""From a press of the button to the planes that are meant by it."""

import uuid
from dataclasses import replace
from typing import TYPE_CHECKING
from weakref import WeakSet

from napari_runet.images.image_input import ImageError
from napari_runet.plugin.plane_queue import PlaneJob, PlaneQueue, planes_meant
from napari_runet.plugin.reading import why_not
from napari_runet.plugin.regions import region_of, why_no_region

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_runet.images.image_input import Region
    from napari_runet.plugin.choices import Choices
    from napari_runet.plugin.plane_queue import PlaneScope
    from napari_runet.plugin.reading import Source
    from napari_runet.plugin.session import Session


class Planning:
    """Makes the queue of what is to be segmented, by what is chosen now.

    Parameters
    ----------
    viewer, session, choices
        What is in view, what is chosen, and how images are read.
    """

    def __init__(self, viewer: "ViewerModel", session: "Session", choices: "Choices") -> None:
        self._viewer, self._session, self._choices = viewer, session, choices
        self._alpha_told: WeakSet[Image] = WeakSet()

    def queue(self, images: "Sequence[Image]", left_out: "Sequence[str]" = ()) -> PlaneQueue:
        """All planes of images that are meant; `left_out` are sentences about others, told at the end."""
        jobs: list[PlaneJob] = []
        problems = list(left_out)
        for image in images:
            try:
                source = self._choices.source(image)
                jobs += self._jobs(image, source, self._session.scope)
            except ImageError as error:
                problems.append(str(error))
                continue
            if source.has_alpha and image not in self._alpha_told:
                self._alpha_told.add(image)
                problems.append(f"The transparency (alpha channel) of {image.name} is left out.")
        return PlaneQueue(jobs, problems)

    def queue_shown(self, image: "Image") -> PlaneQueue:
        """The plane on show, wanted as long as it is."""
        try:
            return PlaneQueue(self._jobs(image, self._choices.source(image), "shown"), live=True)
        except ImageError as error:
            return PlaneQueue([], [str(error)], live=True)

    def _jobs(self, image: "Image", source: "Source", scope: "PlaneScope") -> list[PlaneJob]:
        model = self._session.model
        if model is not None and (reason := why_not(source, model.card)):
            raise ImageError(reason)
        axes = source.input.axes
        letters = [axes.order[axis] for axis in axes.plane_axes]
        lengths = [int(source.input.array.shape[axis]) for axis in axes.plane_axes]
        planes = planes_meant(scope, source.index, letters, lengths, self._session.plane_ranges)
        sources = [replace(source, index=index) for index in planes]
        if self._session.region == "shapes" and len(sources) > 1:
            sources = self._with_shapes(image, sources)
        if not self._session.settings.follow_time or "T" not in letters or len(sources) == 1:
            return [PlaneJob(image, plane, self._region(image, plane)) for plane in sources]
        return self._in_time(image, sources, letters.index("T"))

    def _in_time(self, image: "Image", sources: "list[Source]", time: int) -> list[PlaneJob]:
        """Frames in the order of time; of a movie of stacks, each plane by itself."""
        press = uuid.uuid4().hex

        def line(source: "Source") -> tuple[int, ...]:
            return source.index[:time] + source.index[time + 1 :]

        ordered = sorted(sources, key=lambda source: (line(source), source.index[time]))
        return [PlaneJob(image, source, self._region(image, source), f"{press}-{line(source)}") for source in ordered]

    def _with_shapes(self, image: "Image", sources: "list[Source]") -> "list[Source]":
        """The planes on which something is enclosed."""
        reasons = [why_no_region("shapes", self._viewer, image, plane, self._session.shapes) for plane in sources]
        if all(reasons):
            raise ImageError(reasons[0])
        return [plane for plane, reason in zip(sources, reasons, strict=True) if not reason]

    def _region(self, image: "Image", source: "Source") -> "Callable[[], Region | None]":
        """What gives the region of a plane: what is in view now, or what shapes enclose when its turn comes."""
        kind, shapes = self._session.region, self._session.shapes
        if kind == "shapes":
            return lambda: region_of(kind, self._viewer, image, source, shapes)
        region = region_of(kind, self._viewer, image, source, shapes)
        return lambda: region

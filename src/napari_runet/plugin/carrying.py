"""Carrying what was painted on one plane of a stack over to the next."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_runet.corrections.correction import PAINTED
from napari_runet.images.axes import name_plane
from napari_runet.plugin.placing import show_plane
from napari_runet.plugin.session import Notice
from napari_runet.wording import counted

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_runet.plugin.choices import Choices
    from napari_runet.plugin.correcting import Correcting
    from napari_runet.plugin.reading import Source
    from napari_runet.plugin.session import Session


class Carrying:
    """Copies the correction on show to the next frame, or to the next plane of a stack without frames.

    Parameters
    ----------
    viewer, session, choices, correcting
        Where the planes are shown, the state, how images are read, and who opens the layers.
    """

    def __init__(self, viewer: "ViewerModel", session: "Session", choices: "Choices", correcting: "Correcting") -> None:
        self._viewer, self._session = viewer, session
        self._choices, self._correcting = choices, correcting

    @property
    def possible(self) -> bool:
        """Whether a correction is open that has another plane after it."""
        plane = self._session.correction
        return plane is not None and _following(plane.source) is not None

    def to_next(self) -> int:
        """Show the next plane and paint there what was painted here, as one step for undo.

        Where the next plane has no prediction, its layer begins as this plane's prediction.

        Returns
        -------
        How many pixels of the next plane that changed.
        """
        plane = self._session.correction
        following = _following(plane.source) if plane is not None else None
        if plane is None or following is None:
            return 0
        plane.compare()
        rows, columns = np.nonzero((plane.known.flags & PAINTED) != 0)
        labels = plane.known.labels[rows, columns]
        if not len(labels):
            self._session.correction_notice = Notice("Nothing is painted here that could be copied.", "warning")
            return 0
        prediction = self._correcting.predictions.labels(plane)[0]
        show_plane(self._viewer, plane.image, following)
        target = self._correcting.open(plane.image, following, prediction)
        if target is None:
            return 0
        before = target.painted()
        target.paint(rows, columns, labels)
        changed = int((target.shown != before).sum())
        name = name_plane(following.input.axes, following.index)
        copied = f"{counted(changed, 'pixel')} copied to {name}; undo takes it back."
        self._session.correction_notice = Notice(copied if changed else f"All of it is in {name} already.")
        return changed


def _following(source: "Source") -> "Source | None":
    """The next frame, or the next plane where there are no frames; None after the last, and for a single image."""
    axes = source.input.axes
    letters = [axes.order[axis] for axis in axes.plane_axes]
    if not letters:
        return None
    along = letters.index("T") if "T" in letters else 0
    if source.index[along] + 1 >= source.input.array.shape[axes.plane_axes[along]]:
        return None
    index = tuple(position + (number == along) for number, position in enumerate(source.index))
    return replace(source, index=index)

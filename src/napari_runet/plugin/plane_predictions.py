"""Which prediction a plane that is corrected begins as, and of which classes it is."""

from typing import TYPE_CHECKING

import numpy as np

from napari_runet.plugin.layers import results_of
from napari_runet.plugin.plane_correction import plane_index
from napari_runet.plugin.squares import known_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt
    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_runet.models.card import ModelCard
    from napari_runet.plugin.plane_correction import PlaneCorrection
    from napari_runet.plugin.result_layers import ResultLayers
    from napari_runet.plugin.results import Result
    from napari_runet.plugin.session import Session


def newest_result(viewer: "ViewerModel", shown: "ResultLayers | None", plane: "PlaneCorrection") -> "Result | None":
    """The newest prediction of a plane, of the classes that are painted there; `shown` is looked at first."""
    for results in (shown, results_of(viewer, plane.image)):
        result = results.planes.get(plane.source.index) if results is not None else None
        if results is None or results.image is not plane.image or result is None or not len(result):
            continue
        if plane_index(result.source) == plane.known.index and _alike(result.card, plane.card):
            return result
    return None


class Predictions:
    """Finds what models have said about planes.

    Parameters
    ----------
    viewer, session
        Where the masks are, and which of them, and which model, are chosen.
    """

    def __init__(self, viewer: "ViewerModel", session: "Session") -> None:
        self._viewer, self._session = viewer, session

    def newest(self, plane: "PlaneCorrection") -> "Result | None":
        """The newest prediction of a plane."""
        return newest_result(self._viewer, self._session.results, plane)

    def labels(self, plane: "PlaneCorrection") -> "tuple[npt.NDArray[np.uint8], str]":
        """(Y, X) the last own iteration of the newest run over a plane, else all 0, and the run's id, else empty."""
        result = self.newest(plane) if plane.source.corner is None else None
        if result is not None:
            return result.whole_plane(result.own), result.run_id
        known = self._known_of(plane)
        return (known[0](), known[1]) if known is not None else (np.zeros(plane.known.shape, np.uint8), "")

    def has_newer(self, plane: "PlaneCorrection") -> bool:
        """Whether there is a prediction that the untouched pixels of a plane do not come from."""
        result = self.newest(plane) if plane.source.corner is None else None
        if result is not None:
            return result.state != "running" and result.run_id != plane.based_on
        known = self._known_of(plane)
        return known is not None and known[1] != plane.based_on

    def card(self, image: "Image", classes: tuple[str, ...] = ()) -> "ModelCard | None":
        """The model whose classes are painted on an image: that of its masks, where the chosen one has the same.

        Where something was painted already, one of these `classes`, if there is one: the chosen one before others.
        """
        for model in (self._session.model, *self._session.models) if classes else ():
            if model is not None and model.card.class_names == classes:
                return model.card
        results = results_of(self._viewer, image)
        if results is not None and self.same_classes(results.result.card):
            return results.result.card
        return self._session.model.card if self._session.model is not None else None

    def same_classes(self, card: "ModelCard") -> bool:
        """Whether masks of a model tell the same apart as the chosen one's."""
        model = self._session.model
        return model is None or _alike(model.card, card)

    def _known_of(self, plane: "PlaneCorrection") -> "tuple[Callable[[], npt.NDArray[np.uint8]], str] | None":
        """What is known of a plane or square, of the classes that are painted there; see `known_of`."""
        known = known_of(self._viewer, plane.image, plane.source)
        if known is None or (known[2] is not None and not _alike(known[2], plane.card)):
            return None
        return known[0], known[1]


def _alike(one: "ModelCard", other: "ModelCard") -> bool:
    """Whether two models tell the same classes apart."""
    return one.class_names == other.class_names

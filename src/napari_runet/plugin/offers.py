"""What refining offers: guesses that are looked through one by one, taken as one step for undo, or dropped."""

from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

from napari_runet.corrections.correction import UNKNOWN
from napari_runet.plugin.layers import results_of
from napari_runet.plugin.plane_predictions import newest_result
from napari_runet.plugin.session import Notice
from napari_runet.wording import counted

if TYPE_CHECKING:
    import numpy.typing as npt
    from napari.components import ViewerModel

    from napari_runet.images.normalisation import IntensityRange
    from napari_runet.plugin.plane_correction import PlaneCorrection
    from napari_runet.plugin.results import Result
    from napari_runet.plugin.session import Session
    from napari_runet.plugin.stepping import Stepping

    Plane = npt.NDArray[np.uint8]


@dataclass(slots=True, eq=False)
class Followed:
    """What has been followed on one plane, from one run.

    Attributes
    ----------
    known
        (Y, X) uint8: what people had set by then.
    guess
        Which of the guesses is looked at, from 0.
    intensities
        Of the plane, once measured.
    """

    run_id: str
    known: "Plane"
    guess: int = 0
    intensities: "IntensityRange | None" = None


class Offers:
    """Guesses at what strokes change, as iterations after the run's own; one of them is drawn, and can be taken.

    Parameters
    ----------
    viewer, session, stepping
        Where layers are, the state, and what shows one iteration or another.
    """

    def __init__(self, viewer: "ViewerModel", session: "Session", stepping: "Stepping") -> None:
        self._viewer, self._session, self._stepping = viewer, session, stepping
        self._followed: WeakKeyDictionary[PlaneCorrection, Followed] = WeakKeyDictionary()
        session.events.corrected.connect(self._look)
        session.events.correction.connect(self._look)
        session.events.shown.connect(self._on_shown)
        session.events.revision.connect(self._on_revision)

    # What people do

    def take(self) -> int:
        """Write what is drawn into the correction layer, as one step for undo; returns how many pixels changed."""
        plane, result = self._session.correction, self._on_show()
        if plane is None or result is None:
            return 0
        changed = plane.take_prediction(self._wanted(plane, result))
        taken = f"{counted(changed, 'pixel')} taken over; undo takes it back."
        self._session.refine_notice = Notice(taken if changed else "Nothing else would change.")
        return changed

    def other(self) -> None:
        """Draw the next guess, and after the last the first."""
        plane, result = self._session.correction, self._on_show()
        if plane is None or result is None:
            return
        followed = self.followed(plane, result)
        followed.guess = (followed.guess + 1) % result.from_correction
        if self._session.shown > result.own:
            self._stepping.show(self.iteration(plane, result))
        self._session.refine_notice = Notice(self._draw(plane, result))

    def drop(self) -> None:
        """Take back what is offered; what was corrected is not followed again."""
        plane, result = self._session.correction, self._on_show()
        if plane is None or result is None:
            return
        self._followed[plane] = Followed(result.run_id, plane.known.labels.copy())
        result.follow([])
        results = results_of(self._viewer, plane.image, result.card.id)
        if results is not None:
            results.mark_missing()
        self._session.refine_notice = Notice()
        self._session.shown = min(self._session.shown, len(result))
        self._session.revision += 1
        self._draw(plane, result)

    # What is known

    def followed(self, plane: "PlaneCorrection", result: "Result") -> Followed:
        """What has been followed on a plane from a run, which is nothing at first."""
        followed = self._followed.get(plane)
        if followed is None or followed.run_id != result.run_id:
            nothing = np.full(plane.known.shape, UNKNOWN, np.uint8)
            followed = self._followed[plane] = Followed(result.run_id, nothing)
        return followed

    def iteration(self, plane: "PlaneCorrection", result: "Result") -> int:
        """The iteration that is drawn; the run's last own where nothing is offered."""
        return result.own + min(self.followed(plane, result).guess + 1, result.from_correction)

    def put(
        self,
        plane: "PlaneCorrection",
        result: "Result",
        parts: "list[npt.NDArray[np.uint8]]",
        inside: tuple[slice, slice],
        known: "Plane",
    ) -> str:
        """Offer guesses at a part of the mask, (K, height, width) each; returns a sentence about the one drawn."""
        result.follow(parts, inside, after=self.iteration(plane, result))
        followed = self.followed(plane, result)
        followed.known, followed.guess = known, max(0, min(self._session.shown, len(result)) - result.own - 1)
        self._session.revision += 1
        return self._draw(plane, result, add=True)

    # How it is done

    def _on_show(self) -> "Result | None":
        """The run of the plane on show, where something is offered after it."""
        plane = self._session.correction
        result = newest_result(self._viewer, self._session.results, plane) if plane is not None else None
        return result if result is not None and result.from_correction else None

    def _wanted(self, plane: "PlaneCorrection", result: "Result") -> "Plane":
        """(Y, X) what the layer shows, with what the corrections changed in the network's mask."""
        own, offered = (result.whole_plane(number) for number in (result.own, self.iteration(plane, result)))
        return plane.known.pin(np.where(own != offered, offered, plane.shown).astype(np.uint8))

    def _draw(self, plane: "PlaneCorrection", result: "Result", *, add: bool = False) -> str:
        """Draw what is offered and not taken; returns a sentence about it.

        Unless `add` is set no layer is added: one that people delete, or napari as it closes, does not come back.
        """
        wanted = self._wanted(plane, result)
        differ = wanted != plane.shown
        count = int(differ.sum())
        results = results_of(self._viewer, plane.image, result.card.id)
        if results is not None and (add or results.of_plane.changes in self._viewer.layers):
            drawn = np.where(differ, np.where(wanted > 0, 1, 2), 0).astype(np.uint8)
            part = drawn if result.region is None else drawn[result.region.slices]
            results.of_plane.draw_changes(result, part if count else None)
        self._session.refined_pixels = count
        what = f"{counted(count, 'pixel')} around your corrections" if count else "nothing else"
        if result.from_correction < 2:
            return f"{what.capitalize()} would change."
        guess = self.followed(plane, result).guess + 1
        return f"Guess {guess} of {result.from_correction}: {what} would change."

    def _look(self) -> None:
        """Something was painted, undone or taken, or another plane is on show."""
        plane, result = self._session.correction, self._on_show()
        if plane is None:
            self._session.refined_pixels = 0
        elif result is not None and plane in self._followed:
            followed, known = self._followed[plane].known, plane.known.labels
            if (known != followed)[followed != UNKNOWN].any():
                self.drop()
                self._session.refine_notice = Notice("A stroke was changed; what had been offered is gone.")
                return
            before, sentence = self._session.refined_pixels, self._draw(plane, result)
            if self._session.refined_pixels != before:
                self._session.refine_notice = Notice(sentence)

    def _on_revision(self) -> None:
        """What was offered after a run is gone with it, once another run takes its place."""
        if self._session.refined_pixels and self._on_show() is None:
            self._session.refined_pixels = 0
            self._session.refine_notice = Notice()

    def _on_shown(self, shown: int) -> None:
        """An iteration is stepped to: if it is a guess, it is the one that is looked at."""
        plane, result = self._session.correction, self._on_show()
        if plane is None or result is None or not result.own < shown <= len(result):
            return
        followed = self.followed(plane, result)
        if followed.guess != shown - result.own - 1:
            followed.guess = shown - result.own - 1
            self._session.refine_notice = Notice(self._draw(plane, result))

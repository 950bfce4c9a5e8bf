"""Correcting: the button, what was corrected, what was reviewed, and what was kept from earlier."""

from typing import TYPE_CHECKING

from napari.layers import Shapes
from qtpy.QtWidgets import QGridLayout, QHBoxLayout, QWidget

from napari_runet.plugin.keys import brushes_and_keys
from napari_runet.plugin.segment_section import NOTICE_MARKS
from napari_runet.plugin.widgets import SPACING, allow, boxed, column, say, text_button, text_label, title_label

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_runet.plugin.bridging import Bridging
    from napari_runet.plugin.carrying import Carrying
    from napari_runet.plugin.correcting import Correcting
    from napari_runet.plugin.exchanging import Exchanging
    from napari_runet.plugin.session import Session


class CorrectSection(QWidget):
    """Correct, review, and restore.

    Parameters
    ----------
    viewer, session, correcting, bridging, carrying, exchanging
        Where the Shapes layers are, the state, and what the buttons do.
    """

    def __init__(
        self,
        viewer: "ViewerModel",
        session: "Session",
        correcting: "Correcting",
        bridging: "Bridging",
        carrying: "Carrying",
        exchanging: "Exchanging",
    ) -> None:
        super().__init__()
        reviewing = correcting.reviewing
        self._viewer, self._session, self._correcting = viewer, session, correcting
        self.correct = text_button(
            "Correct", "Paint what is wrong on a layer of your own, with napari's tools.", correcting.correct
        )
        self.correct.setObjectName("correct")
        self.bridge = text_button(
            "Bridge a gap", "Click between two ends to join them; press again to go back to painting.", bridging.toggle
        )
        self.bridge.setCheckable(True)
        self.carry = text_button(
            "Copy to the next frame",
            "Go to the next frame, or plane, and paint there what you painted here; undo takes it back.",
            carrying.to_next,
        )
        self._carrying = carrying
        self.hint = text_label("brushes-and-keys")
        self.counts = text_label("correction-counts")
        self.review_view = text_button(
            "All in view is right",
            "Everything you see now is right, also where you did not paint.",
            lambda: reviewing.review("view"),
        )
        self.lasso = text_button(
            "Lasso what is right", "Draw around what is right; press again to go back to painting.", self._lasso
        )
        self.review_shapes = text_button(
            "Inside shapes is right", "Everything inside the topmost Shapes layer's shapes.", self._in_shapes
        )
        self.take_back = text_button("Take back", "Forget the region that was reviewed last.", reviewing.take_back)
        self.take_prediction = text_button(
            "Take the new prediction\naround my corrections",
            "Update the pixels that you did not touch; undo takes it back.",
            correcting.take_prediction,
        )
        self.recovered = text_label("recovered")
        self.restore = text_button("Restore", "Open the corrections as they were kept.", correcting.restore)
        self.restore.setObjectName("restore")
        self.export = text_button(
            "Export…",
            "Write what is corrected to a folder: images and labels, which fine-tuning reads elsewhere too.",
            lambda: exchanging.ask_where_to_export(self),
        )
        self.import_ = text_button(
            "Import…",
            "Take corrections over from such a folder, onto the open images of the same names.",
            lambda: exchanging.ask_what_to_import(self),
        )
        self.problem = text_label("journal-problem")
        self.notice = text_label("correction-notice")
        self._lay_out()
        events = session.events
        for event in (
            events.correction,
            events.corrected,
            events.bridging,
            events.correction_notice,
            events.journal_problem,
            events.recovered,
            events.results,
            events.revision,
            events.image,
            events.model,
        ):
            event.connect(self.refresh)
        self.refresh()

    def _lay_out(self) -> None:
        kept = QHBoxLayout()
        kept.setContentsMargins(0, 0, 0, 0)
        kept.setSpacing(SPACING)
        kept.addWidget(self.recovered, 1)
        kept.addWidget(self.restore)
        self.kept = boxed(kept)
        reviews = QGridLayout()
        reviews.setContentsMargins(0, 0, 0, 0)
        reviews.setSpacing(SPACING)
        reviews.addWidget(self.review_view, 0, 0)
        reviews.addWidget(self.lasso, 0, 1)
        reviews.addWidget(self.review_shapes, 1, 0)
        reviews.addWidget(self.take_back, 1, 1)
        self.reviews = boxed(reviews)
        exchange = QHBoxLayout()
        exchange.setContentsMargins(0, 0, 0, 0)
        exchange.setSpacing(SPACING)
        exchange.addWidget(self.export)
        exchange.addWidget(self.import_)
        self.exchange = boxed(exchange)
        layout = column()
        layout.addWidget(title_label("Corrections"))
        for part in (
            self.kept,
            self.correct,
            self.hint,
            self.bridge,
            self.carry,
            self.counts,
            self.reviews,
            self.take_prediction,
            self.exchange,
            self.problem,
            self.notice,
        ):
            layout.addWidget(part)
        self.setLayout(layout)

    def _in_shapes(self) -> None:
        layers = [layer for layer in self._viewer.layers if isinstance(layer, Shapes)]
        self._correcting.reviewing.review("shapes", layers[-1] if layers else None)

    def _lasso(self) -> None:
        reviewing = self._correcting.reviewing
        if reviewing.drawing:
            reviewing.end_lasso()
        else:
            reviewing.start_lasso()

    def refresh(self) -> None:
        """Show what is corrected."""
        session = self._session
        plane = session.correction
        some = session.results is not None and len(session.results.result) > 0
        self.kept.setVisible(bool(session.recovered))
        self.recovered.setText(session.recovered)
        missing = "No image is open." if session.image is None else "There is no model."
        model = session.model is not None
        allow(self.correct, session.image is not None and (some or plane is not None or model), missing)
        allow(self.export, self._correcting.images.anything_corrected(), "Nothing is corrected yet.")
        allow(self.import_, session.image is not None and model, missing)
        self.correct.setText("Correct" if plane is None else "Go on correcting")
        counts = plane.known.counts if plane is not None else None
        say(self.hint, brushes_and_keys(plane.card) if plane is not None else "")
        say(self.counts, f"{counts}." if counts is not None else "")
        self.reviews.setVisible(plane is not None)
        self.bridge.setVisible(plane is not None)
        self.carry.setVisible(self._carrying.possible)
        self.bridge.setChecked(session.bridging)
        self.take_back.setVisible(counts is not None and counts.reviewed_regions > 0)
        self.take_prediction.setVisible(plane is not None and self._correcting.predictions.has_newer(plane))
        say(self.problem, f"Not saved: {session.journal_problem}" if session.journal_problem else "")
        notice = session.correction_notice
        say(self.notice, NOTICE_MARKS[notice.kind] + notice.text if notice.text else "")

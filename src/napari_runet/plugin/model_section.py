"""Which model segments."""

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QHBoxLayout, QWidget

from napari_runet.plugin.card_dialog import CardDialog
from napari_runet.plugin.new_model_dialog import NewModelDialog
from napari_runet.plugin.widgets import SPACING, column, combo_box, fill, small_button, text_label, title_label

if TYPE_CHECKING:
    from napari_runet.models.store import StoredModel
    from napari_runet.plugin.choices import Choices
    from napari_runet.plugin.making import Making
    from napari_runet.plugin.session import Session


class ModelSection(QWidget):
    """The model, one sentence about it, its card and a new one a click away."""

    def __init__(self, session: "Session", choices: "Choices", making: "Making") -> None:
        super().__init__()
        self._session, self._choices, self._making = session, choices, making
        self.models = combo_box("model", choices.list_models)
        self.models.setToolTip("The model that segments: the shipped ones first, then yours.")
        self.models.activated.connect(lambda position: choices.choose_model(self.models.itemData(position)))
        self.card = small_button("Card", "What this model is, what it was trained on, and what it is bad at.")
        self.card.clicked.connect(self.show_card)
        self.new = small_button("New…", "Make a model of your own, for what no model here finds.")
        self.new.setObjectName("new-model")
        self.new.clicked.connect(self.new_model)
        self.sentence = text_label("model-sentence")
        self.problems = text_label("model-problems")
        row = QHBoxLayout()
        row.setSpacing(SPACING)
        row.addWidget(self.models, 1)
        row.addWidget(self.card)
        row.addWidget(self.new)
        layout = column()
        layout.addWidget(title_label("Model"))
        layout.addLayout(row)
        layout.addWidget(self.sentence)
        layout.addWidget(self.problems)
        self.setLayout(layout)
        session.events.models.connect(self.refresh)
        session.events.model_problems.connect(self.refresh)
        session.events.model.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the models there are and the one chosen."""
        session = self._session
        fill(self.models, [(_entry(model), model) for model in session.models], session.model)
        self.models.setEnabled(bool(session.models))
        self.card.setEnabled(session.model is not None)
        self.sentence.setText(session.model.card.sentence if session.model is not None else "")
        self.sentence.setVisible(session.model is not None)
        self.problems.setText("\n".join(session.model_problems))
        self.problems.setVisible(bool(session.model_problems))

    def show_card(self) -> CardDialog | None:
        """Open the chosen model's card."""
        if self._session.model is None:
            return None
        dialog = CardDialog(self._session.model.card, self)
        dialog.show()
        return dialog

    def new_model(self) -> NewModelDialog:
        """Ask for a new model; it is made when that is answered."""
        source, image = self._session.source, self._session.image
        channels = source.input.channels if source is not None and image is not None else 3
        dialog = NewModelDialog(self._making, self._session.models, channels, self)
        dialog.accepted.connect(lambda: self._making.make(dialog.wanted()))
        dialog.open()
        return dialog


def _entry(model: "StoredModel") -> str:
    return model.card.title if model.shipped else f"{model.card.title} (yours)"

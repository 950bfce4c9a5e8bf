"""The options of fine-tuning, built from `FineTuningSettings`."""

from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QCheckBox, QDoubleSpinBox, QFormLayout, QLineEdit, QSpinBox, QWidget

from napari_runet.plugin.options_section import DEVICE_TITLES, PRECISION_TITLES
from napari_runet.plugin.widgets import SPACING, combo_box, fill
from napari_runet.settings import FineTuningSettings

if TYPE_CHECKING:
    from napari_runet.plugin.session import Session


class TuningOptions(QWidget):
    """A widget for each field, with the title, help and bounds that the settings give it."""

    def __init__(self, session: "Session") -> None:
        super().__init__()
        self._session = session
        self.widgets: dict[str, QWidget] = {name: self._widget(name) for name in FineTuningSettings.model_fields}
        self.start_from = combo_box("start-from")
        self.start_from.setToolTip("The model that fine-tuning starts from.")
        self.start_from.activated.connect(lambda at: setattr(session, "start_from", self.start_from.itemData(at)))
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setSpacing(SPACING)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self.earlier = QCheckBox()
        self.earlier.setToolTip("Also learn from images that were corrected earlier and are not open now.")
        self.earlier.setChecked(session.learn_from_earlier)
        self.earlier.toggled.connect(lambda checked: setattr(session, "learn_from_earlier", checked))
        form.addRow("Start from", self.start_from)
        form.addRow("Earlier images", self.earlier)
        for name, widget in self.widgets.items():
            field = FineTuningSettings.model_fields[name]
            widget.setToolTip(field.description or "")
            form.addRow(field.title or name, widget)
        for event in (session.events.models, session.events.start_from):
            event.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """List the models again."""
        session = self._session
        session.start_from = next((model for model in session.models if model == session.start_from), None)
        models = [(model.card.title, model) for model in session.models]
        fill(self.start_from, [("the chosen model", None), *models], session.start_from)

    def _widget(self, name: str) -> QWidget:
        value = getattr(self._session.tuning_settings, name)
        choices = {"device": DEVICE_TITLES, "precision": PRECISION_TITLES}.get(name)
        if choices is not None:
            box = combo_box(f"tuning-{name}")
            fill(box, [(title, key) for key, title in choices.items()], value)
            box.activated.connect(lambda at: self._set(name, box.itemData(at)))
            return box
        if isinstance(value, bool):
            check = QCheckBox()
            check.setChecked(value)
            check.toggled.connect(lambda checked: self._set(name, checked))
            return check
        if isinstance(value, str):
            line = QLineEdit(value)
            line.setMaxLength(80)
            line.textChanged.connect(lambda text: self._set(name, text))
            return line
        return self._number(name, value)

    def _number(self, name: str, value: float | None) -> QWidget:
        """A spin box; where a field may be None, its lowest value stands for that."""
        low, high = _bounds(name)
        if isinstance(value, float):
            spin = QDoubleSpinBox()
            spin.setRange(low, high)
            spin.setDecimals(0 if high > 10 else 2)
            spin.setSingleStep(10 if high > 10 else 0.05)
            spin.setValue(value)
            spin.valueChanged.connect(lambda number: self._set(name, number))
            return spin
        count = QSpinBox()
        optional = value is None
        count.setRange(int(low) - 1 if optional else int(low), int(high))
        if optional:
            count.setSpecialValueText("by time")
        count.setValue(count.minimum() if value is None else int(value))
        count.valueChanged.connect(
            lambda number: self._set(name, None if optional and number == count.minimum() else number)
        )
        return count

    def _set(self, name: str, value: Any) -> None:
        self._session.tuning_settings = self._session.tuning_settings.model_copy(update={name: value})


def _bounds(name: str) -> tuple[Any, Any]:
    low = high = None
    for constraint in FineTuningSettings.model_fields[name].metadata:
        low = getattr(constraint, "ge", low)
        high = getattr(constraint, "le", high)
    return low, high

"""What one click takes by default: iterations, region, device, precision and threshold."""

from typing import TYPE_CHECKING, Any, get_args

from annotated_types import Ge, Gt, Le, Lt
from napari.layers import Shapes
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QFormLayout, QHBoxLayout, QLabel, QSpinBox, QWidget
from superqt import QLabeledDoubleSlider

from napari_runet.plugin.regions import REGION_TITLES
from napari_runet.plugin.widgets import SPACING, allow, boxed, combo_box, fill, quiet, small_button, text_label
from napari_runet.settings import DeviceName, Precision, SegmentationSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel

    from napari_runet.plugin.session import Session

DEVICE_TITLES = {"auto": "Automatic", "cpu": "CPU", "cuda": "CUDA (NVIDIA GPU)", "mps": "MPS (Apple GPU)"}
PRECISION_TITLES = {"auto": "Automatic", "float32": "float32", "bfloat16": "bfloat16 (CPU)"}
_THRESHOLD_STEP = 0.01


def bounds(name: str) -> tuple[Any, Any]:
    """Lowest and highest value of a field of `SegmentationSettings`, None where it has none."""
    low = high = None
    for constraint in SegmentationSettings.model_fields[name].metadata:
        if isinstance(constraint, Ge | Gt):
            low = constraint.ge if isinstance(constraint, Ge) else constraint.gt
        if isinstance(constraint, Le | Lt):
            high = constraint.le if isinstance(constraint, Le) else constraint.lt
    return low, high


class OptionsSection(QWidget):
    """The options, each with the title, help and bounds that `SegmentationSettings` gives it."""

    def __init__(
        self, viewer: "ViewerModel", session: "Session", set_threshold: "Callable[[float | None], None]"
    ) -> None:
        super().__init__()
        self._viewer, self._session, self._set_threshold = viewer, session, set_threshold
        self.iterations = QSpinBox()
        fewest, most = bounds("iterations")
        self.iterations.setRange(fewest - 1, most)  # below the fewest stands for what the card recommends
        self.iterations.valueChanged.connect(lambda value: self._set(iterations=value if value >= fewest else None))
        self.region = combo_box("region")
        fill(self.region, [(text, kind) for kind, text in REGION_TITLES.items()], session.region)
        self.region.activated.connect(self._choose_region)
        self.shapes = combo_box("shapes")
        self.shapes.setToolTip("The Shapes layer whose rectangles, ellipses and polygons enclose what is segmented.")
        self.shapes.activated.connect(lambda position: setattr(session, "shapes", self.shapes.itemData(position)))
        self.device = combo_box("device")
        names = get_args(DeviceName)
        fill(self.device, [(DEVICE_TITLES[name], name) for name in names], session.settings.device)
        self.device.activated.connect(lambda position: self._set(device=names[position]))
        self.device_line = text_label("device-line")
        self.precision = combo_box("precision")
        precisions = get_args(Precision)
        fill(self.precision, [(PRECISION_TITLES[name], name) for name in precisions], session.settings.precision)
        self.precision.activated.connect(lambda position: self._set(precision=precisions[position]))
        self.threshold = QLabeledDoubleSlider(Qt.Orientation.Horizontal)
        low, high = bounds("threshold")
        self.threshold.setRange(low + _THRESHOLD_STEP, high - _THRESHOLD_STEP)
        self.threshold.setSingleStep(_THRESHOLD_STEP)  # type: ignore[arg-type]
        self.threshold.setDecimals(2)
        self.threshold.valueChanged.connect(lambda value: set_threshold(round(value, 2)))
        self.rescale = QCheckBox()
        self.rescale.setObjectName("rescale")
        self.rescale.toggled.connect(lambda on: self._set(rescale=on))
        self.reset = small_button("Reset", "Take the threshold that the model's card recommends.")
        self.reset.clicked.connect(lambda: set_threshold(None))
        self._lay_out()
        for event in (session.events.settings, session.events.model, session.events.region, session.events.device):
            event.connect(self.refresh)
        self.list_shapes()
        self.refresh()

    def _lay_out(self) -> None:
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setSpacing(SPACING)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self._form = form
        rows = {
            "iterations": self.iterations,
            "rescale": self.rescale,
            "device": self.device,
            "precision": self.precision,
        }
        for name, widget in rows.items():
            field = SegmentationSettings.model_fields[name]
            widget.setToolTip(field.description or "")
            form.addRow(field.title or name, widget)
            if name == "iterations":
                self.region.setToolTip("Which part of the image is segmented.")
                form.addRow("Region", self.region)
                form.addRow("Shapes", self.shapes)
            if name == "device":
                form.addRow(self.device_line)
        form.addRow(self._threshold_row())

    def _threshold_row(self) -> QWidget:
        """Title, slider and button across the whole panel: beside a column of titles a pixel would be a few percent."""
        field = SegmentationSettings.model_fields["threshold"]
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(SPACING)
        row.addWidget(QLabel(field.title))
        row.addWidget(self.threshold, 1)
        row.addWidget(self.reset)
        box = boxed(row)
        box.setToolTip(field.description or "")
        return box

    def _set(self, **values: Any) -> None:
        self._session.settings = self._session.settings.model_copy(update=values)

    def _choose_region(self, position: int) -> None:
        self._session.region = self.region.itemData(position)
        if self._session.shapes is None:
            self._session.shapes = self.shapes.itemData(0)

    def list_shapes(self) -> None:
        """List the Shapes layers again."""
        layers = [layer for layer in self._viewer.layers if isinstance(layer, Shapes)]
        if not any(self._session.shapes is layer for layer in layers):
            self._session.shapes = layers[-1] if layers else None
        fill(self.shapes, [(layer.name, layer) for layer in layers], self._session.shapes)
        self.shapes.setEnabled(bool(layers))

    def refresh(self) -> None:
        """Show the options as they are."""
        session = self._session
        card = session.model.card if session.model is not None else None
        with quiet(self.iterations, self.threshold, self.device, self.precision, self.rescale):
            self.rescale.setChecked(session.settings.rescale)
            known = card is not None and card.structure_width is not None
            allow(self.rescale, known, "Not with this model: its card does not say how wide its structures are.")
            self.iterations.setSpecialValueText(f"{card.iterations} (model's)" if card else "the model's")
            self.iterations.setValue(session.settings.iterations or self.iterations.minimum())
            self.threshold.setValue(session.settings.threshold or (card.threshold if card else 0.5))
            self.device.setCurrentIndex(get_args(DeviceName).index(session.settings.device))
            self.precision.setCurrentIndex(get_args(Precision).index(session.settings.precision))
        allow(self.reset, session.settings.threshold is not None, "It is the one that the card recommends.")
        self._form.setRowVisible(self.shapes, session.region == "shapes")
        self.device_line.setText(session.device)
        self._form.setRowVisible(self.device_line, bool(session.device))

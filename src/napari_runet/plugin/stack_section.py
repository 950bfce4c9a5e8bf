"""Which planes of a stack are segmented, and whether that follows what is on show."""

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QCheckBox, QFormLayout, QHBoxLayout, QLabel, QSpinBox, QWidget

from napari_runet.images.axes import name_planes
from napari_runet.plugin.plane_queue import PlaneScope
from napari_runet.plugin.widgets import SPACING, allow, combo_box, fill, quiet
from napari_runet.settings import SegmentationSettings

if TYPE_CHECKING:
    from napari_runet.images.axes import Axes
    from napari_runet.plugin.reading import Source
    from napari_runet.plugin.session import Session

_WORDS = {"T": "Frames", "Z": "Planes"}


class StackSection(QWidget):
    """The plane on show, a range or all; and segmenting as one scrolls. Hidden for an ordinary image."""

    def __init__(self, session: "Session") -> None:
        super().__init__()
        self._session = session
        self.scope = combo_box("planes")
        self.scope.setAccessibleName("Planes to segment")
        self.scope.setToolTip("Which planes of the stack Segment means; the one on show is done first.")
        self.scope.activated.connect(lambda position: setattr(session, "scope", self.scope.itemData(position)))
        self.ranges = {letter: _RangeRow(letter, session) for letter in _WORDS}
        self.live = QCheckBox("Segment as I scroll")
        self.live.setToolTip(
            "Segment the plane on show as soon as it is reached, and let go of what is no longer on show."
        )
        self.live.toggled.connect(lambda checked: setattr(session, "live", checked))
        field = SegmentationSettings.model_fields["follow_time"]
        self.follow = QCheckBox(field.title or "")
        self.follow.setToolTip(field.description or "")
        self.follow.toggled.connect(self._follow_time)
        self._form = QFormLayout(self)
        self._form.setContentsMargins(0, 0, 0, 0)
        self._form.setSpacing(SPACING)
        self._form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self._form.addRow("Planes", self.scope)
        for letter, row in self.ranges.items():
            self._form.addRow(_WORDS[letter], row)
        self._form.addRow(self.follow)
        self._form.addRow(self.live)
        self._shown: object = ()
        events = session.events
        for event in (events.source, events.scope, events.plane_ranges, events.live, events.region, events.settings):
            event.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show what is meant, for the stack that is chosen."""
        session, source = self._session, self._session.source
        stack = source is not None and bool(source.index)
        self.setVisible(stack)
        if source is None or not stack:
            self._shown = ()
            return
        axes, lengths = source.input.axes, _lengths(source)
        follows = session.settings.follow_time
        now = (axes, lengths, session.scope, dict(session.plane_ranges), session.live, session.region, follows)
        if now == self._shown:  # only scrolled
            return
        self._shown = now
        fill(self.scope, _scopes(axes, lengths), session.scope)
        for letter, row in self.ranges.items():
            self._form.setRowVisible(row, session.scope == "range" and letter in lengths)
            if letter in lengths:
                row.show_range(lengths[letter])
        self._form.setRowVisible(self.follow, "T" in lengths and session.scope != "shown")
        with quiet(self.live, self.follow):
            self.live.setChecked(session.live)
            self.follow.setChecked(follows)
        allow(self.live, session.region == "whole", "Only where Region, under Options, is the whole image.")

    def _follow_time(self, checked: bool) -> None:
        self._session.settings = self._session.settings.model_copy(update={"follow_time": checked})


class _RangeRow(QWidget):
    """The first and the last plane on one axis, counted from 1."""

    def __init__(self, letter: str, session: "Session") -> None:
        super().__init__()
        self._letter, self._session = letter, session
        self.first, self.last = QSpinBox(), QSpinBox()
        for box, which in ((self.first, "First"), (self.last, "Last")):
            box.setAccessibleName(f"{which} of the {_WORDS[letter].lower()} to segment")
            box.valueChanged.connect(self._choose)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(SPACING)
        row.addWidget(self.first, 1)
        row.addWidget(QLabel("to"))
        row.addWidget(self.last, 1)

    def show_range(self, length: int) -> None:
        """Show the range that is chosen, of so many planes."""
        first, last = self._session.plane_ranges.get(self._letter, (0, length - 1))
        with quiet(self.first, self.last):
            for box, value in ((self.first, first), (self.last, last)):
                box.setRange(1, length)
                box.setValue(value + 1)

    def _choose(self) -> None:
        chosen = (self.first.value() - 1, self.last.value() - 1)
        self._session.plane_ranges = {**self._session.plane_ranges, self._letter: chosen}


def _lengths(source: "Source") -> dict[str, int]:
    axes = source.input.axes
    return {axes.order[axis]: int(source.input.array.shape[axis]) for axis in axes.plane_axes}


def _scopes(axes: "Axes", lengths: dict[str, int]) -> list[tuple[str, PlaneScope]]:
    total = 1
    for length in lengths.values():
        total *= length
    one = name_planes(axes, 1).split(" ")[1]
    return [
        (f"The {one} on show", "shown"),
        (f"A range of {one}s", "range"),
        (f"All {name_planes(axes, total)}", "all"),
    ]

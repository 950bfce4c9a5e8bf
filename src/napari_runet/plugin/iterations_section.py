"""Going through the iterations, seeing what changed, and taking masks away."""

import sys
from importlib import import_module
from typing import TYPE_CHECKING

from qtpy.QtCore import QSize, Qt, QTimer
from qtpy.QtWidgets import QCheckBox, QGridLayout, QHBoxLayout, QLabel, QSlider, QToolButton, QWidget

from napari_runet.plugin.layers import CHANGE_COLORS
from napari_runet.plugin.run_texts import plane_text
from napari_runet.plugin.widgets import (
    NO_MASK,
    SPACING,
    allow,
    column,
    icon,
    icon_button,
    quiet,
    text_button,
    text_label,
    title_label,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_runet.plugin.plot import IterationPlot
    from napari_runet.plugin.results import Result
    from napari_runet.plugin.session import Session
    from napari_runet.plugin.stepping import Stepping

_PLAY_MS = 700
_SETTLE_MS = 250
_PREPARE_MS = 100
_PLOT_MODULE = "napari_runet.plugin.plot"


class IterationsSection(QWidget):
    """Slider and buttons for the iterations of the masks on show.

    Parameters
    ----------
    session, stepping
        The state, and what shows iterations.
    edit_copy, confidence, save
        What the buttons do.
    """

    def __init__(
        self,
        session: "Session",
        stepping: "Stepping",
        *,
        edit_copy: "Callable[[], object]",
        confidence: "Callable[[], object]",
        save: "Callable[[], object]",
    ) -> None:
        super().__init__()
        self._session, self._stepping = session, stepping
        self._colors = ("#262930", "#f0f1f2")
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setMinimum(1)
        self.slider.setPageStep(1)
        self.slider.setTickPosition(QSlider.TickPosition.TicksBelow)
        self.slider.setTickInterval(1)
        self.slider.setAccessibleName("Iteration")
        self.slider.valueChanged.connect(stepping.show)
        self.count = QLabel()
        self.plane = text_label("plane")
        self.buttons: dict[str, QToolButton] = {
            "first": icon_button("First iteration", lambda: stepping.show(1)),
            "previous": icon_button("Previous iteration", lambda: stepping.step(-1)),
            "play": icon_button("Play the iterations", self.toggle_play),
            "next": icon_button("Next iteration", lambda: stepping.step(1)),
            "last": icon_button("Last iteration", lambda: stepping.show(stepping.count)),
        }
        self.changes = QCheckBox("Show what changed")
        self.changes.setToolTip("Draw the pixels that flipped since the iteration before.")
        self.changes.toggled.connect(stepping.show_changes)
        self.legend = QLabel(
            f'<span style="color:{CHANGE_COLORS[1]}">■</span> added '
            f'<span style="color:{CHANGE_COLORS[2]}">■</span> removed'
        )
        self.edit_copy = text_button(
            "Edit a copy", "Paint on a Labels layer of your own; no prediction writes to it.", edit_copy
        )
        self.confidence = text_button(
            "Confidence", "Open the confidence of the shown iteration as an image.", confidence
        )
        self.save = text_button("Save masks…", "Save masks as TIFF or PNG.", save)
        policy = self.legend.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        self.legend.setSizePolicy(policy)
        self.plot: IterationPlot | None = None
        self._plotted: Result | None = None
        self._play, self._settle, self._prepare = QTimer(self), QTimer(self), QTimer(self)
        self._prepare.setSingleShot(True)
        self._prepare.timeout.connect(self._prepare_plot)
        self._play.setInterval(_PLAY_MS)
        self._play.timeout.connect(stepping.show_next_in_turn)
        self._settle.setSingleShot(True)
        self._settle.timeout.connect(self._settled)
        self._lay_out()
        self._connect()
        self.refresh()

    def _lay_out(self) -> None:
        slider, buttons, changes = QHBoxLayout(), QHBoxLayout(), QHBoxLayout()
        for row in (slider, buttons, changes):
            row.setSpacing(SPACING)
        slider.addWidget(self.slider, 1)
        slider.addWidget(self.count)
        buttons.addStretch(1)
        for step_button in self.buttons.values():
            buttons.addWidget(step_button)
        buttons.addStretch(1)
        changes.addWidget(self.changes)
        changes.addStretch(1)
        changes.addWidget(self.legend)
        actions = QGridLayout()
        actions.setSpacing(SPACING)
        for position, button in enumerate((self.edit_copy, self.confidence, self.save)):
            actions.addWidget(button, 0, position)
        self._layout = column()
        self._layout.addWidget(title_label("Iterations"))
        self._layout.addWidget(self.plane)
        for part in (slider, buttons, changes, actions):
            self._layout.addLayout(part)
        self.setLayout(self._layout)

    def _connect(self) -> None:
        events = self._session.events
        for event in (events.results, events.revision, events.shown, events.changes_shown):
            event.connect(self.refresh)
        for event in (events.results, events.revision):
            event.connect(self._clear_stale_plot)
            event.connect(self._stop_playing_one)
        for event in (events.results, events.revision, events.shown, events.settings):
            event.connect(self._unsettle)
        events.playing.connect(self._set_playing)

    def _unsettle(self) -> None:
        self._settle.start(_SETTLE_MS)

    def _settled(self) -> None:
        """When nothing has moved for a while: hidden layers and counts, one in a turn of the loop, then the plot."""
        results = self._session.results
        if self._stepping.catch_up():
            self._settle.start(0)
        elif results is not None and results.result.uncounted:
            results.result.changed_pixels(results.result.uncounted[0])
            self._settle.start(0)
        else:
            self._draw_plot()

    def _clear_stale_plot(self) -> None:
        """Never show an earlier run's figures beside the masks of another."""
        results = self._session.results
        if self.plot is not None and (results is None or results.result is not self._plotted):
            self.plot.blank(True)

    def refresh(self) -> None:
        """Show which iteration is on show, of how many."""
        count, shown = self._stepping.count, self._session.shown
        with quiet(self.slider, self.changes):
            self.slider.setMaximum(max(1, count))
            self.slider.setValue(max(1, shown))
            self.changes.setChecked(self._session.changes_shown)
        self.count.setText(f"{shown} of {count}" if count else "none yet")
        self.plane.setText(plane_text(self._session.results))
        self.plane.setVisible(bool(self.plane.text()))
        self.legend.setVisible(self._session.changes_shown)
        for name, button in self.buttons.items():
            backwards = name in ("first", "previous")
            button.setEnabled(count > 1 and (name == "play" or (shown > 1 if backwards else shown < count)))
        self.slider.setEnabled(count > 0)
        allow(self.edit_copy, count > 0, NO_MASK)
        allow(self.save, count > 0, NO_MASK)
        results = self._session.results
        of_plane = results is not None and len(results.result) > 0
        allow(self.changes, of_plane, NO_MASK)
        allow(self.confidence, of_plane, NO_MASK)

    def toggle_play(self) -> None:
        """Play the iterations one after the other, or stop."""
        self._session.playing = not self._session.playing and self._stepping.count > 1

    def _stop_playing_one(self) -> None:
        """Where nothing can be played the button cannot be pressed to end it."""
        if self._stepping.count < 2:
            self._session.playing = False

    def _set_playing(self, playing: bool) -> None:
        if playing:
            self._play.start()
        else:
            self._play.stop()
        self.buttons["play"].setToolTip("Stop" if playing else "Play the iterations")
        self.buttons["play"].setIcon(icon("pause" if playing else "play", self._colors[1]))

    def set_colors(self, background: str, text: str) -> None:
        """Take the theme's colours."""
        self._colors = (background, text)
        for name, button in self.buttons.items():
            shown = "pause" if name == "play" and self._session.playing else name
            button.setIcon(icon(shown, text))
            button.setIconSize(QSize(16, 16))
        if self.plot is not None:
            self.plot.set_colors(background, text)

    def _draw_plot(self) -> None:
        results = self._session.results
        if results is None or not len(results.result):
            if self.plot is not None:
                self.plot.setVisible(False)
            return
        self.make_plot()
        result = results.result
        changed = [result.changed_pixels(number) for number in range(1, len(result) + 1)]
        confidence = [iteration.mean_confidence for iteration in result.iterations]
        if self.plot is not None:
            self.plot.draw(changed, confidence, self._session.shown)
            self.plot.blank(False)
            self.plot.setVisible(True)
            self._plotted = result

    def prepare_plot(self) -> None:
        """Load what the plot needs, soon and in two short turns of the event loop: too slow for when masks arrive."""
        if self.plot is None:
            self._prepare.start(_PREPARE_MS)

    def _prepare_plot(self) -> None:
        if _PLOT_MODULE in sys.modules:
            self.make_plot()
        else:
            import_module(_PLOT_MODULE)
            self._prepare.start(0)

    def make_plot(self) -> None:
        """Make the plot, hidden, where there is none."""
        if self.plot is None:
            self.plot = import_module(_PLOT_MODULE).IterationPlot()
            self.plot.set_colors(*self._colors)
            self.plot.setVisible(False)
            self._layout.insertWidget(5, self.plot)

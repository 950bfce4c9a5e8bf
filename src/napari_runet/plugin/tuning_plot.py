"""A small plot of fine-tuning: the loss, and the score on what was held out beside that of the current model."""

from typing import TYPE_CHECKING

import pyqtgraph
from qtpy.QtWidgets import QVBoxLayout, QWidget

if TYPE_CHECKING:
    from collections.abc import Sequence

LOSS, SCORE = "#4895ef", "#ffb703"


class TuningPlot(QWidget):
    """Loss over seconds (left scale), Dice of the candidate (right scale), and the current model's as a dashed line."""

    def __init__(self) -> None:
        super().__init__()
        self._widget = pyqtgraph.PlotWidget()
        self._widget.setFixedHeight(120)
        self._widget.setMenuEnabled(False)
        self._widget.hideButtons()
        self._widget.setMouseEnabled(x=False, y=False)
        self._plot = self._widget.getPlotItem()
        self._loss = self._plot.plot(pen=pyqtgraph.mkPen(LOSS, width=1))
        self._plot.showAxis("right")
        self._right = pyqtgraph.ViewBox(enableMenu=False)
        self._right.setMouseEnabled(x=False, y=False)
        self._plot.scene().addItem(self._right)
        self._right.setZValue(10)
        self._plot.getAxis("right").linkToView(self._right)
        self._right.setXLink(self._plot)
        self._score = pyqtgraph.PlotDataItem(pen=pyqtgraph.mkPen(SCORE, width=2))
        dashes = pyqtgraph.mkPen(SCORE, width=1, style=pyqtgraph.QtCore.Qt.PenStyle.DashLine)
        self._before = pyqtgraph.InfiniteLine(angle=0, movable=False, pen=dashes)
        self._right.addItem(self._score)
        self._right.addItem(self._before)
        self._plot.setLabel("left", "loss", color=LOSS)
        self._plot.setLabel("right", "Dice, held out", color=SCORE)
        self._plot.getViewBox().sigResized.connect(self._follow_size)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._widget)

    def _follow_size(self) -> None:
        self._right.setGeometry(self._plot.getViewBox().sceneBoundingRect())

    def set_colors(self, background: str, text: str) -> None:
        """Take the theme's colours."""
        self._widget.setBackground(background)
        for side, color in (("bottom", text), ("left", LOSS), ("right", SCORE)):
            axis = self._plot.getAxis(side)
            axis.setPen(text)
            axis.setTextPen(text)
            axis.setStyle(tickTextOffset=2)
            axis.enableAutoSIPrefix(False)
            axis.label.setDefaultTextColor(pyqtgraph.mkColor(color))

    def draw(
        self,
        losses: "Sequence[tuple[float, float]]",
        scores: "Sequence[tuple[float, float]]",
        before: float | None,
    ) -> None:
        """Draw pairs (seconds, loss) and (seconds, Dice), and the current model's Dice where it is known."""
        self._loss.setData([second for second, _ in losses], [loss for _, loss in losses])
        self._score.setData([second for second, _ in scores], [score for _, score in scores])
        self._before.setVisible(before is not None)
        known = [*([before] if before is not None else []), *(score for _, score in scores)]
        if before is not None:
            self._before.setValue(before)
        self._plot.getAxis("right").setVisible(bool(known))
        low, high = min(known, default=0.0), max(known, default=1.0)
        margin = max(0.02, (high - low) * 0.2)
        self._right.setYRange(low - margin, high + margin, padding=0)
        self._plot.setYRange(0, max((loss for _, loss in losses), default=1.0) * 1.05, padding=0)
        self._plot.setXRange(0, max((second for second, _ in losses), default=1.0), padding=0.02)
        self._follow_size()

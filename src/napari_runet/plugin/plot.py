"""A small plot: changed pixels and mean confidence at each iteration."""

from typing import TYPE_CHECKING

import pyqtgraph
from qtpy.QtWidgets import QVBoxLayout, QWidget

if TYPE_CHECKING:
    from collections.abc import Sequence

CHANGED, CONFIDENCE = "#4895ef", "#ffb703"


class IterationPlot(QWidget):
    """Bars for the changed pixels (left scale), a line for the mean confidence (right scale)."""

    def __init__(self) -> None:
        super().__init__()
        self._widget = pyqtgraph.PlotWidget()
        self._widget.setFixedHeight(130)
        self._widget.setMenuEnabled(False)
        self._widget.hideButtons()
        self._widget.setMouseEnabled(x=False, y=False)
        self._plot = self._widget.getPlotItem()
        self._bars = pyqtgraph.BarGraphItem(x=[], height=[], width=0.6, brush=CHANGED, pen=None)
        self._plot.addItem(self._bars)
        self._plot.showAxis("right")
        self._right = pyqtgraph.ViewBox(enableMenu=False)
        self._right.setMouseEnabled(x=False, y=False)
        self._plot.scene().addItem(self._right)
        self._right.setZValue(10)
        self._plot.getAxis("right").linkToView(self._right)
        self._right.setXLink(self._plot)
        self._line = pyqtgraph.PlotDataItem(symbol="o", symbolSize=6, pen=None)
        self._right.addItem(self._line)
        self._shown = pyqtgraph.InfiniteLine(angle=90, movable=False)
        self._plot.addItem(self._shown)
        self._plot.setLabel("left", "changed pixels", color=CHANGED)
        self._plot.setLabel("right", "confidence, %", color=CONFIDENCE)
        self._plot.getViewBox().sigResized.connect(self._follow_size)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._widget)

    def _follow_size(self) -> None:
        self._right.setGeometry(self._plot.getViewBox().sceneBoundingRect())

    def set_colors(self, background: str, text: str) -> None:
        """Take the theme's colours."""
        self._widget.setBackground(background)
        self._shown.setPen(pyqtgraph.mkPen(text, width=1, style=pyqtgraph.QtCore.Qt.PenStyle.DashLine))
        for side, color in (("bottom", text), ("left", CHANGED), ("right", CONFIDENCE)):
            axis = self._plot.getAxis(side)
            axis.setPen(text)
            axis.setTextPen(text)
            axis.setStyle(tickTextOffset=2)
            axis.enableAutoSIPrefix(False)
            axis.label.setDefaultTextColor(pyqtgraph.mkColor(color if side != "bottom" else text))

    def draw(self, changed: "Sequence[int]", confidence: "Sequence[float]", shown: int) -> None:
        """Draw the figures of iterations 1, 2, ..., and a line at the one shown."""
        numbers = list(range(1, len(changed) + 1))
        self._bars.setOpts(x=numbers, height=list(changed))
        percent = [100 * value for value in confidence]
        self._line.setData(numbers, percent, pen=CONFIDENCE, symbolBrush=CONFIDENCE, symbolPen=None)
        self._shown.setValue(shown)
        self._shown.setVisible(shown > 0)
        self._plot.getAxis("bottom").setTicks([[(number, str(number)) for number in numbers]])
        self._plot.setXRange(0.5, max(numbers, default=1) + 0.5, padding=0)
        self._plot.setYRange(0, max([*changed, 1]) * 1.05, padding=0)
        low, high = min(percent, default=0.0), max(percent, default=100.0)
        margin = max(0.5, (high - low) * 0.15)
        self._right.setYRange(low - margin, high + margin, padding=0)
        self._follow_size()

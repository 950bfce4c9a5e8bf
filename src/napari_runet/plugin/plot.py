"""A small plot: changed pixels and mean confidence at each iteration."""

from typing import TYPE_CHECKING

import pyqtgraph

from napari_runet.plugin.two_scale_plot import DASHES, LEFT, RIGHT, TwoScalePlot

if TYPE_CHECKING:
    from collections.abc import Sequence


class IterationPlot(TwoScalePlot):
    """Bars for the changed pixels (left scale), a line for the mean confidence (right scale)."""

    def __init__(self) -> None:
        super().__init__("changed", "confidence, %", height=130, left_units="px")
        self._bars = pyqtgraph.BarGraphItem(x=[], height=[], width=0.6, brush=LEFT, pen=None)
        self.left.addItem(self._bars)
        self._line = pyqtgraph.PlotDataItem(symbol="o", symbolSize=6, pen=None)
        self.right.addItem(self._line)
        self._shown = pyqtgraph.InfiniteLine(angle=90, movable=False)
        self.left.addItem(self._shown)

    def set_colors(self, background: str, text: str) -> None:
        """Take the theme's colours."""
        super().set_colors(background, text)
        self._shown.setPen(pyqtgraph.mkPen(text, width=1, style=DASHES))

    def draw(self, changed: "Sequence[int]", confidence: "Sequence[float]", shown: int) -> None:
        """Draw the figures of iterations 1, 2, ..., and a line at the one shown."""
        numbers = list(range(1, len(changed) + 1))
        self._bars.setOpts(x=numbers, height=list(changed))
        percent = [100 * value for value in confidence]
        self._line.setData(numbers, percent, pen=RIGHT, symbolBrush=RIGHT, symbolPen=None)
        self._shown.setValue(shown)
        self._shown.setVisible(shown > 0)
        self.left.getAxis("bottom").setTicks([[(number, str(number)) for number in numbers]])
        self.left.setXRange(0.5, max(numbers, default=1) + 0.5, padding=0)
        self.left.setYRange(0, max([*changed, 1]) * 1.05, padding=0)
        low, high = min(percent, default=0.0), max(percent, default=100.0)
        margin = max(0.5, (high - low) * 0.15)
        self.right.setYRange(low - margin, high + margin, padding=0)
        self.follow_size()

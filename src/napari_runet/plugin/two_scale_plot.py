"""A small plot with a scale on either side, in the theme's colours."""

import pyqtgraph
from qtpy.QtWidgets import QVBoxLayout, QWidget

LEFT, RIGHT = "#4895ef", "#ffb703"
DASHES = pyqtgraph.QtCore.Qt.PenStyle.DashLine


class TwoScalePlot(QWidget):
    """Axes for what `self.left` (a plot item) and `self.right` (a view box linked to it) are given to show.

    Parameters
    ----------
    left_label, right_label
        What the two scales measure.
    height
        In pixels.
    left_units
        Units of the left scale, which then has a prefix as its values need it (k, M).
    """

    def __init__(self, left_label: str, right_label: str, height: int, left_units: str | None = None) -> None:
        super().__init__()
        self._left_has_prefix = left_units is not None
        self._widget = pyqtgraph.PlotWidget()
        self._widget.setFixedHeight(height)
        self._widget.setMenuEnabled(False)
        self._widget.hideButtons()
        self._widget.setMouseEnabled(x=False, y=False)
        self.left = self._widget.getPlotItem()
        self.left.showAxis("right")
        self.right = pyqtgraph.ViewBox(enableMenu=False)
        self.right.setMouseEnabled(x=False, y=False)
        self.left.scene().addItem(self.right)
        self.right.setZValue(10)
        self.left.getAxis("right").linkToView(self.right)
        self.right.setXLink(self.left)
        self.left.setLabel("left", left_label, left_units, color=LEFT)
        self.left.layout.setContentsMargins(0, 8, 0, 0)  # half of the topmost number stands above its axis
        self.left.setLabel("right", right_label, color=RIGHT)
        self.left.getViewBox().sigResized.connect(self.follow_size)
        policy = self._widget.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        self._widget.setSizePolicy(policy)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._widget)

    def blank(self, blank: bool) -> None:
        """Show nothing, in the same room: much cheaper than to draw empty axes."""
        self._widget.setVisible(not blank)

    def follow_size(self) -> None:
        """Lay the right scale's items over the left one's."""
        self.right.setGeometry(self.left.getViewBox().sceneBoundingRect())

    def set_colors(self, background: str, text: str) -> None:
        """Take the theme's colours."""
        self._widget.setBackground(background)
        for side, color in (("bottom", text), ("left", LEFT), ("right", RIGHT)):
            axis = self.left.getAxis(side)
            axis.setPen(text)
            axis.setTextPen(text)
            axis.setStyle(tickTextOffset=2)
            axis.enableAutoSIPrefix(side == "left" and self._left_has_prefix)
            axis.label.setDefaultTextColor(pyqtgraph.mkColor(color))

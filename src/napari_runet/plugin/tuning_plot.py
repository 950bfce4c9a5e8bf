"""A small plot of fine-tuning: the loss, and the score on what was held out beside that of the current model."""

from typing import TYPE_CHECKING, Any

import pyqtgraph

from napari_runet.plugin.two_scale_plot import DASHES, LEFT, RIGHT, TwoScalePlot

if TYPE_CHECKING:
    from collections.abc import Sequence


SCORE = (
    "The loss by seconds, and the score on what was held out, of the best so far and (dashed) of the current model: "
    "the mean of Dice on held-out corrections, and of Dice with what the current model is sure of elsewhere."
)


class TuningPlot(TwoScalePlot):
    """Loss over seconds (left scale), the candidate's score (right scale), and the current model's as a dashed line."""

    def __init__(self) -> None:
        super().__init__("loss", "score, held out", height=120)
        self.setToolTip(SCORE)
        # with symbols, for a line through the first value alone is none
        self._loss = self.left.plot(pen=pyqtgraph.mkPen(LEFT, width=1), **_symbols(LEFT))
        self._score = pyqtgraph.PlotDataItem(pen=pyqtgraph.mkPen(RIGHT, width=2), **_symbols(RIGHT))
        dashes = pyqtgraph.mkPen(RIGHT, width=1, style=DASHES)
        self._before = pyqtgraph.InfiniteLine(angle=0, movable=False, pen=dashes)
        self.right.addItem(self._score)
        self.right.addItem(self._before)

    def draw(
        self,
        losses: "Sequence[tuple[float, float]]",
        scores: "Sequence[tuple[float, float]]",
        before: float | None,
    ) -> None:
        """Draw pairs (seconds, loss) and (seconds, score), and the current model's score where it is known."""
        self._loss.setData([second for second, _ in losses], [loss for _, loss in losses])
        self._score.setData([second for second, _ in scores], [score for _, score in scores])
        self._before.setVisible(before is not None)
        known = [*([before] if before is not None else []), *(score for _, score in scores)]
        if before is not None:
            self._before.setValue(before)
        self.left.getAxis("right").setVisible(bool(known))
        low, high = min(known, default=0.0), max(known, default=1.0)
        margin = max(0.02, (high - low) * 0.2)
        self.right.setYRange(low - margin, high + margin, padding=0)
        self.left.setYRange(0, max((loss for _, loss in losses), default=1.0) * 1.05, padding=0)
        self.left.setXRange(0, max((second for second, _ in losses), default=1.0), padding=0.02)
        self.follow_size()


def _symbols(color: str) -> dict[str, Any]:
    return {"symbol": "o", "symbolSize": 4, "symbolBrush": color, "symbolPen": None}

"""Pictures drawn from a seed together with their true masks: samples, tests and benchmarks without any data."""

from napari_runet.images.drawn.aerial import draw_aerial as draw_aerial
from napari_runet.images.drawn.fundus import draw_fundus as draw_fundus
from napari_runet.images.drawn.hand import draw_hand as draw_hand
from napari_runet.images.drawn.moving import draw_moving_hand as draw_moving_hand

__all__ = ["draw_aerial", "draw_fundus", "draw_hand", "draw_moving_hand"]

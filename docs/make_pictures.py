"""Make the pictures of README and tutorial by driving napari: ``python docs/make_pictures.py``.

Needs a display (``xvfb-run -a -s "-screen 0 1400x1000x24"`` where there is none).
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import napari
import numpy as np
from napari.qt import get_qapp
from PIL import Image

from napari_runet.images.drawn import draw_fundus
from napari_runet.models.store import HOME_VARIABLE
from napari_runet.plugin.samples import RETINA_SEED, SIZE

FOLDER = Path(__file__).parent / "images"
WINDOW = (1280, 800)


def process_events(until: Callable[[], bool] = lambda: False, seconds: float = 1.5) -> None:
    """Let the window live until a condition holds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and not until():
        get_qapp().processEvents()
        time.sleep(0.01)


def save(viewer: napari.Viewer, name: str) -> None:
    """Save the window as a small PNG of 256 colours."""
    process_events()
    pixels = viewer.screenshot(canvas_only=False, flash=False)
    picture = Image.fromarray(pixels).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    picture.save(FOLDER / f"{name}.png", optimize=True)


def segment(panel: Any) -> None:
    """Press Segment, and wait for the last iteration."""
    if not panel.segment_now():
        sys.exit(panel.session.obstacle)
    process_events(lambda: panel.session.activity.stage == "idle", 600)
    if panel.session.notice.kind == "error":
        sys.exit(panel.session.notice.text)


def correct(viewer: napari.Viewer, panel: Any) -> None:
    """Paint what was missed or invented in a few places, as the drawing's truth has it."""
    truth = (draw_fundus(RETINA_SEED, SIZE)[1] > 0).astype(np.uint8)
    panel.correct_section.correct.click()
    layer = viewer.layers.selection.active
    wrong = np.argwhere(np.asarray(layer.data) != truth)
    for y, x in wrong[:: max(1, len(wrong) // 25)]:
        box = np.s_[max(0, y - 4) : y + 5, max(0, x - 4) : x + 5]
        layer.data_setitem(tuple(np.argwhere(np.ones_like(truth[box])).T + np.array([[box[0].start], [box[1].start]])),
                           truth[box].ravel())  # fmt: skip
        process_events(seconds=0.1)


def scroll_to(panel: Any, widget: Any) -> None:
    """Bring a part of the panel into view."""
    process_events(seconds=0.3)
    panel.scroll_area.ensureWidgetVisible(widget, 0, 20)


def main() -> None:
    """Open the sample, segment it, correct it, fine-tune, and save the window at each stage."""
    FOLDER.mkdir(exist_ok=True)
    os.environ[HOME_VARIABLE] = tempfile.mkdtemp()  # nothing of this is kept among the person's own models
    viewer = napari.Viewer()
    viewer.window.resize(*WINDOW)
    viewer.open_sample("napari-runet", "retina")
    _, panel = viewer.window.add_plugin_dock_widget("napari-runet", "Recurrent U-Net")
    save(viewer, "sample")
    segment(panel)
    save(viewer, "panel")
    panel.stepping.show(2)
    panel.stepping.show_changes(True)
    viewer.scene.camera.zoom *= 2.5
    save(viewer, "changes")
    panel.stepping.show_changes(False)
    panel.stepping.show(3)
    viewer.reset_view()
    panel.next_section.next.click()
    process_events(lambda: panel.session.place is not None, 60)
    scroll_to(panel, panel.next_section)
    save(viewer, "next")
    panel.next_section.out.click()
    correct(viewer, panel)
    scroll_to(panel, panel.correct_section)
    save(viewer, "correct")
    panel.fine_tune_section.fine_tune.click()
    process_events(lambda: panel.session.tuning.stage == "deciding", 600)
    scroll_to(panel, panel.fine_tune_section.accept)
    save(viewer, "fine-tune")
    panel.fine_tune_section.reject.click()
    process_events(seconds=0.5)
    viewer.close()


if __name__ == "__main__":
    main()

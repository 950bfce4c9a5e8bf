"""Make the pictures of README and tutorial by driving napari: ``python docs/make_pictures.py``.

Needs a display (``xvfb-run -a -s "-screen 0 1400x1000x24"`` where there is none).
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import napari
from napari.qt import get_qapp
from PIL import Image

FOLDER = Path(__file__).parent / "images"
SIZE = (1280, 800)


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


def main() -> None:
    """Open the sample, segment it, and save the window at each stage."""
    FOLDER.mkdir(exist_ok=True)
    viewer = napari.Viewer()
    viewer.window.resize(*SIZE)
    viewer.open_sample("napari-runet", "retina")
    _, panel = viewer.window.add_plugin_dock_widget("napari-runet", "Recurrent U-Net")
    save(viewer, "sample")
    if not panel.segment_now():
        sys.exit(panel.session.obstacle)
    process_events(lambda: panel.session.activity.stage == "idle", 600)
    if panel.session.notice.kind == "error":
        sys.exit(panel.session.notice.text)
    save(viewer, "panel")
    panel.stepping.show(2)
    panel.stepping.show_changes(True)
    viewer.scene.camera.zoom *= 2.5
    save(viewer, "changes")
    viewer.close()


if __name__ == "__main__":
    main()

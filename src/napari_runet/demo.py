"""napari with a sample that is being segmented: what ``napari-runet demo`` opens.

The plugin is reached as any other program would reach it, through napari; this module does not import it.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import napari
from napari.qt import get_qapp
from npe2 import PluginManager

from napari_runet.io.images import read_image

PLUGIN, WIDGET = "napari-runet", "Recurrent U-Net"
LONGEST = 900.0
"""Seconds after which a segmentation that has not ended is given up."""
SETTLE = 1.0
"""Seconds for the window to be drawn before it is saved."""


class DemoError(RuntimeError):
    """The demo could not be shown; the message says why."""


def demo(task: str, image: Path | None = None, screenshot: Path | None = None) -> None:
    """Open napari, segment, and show the iterations; returns when the window is closed.

    Parameters
    ----------
    task
        ``"retina"``, ``"roads"`` or ``"hands"``: which sample, and which model.
    image
        An image file instead of the sample.
    screenshot
        Save the finished window into this file and close it, instead of leaving it to people.

    Raises
    ------
    DemoError
        When there is no such model, or the segmentation failed (only then with a `screenshot`: people read it
        in the panel).
    FileError
        When `image` cannot be read.
    """
    pixels = read_image(image) if image is not None else None
    viewer = napari.Viewer()
    try:
        if image is not None and pixels is not None:
            viewer.add_image(pixels, name=image.stem)
        else:
            viewer.open_sample(PLUGIN, task)
        panel = PluginManager.instance().commands.get(f"{PLUGIN}.panel")(viewer)
        viewer.window.add_dock_widget(panel, name=f"{WIDGET} ({WIDGET})")  # by which the Plugins menu finds it
        _choose_model(panel, task)
        if screenshot is None:
            panel.segment_now()
            napari.run()
            return
        _segment_and_wait(panel)
        _process_events(lambda: False, SETTLE)
        viewer.screenshot(str(screenshot), canvas_only=False, flash=False)
    finally:
        if screenshot is not None:
            viewer.close()


def _choose_model(panel: Any, task: str) -> None:
    """Take the task's model."""
    fitting = [model for model in panel.session.models if model.card.id == task]
    if not fitting:
        have = ", ".join(model.card.id for model in panel.session.models) or "none"
        raise DemoError(f"There is no {task} model yet; there are: {have}.")
    panel.choices.choose_model(fitting[0])


def _segment_and_wait(panel: Any) -> None:
    session = panel.session
    _process_events(lambda: False, 0.2)
    if not panel.segment_now():
        raise DemoError(session.obstacle or "The segmentation could not be started.")
    if not _process_events(lambda: session.activity.stage == "idle", LONGEST):
        raise DemoError(f"The segmentation has not ended within {LONGEST / 60:.0f} minutes.")
    if session.notice.kind == "error":
        raise DemoError(session.notice.text)


def _process_events(until: Callable[[], bool], seconds: float) -> bool:
    """Let the window live until a condition holds, at most so long; whether it held."""
    application, end = get_qapp(), time.monotonic() + seconds
    while time.monotonic() < end:
        application.processEvents()
        if until():
            return True
        time.sleep(0.01)
    return False

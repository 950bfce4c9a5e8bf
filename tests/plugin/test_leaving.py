"""Python ends while the panel is open, as in a script or a notebook that closes no window."""

import subprocess
import sys
from pathlib import Path

import pytest

from napari_runet.models.store import HOME_VARIABLE
from napari_runet.plugin.panel import _end

SCRIPT = """
import napari
import numpy as np
from napari.qt import get_qapp

viewer = napari.Viewer(show=False)
_, panel = viewer.window.add_plugin_dock_widget("napari-runet", "Recurrent U-Net")
viewer.add_image(np.zeros((64, 64, 3)))
for _ in range(50):
    get_qapp().processEvents()
assert panel.session.image is not None
"""


def test_python_that_ends_without_closing_the_window_ends_quietly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path))
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=300, check=False, cwd=tmp_path
    )
    assert (ended.returncode, "Traceback" in ended.stderr) == (0, False), ended.stderr


def test_all_that_goes_on_beside_a_panel_is_ended_though_one_of_it_cannot_be() -> None:
    ended: list[str] = []

    def fail() -> None:
        ended.append("corrections")
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        _end(lambda: ended.append("places"), fail, None, lambda: ended.append("worker"))
    assert ended == ["places", "corrections", "worker"]

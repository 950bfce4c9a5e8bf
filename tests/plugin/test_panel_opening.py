"""What opening the panel does not wait for."""

import subprocess
import sys

from napari_runet.models.store import HOME_VARIABLE

SCRIPT = """
import sys

import napari
import numpy as np

viewer = napari.Viewer(show=False)
viewer.add_image(np.zeros((64, 64, 3)))
heavy = {"torch", "scipy.ndimage", "skimage.graph", "skimage.morphology", "distributed"} - set(sys.modules)
viewer.window.add_plugin_dock_widget("napari-runet", "Recurrent U-Net")
print("loaded:", sorted(heavy & set(sys.modules)))
"""


def test_what_only_later_clicks_need_is_not_imported(tmp_path, monkeypatch):
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path))
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=300, check=False, cwd=tmp_path
    )
    assert "loaded: []" in ended.stdout, (ended.stdout, ended.stderr)

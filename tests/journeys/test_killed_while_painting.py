"""napari is killed in the middle of a stroke: what was painted before it is offered again, pixel by pixel."""

import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

from napari_runet.corrections.correction import Correction
from napari_runet.corrections.image_key import ImageKey
from napari_runet.corrections.journal import recover

PROGRAM = """
import sys
import numpy as np
import napari
from qtpy.QtTest import QTest
from napari_runet.plugin.commands import open_panel

viewer = napari.Viewer()
picture = np.random.default_rng(5).integers(0, 256, (120, 150, 3), np.uint8)
image = viewer.add_image(picture, name="eye", rgb=True)
panel = open_panel(viewer)
plane = panel.correcting._plane(image, panel.choices.source(image))
layer = plane.open(np.zeros((120, 150), np.uint8))
panel.correcting.look()
for number in range(5):
    with layer.block_history():
        for x in range(10, 60):
            layer.paint((10 + 20 * number, x), number % 2 if number else 1)
    QTest.qWait(50)
layer.undo()
QTest.qWait(50)
panel.correcting.flush()
print("known", plane.known.digest, int(plane.known.flags.any()), flush=True)
with layer.block_history():
    layer.paint((100, 100), 1)
    print("in mid-stroke", flush=True)
    while True:
        layer.paint((100, 100), 1)
"""


def test_a_kill_in_mid_stroke_loses_no_stroke_before_it(tmp_path, tiny_models):
    home = tmp_path / "home"
    shutil.copytree(tiny_models / "models" / "tiny", home / "models" / "tiny")
    command = [sys.executable, "-c", PROGRAM]
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        pytest.skip("there is no screen; run under xvfb-run")
    environment = {**os.environ, "NAPARI_RUNET_HOME": str(home), "NAPARI_CONFIG": str(tmp_path / "settings.yaml")}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as napari:
        lines = []
        for line in napari.stdout:
            lines.append(line.strip())
            if line.startswith("in mid-stroke"):
                break
        napari.send_signal(signal.SIGKILL)
    _, digest, something = next(line for line in lines if line.startswith("known")).split()
    assert something == "1"
    picture = np.random.default_rng(5).integers(0, 256, (120, 150, 3), np.uint8)
    planes, problems = recover(ImageKey.of(picture), home / "corrections")
    assert not problems
    assert Correction(planes[(), (120, 150)].labels).digest == digest

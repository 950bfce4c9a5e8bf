"""The demo as people call it, as a program of its own."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from napari_runet.models.store import ModelStore


def call(*arguments, cwd):
    command = [sys.executable, "-m", "napari_runet.cli", "demo", *map(str, arguments)]
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        if shutil.which("xvfb-run") is None:
            pytest.skip("there is no screen and no xvfb-run")
        command = ["xvfb-run", "-a", "-s", "-screen 0 1400x1000x24", *command]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture
def retina_model():
    if all(model.card.id != "retina" for model in ModelStore().models()):
        pytest.skip("the retina model is not in this checkout")


@pytest.mark.usefixtures("retina_model")
def test_the_demo_saves_a_window_that_shows_image_and_mask(tmp_path):
    done = call("--screenshot", "window.png", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    picture = np.asarray(Image.open(tmp_path / "window.png").convert("RGB")).astype(int)
    assert picture.shape[0] >= 500 and picture.shape[1] >= 800
    red, green, blue = np.moveaxis(picture, -1, 0)
    assert ((red > 150) & (green < 140) & (blue < 90)).mean() > 0.03  # the fundus
    assert ((red > 180) & (green < 110) & (blue > 120)).mean() > 0.005  # the vessels' colour over it


def test_a_file_that_is_no_image_is_one_sentence_and_no_window(tmp_path):
    (tmp_path / "words.png").write_text("these are words")
    done = call("--image", "words.png", "--screenshot", "window.png", cwd=tmp_path)
    assert done.returncode == 1
    assert "is not an image" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "window.png").exists()


def test_a_folder_that_is_not_there_is_said_before_anything_opens(tmp_path):
    done = call("--screenshot", tmp_path / "nowhere" / "window.png", cwd=tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr

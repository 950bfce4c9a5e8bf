"""What the journeys share."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from _canvas import choose, window
from qtpy.QtTest import QTest


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Where pictures of the window go; set NAPARI_RUNET_PICTURES to keep them."""
    folder = Path(os.environ.get("NAPARI_RUNET_PICTURES", tmp_path / "pictures"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def opened(default_keys: None, make_napari_viewer: Callable[..., Any], own_home: Path) -> tuple[Any, Any]:
    """A viewer of 1280 x 720 with the panel, the small model for tests chosen, and a data folder of its own."""
    viewer = make_napari_viewer(show=True)
    window(viewer).resize(1280, 720)
    _, panel = viewer.window.add_plugin_dock_widget("napari-runet", "Recurrent U-Net")
    choose(panel.model_section.models, "Tiny (yours)")
    QTest.qWait(100)
    return viewer, panel

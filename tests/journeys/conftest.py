"""What the journeys share."""

import os
from pathlib import Path

import pytest


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Where pictures of the window go; set NAPARI_RUNET_PICTURES to keep them."""
    folder = Path(os.environ.get("NAPARI_RUNET_PICTURES", tmp_path / "pictures"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder

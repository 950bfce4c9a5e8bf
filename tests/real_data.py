"""Real images for tests."""

import os
from pathlib import Path

import pytest

VARIABLE = "NAPARI_RUNET_DATA"


def real_data(task: str) -> Path:
    """The folder of a task (``retina``, ``roads``, ``hands``), with ``train``, ``val`` and ``test`` in it.

    It is looked for in ``$NAPARI_RUNET_DATA``, else beside the repository. Where it is absent the test is skipped;
    under continuous integration (``CI`` set) it fails, so that such tests cannot pass unseen.
    """
    root = Path(os.environ.get(VARIABLE) or Path(__file__).parents[2] / "shared" / "data")
    folder = root / task
    if not folder.is_dir():
        reason = f"no real images: {folder} is absent; set {VARIABLE} to the folder that holds {task}/"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return folder

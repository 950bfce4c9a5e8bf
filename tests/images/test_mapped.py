"""Arrays in mapped files."""

import numpy as np
import pytest

from napari_runet.images.mapped import forget_pages


@pytest.mark.parametrize("mode", ["r", "r+", "c"])
def test_forgetting_loses_nothing(tmp_path, mode):
    np.save(tmp_path / "a.npy", np.arange(5000))
    mapped = np.load(tmp_path / "a.npy", mmap_mode=mode)
    expected = np.arange(5000)
    if mode != "r":
        mapped[7] = expected[7] = -1
    forget_pages(mapped[::2])
    forget_pages(mapped)
    forget_pages(np.arange(3))
    forget_pages(None)
    np.testing.assert_array_equal(mapped, expected)

"""Large arrays on disk."""

import numpy as np
import pytest

from napari_runet.io import scratch
from napari_runet.io.scratch import RowStore, forget_pages


@pytest.mark.parametrize("limit", [0, 1 << 30])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_rows_come_back_as_written(monkeypatch, limit, dtype):
    monkeypatch.setattr(scratch, "KEPT_IN_MEMORY", limit)
    expected = (255 * np.random.default_rng(0).random((3, 50, 20))).astype(dtype)
    store = RowStore(expected.shape, dtype)
    for start in (0, 30, 10):
        store.write(start, expected[:, start : start + 20])
    found = store.finish()
    assert isinstance(found, np.memmap) == (limit == 0)
    np.testing.assert_array_equal(found, expected)
    forget_pages(found)
    np.testing.assert_array_equal(found, expected)
    with pytest.raises(ValueError, match="read-only"):
        found[0, 0, 0] = 1


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

"""Large arrays on disk."""

import numpy as np
import pytest

from napari_runet.images.mapped import forget_pages
from napari_runet.io import scratch
from napari_runet.io.scratch import RowStore


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

import gc
import os
from pathlib import Path

import numpy as np
import pytest

from napari_runet.io import plane_store
from napari_runet.io.plane_store import MaskStack, PlaneArchive

RNG = np.random.default_rng(0)


def open_files() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("kept", [0, 1 << 24])
@pytest.mark.parametrize("stack", [(), (4,), (2, 3)])
def test_planes_are_where_they_were_written(stack: tuple[int, ...], kept: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plane_store, "KEPT_IN_MEMORY", kept)
    masks = MaskStack((*stack, 5, 7))
    expected = np.zeros((*stack, 5, 7), np.uint8)
    seen = masks.array  # the layer's data, taken before anything is written
    for index in list(np.ndindex(*stack))[1:] or [()]:
        plane = RNG.integers(0, 3, (7, 5), np.uint8).T  # not contiguous
        masks.write(index, plane)
        expected[index] = plane
    np.testing.assert_array_equal(seen, expected)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs to see which files are open")
def test_an_archive_gives_back_what_it_was_given_and_takes_no_room_for_what_is_dropped() -> None:
    before = open_files()
    archive = PlaneArchive(chunk=1000)
    arrays = [RNG.integers(0, 255, (1, 10, 11 + n), np.uint8) for n in range(40)]
    arrays.append(RNG.random((3, 50, 20)).astype(np.float32))  # larger than a chunk
    kept = [archive.add(array) for array in arrays]
    for array, back in zip(arrays, kept, strict=True):
        np.testing.assert_array_equal(array, back)
        assert back.dtype == array.dtype and not back.flags.writeable
    assert open_files() > before + 2
    del kept, back, archive
    assert open_files() == before


def test_a_full_disk_is_an_error_and_not_a_signal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def __init__(self, *arguments: object, **options: object) -> None:
            self._file = (tmp_path / "scratch").open("w+b", buffering=0)

        def write(self, data: memoryview) -> int:
            raise OSError(28, "No space left on device")

        def __getattr__(self, name: str) -> object:
            return getattr(self._file, name)

    monkeypatch.setattr(plane_store.tempfile, "TemporaryFile", Full)
    monkeypatch.setattr(plane_store, "KEPT_IN_MEMORY", 0)
    monkeypatch.setattr(plane_store.np, "memmap", lambda file, *_, shape, **__: np.zeros(shape, np.uint8))
    with pytest.raises(OSError, match="No space"):
        MaskStack((2, 5, 7)).write((0,), np.ones((5, 7), np.uint8))
    with pytest.raises(OSError, match="No space"):
        PlaneArchive().add(np.ones((5, 7), np.uint8))

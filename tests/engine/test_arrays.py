import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_runet.engine import arrays
from napari_runet.engine.arrays import PrivateFolder, read_array, sweep, write_array

DTYPES = st.one_of(hnp.boolean_dtypes(), hnp.integer_dtypes(), hnp.unsigned_integer_dtypes(), hnp.floating_dtypes())


@settings(deadline=None)
@given(
    hnp.arrays(DTYPES, hnp.array_shapes(min_dims=1, max_dims=4, max_side=7)),
    st.sampled_from(["C", "F", "reversed", "broadcast"]),
)
def test_arrays_of_any_layout_come_back(tmp_path_factory, array, layout):
    if layout == "F":
        array = np.asfortranarray(array)
    elif layout == "reversed":
        array = array[::-1]
    elif layout == "broadcast":
        array = np.broadcast_to(array, (3, *array.shape))
    path = tmp_path_factory.mktemp("arrays") / "a.npy"
    file = write_array(path, array)
    back = read_array(file)
    np.testing.assert_array_equal(back, array)
    np.testing.assert_array_equal(np.load(path), array)
    assert back.dtype == array.dtype
    assert [entry.name for entry in path.parent.iterdir()] == ["a.npy"]


def test_an_array_of_many_chunks_comes_back(tmp_path, monkeypatch):
    monkeypatch.setattr(arrays, "_CHUNK", 1000)
    array = np.random.default_rng(0).integers(0, 9, (97, 31, 3))
    np.testing.assert_array_equal(read_array(write_array(tmp_path / "a.npy", array)), array)


def test_another_array_than_the_one_described_is_refused(tmp_path):
    file = write_array(tmp_path / "a.npy", np.zeros((3, 4), np.uint8))
    with pytest.raises(ValueError, match="not"):
        read_array(file.model_copy(update={"shape": (4, 3)}))
    write_array(tmp_path / "a.npy", np.zeros((3, 4), np.int8))
    with pytest.raises(ValueError, match="not"):
        read_array(file)


def test_a_private_folder_is_private_and_removed(tmp_path):
    folder = PrivateFolder(tmp_path)
    (folder.path / "a.npy").write_bytes(b"x")
    if sys.platform != "win32":
        assert folder.path.stat().st_mode & 0o777 == 0o700
    folder.remove()
    folder.remove()
    assert list(tmp_path.iterdir()) == []


def test_the_sweep_takes_the_folders_of_the_dead_only(tmp_path):
    code = (
        "import os, sys; from pathlib import Path; from napari_runet.engine.arrays import PrivateFolder;"
        "f = PrivateFolder(Path(sys.argv[1])); (f.path / 'a.npy').write_bytes(b'x'); print(f.path, flush=True);"
        "os.kill(os.getpid(), 9) if hasattr(os, 'kill') and os.name != 'nt' else os._exit(1)"
    )
    dead = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=60)
    abandoned = Path(dead.stdout.strip())
    assert (abandoned / "a.npy").exists()
    alive = PrivateFolder(tmp_path)
    strangers = [tmp_path / "napari-runet-notes", tmp_path / "else"]
    for stranger in strangers:
        stranger.mkdir()
    assert sweep(tmp_path) == [abandoned]
    assert not abandoned.exists()
    assert alive.path.exists()
    assert all(stranger.exists() for stranger in strangers)
    alive.remove()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can make another user's folder")
def test_the_sweep_leaves_other_users_folders_and_links(tmp_path):
    foreign = tmp_path / "napari-runet-1-foreign"
    foreign.mkdir()
    (foreign / "lock").touch()
    os.chown(foreign, 12345, 12345)
    target = tmp_path / "precious"
    target.mkdir()
    (target / "lock").touch()
    (tmp_path / "napari-runet-2-link").symlink_to(target)
    assert sweep(tmp_path) == []
    assert (target / "lock").exists()
    assert (foreign / "lock").exists()

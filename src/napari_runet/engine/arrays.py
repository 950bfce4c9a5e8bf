"""Arrays in files: how pixels travel between the two processes.

Each client has a private folder of ``.npy`` files, which both processes map into memory. A lock file in it is
held as long as the client lives; a folder whose lock is free belonged to a client that died, and is swept.
"""

import os
import shutil
import sys
import tempfile
import weakref
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from napari_runet.engine.messages import ArrayFile

PREFIX = "napari-runet-"
LOCK_FILE = "lock"
_CHUNK = 16 * 1024 * 1024


def write_array(path: Path, array: npt.NDArray[Any]) -> ArrayFile:
    """Write an array of numbers, of any real dtype and layout and not empty; else as `write_parts`."""
    return write_parts(path, array.shape, array.dtype, _parts(array))


def write_parts(
    path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], parts: Iterable[npt.NDArray[Any]]
) -> ArrayFile:
    """Write an array to a ``.npy`` file, which appears under its name only when it is complete.

    It is written through the file, not through a mapping of it: a full disk is then an OSError and not a
    signal that ends the process.

    Parameters
    ----------
    path
        Where to.
    shape, dtype
        Of the whole.
    parts
        The array in its own order, cut anywhere.

    Raises
    ------
    OSError
        When the disk is full, or the folder is gone.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("wb") as stream:
            header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(stream, header)
            for part in parts:
                stream.write(np.ascontiguousarray(part).view(np.uint8).data)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    return ArrayFile(path=str(path), shape=shape, dtype=dtype.str)


def _parts(array: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
    """The array in pieces of its first axis, none much larger than `_CHUNK`."""
    if array.ndim > 1 and array[:1].nbytes > _CHUNK:
        for each in array:
            yield from _parts(each)
        return
    rows = max(1, _CHUNK // max(1, array[:1].nbytes))
    for start in range(0, len(array), rows):
        yield array[start : start + rows]


def read_array(file: ArrayFile) -> npt.NDArray[Any]:
    """Map an array into memory, read-only.

    Raises
    ------
    OSError
        When the file is gone.
    ValueError
        When it is not the array that `file` describes.
    """
    array: npt.NDArray[Any] = np.load(file.path, mmap_mode="r", allow_pickle=False)
    if array.shape != file.shape or array.dtype.str != file.dtype:
        raise ValueError(f"{file.path} holds {array.dtype.str} {array.shape}, not {file.dtype} {file.shape}")
    return array


class PrivateFolder:
    """A temporary folder that only this user can enter, removed by `remove` or when the interpreter ends.

    Parameters
    ----------
    parent
        Where to make it, the system's folder for temporary files when None.
    """

    def __init__(self, parent: Path | None = None) -> None:
        while True:
            self.path = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=parent))
            lock = _lock(self.path / LOCK_FILE, create=True)
            # A sweep may take the lock between its creation and ours, and the folder with it: make another.
            if lock is not None and (self.path / LOCK_FILE).exists():
                break
        self._finalizer = weakref.finalize(self, _remove, self.path, lock)

    def remove(self) -> None:
        """Remove it with all in it; where a file is still mapped and the system forbids it, the sweep does later."""
        self._finalizer()


def sweep(parent: Path | None = None) -> list[Path]:
    """Remove the folders of clients that are no more; returns those that are gone.

    Only this user's own folders are looked at, and never one whose client lives.
    """
    root = Path(tempfile.gettempdir()) if parent is None else parent
    gone = []
    for folder in sorted(root.glob(f"{PREFIX}*")):
        try:
            if not _is_own(folder) or not (folder / LOCK_FILE).is_file():
                continue
        except OSError:  # removed meanwhile, or closed to us
            continue
        lock = _lock(folder / LOCK_FILE, create=False)
        if lock is not None:
            _remove(folder, lock)
            if not folder.exists():
                gone.append(folder)
    return gone


def _is_own(folder: Path) -> bool:
    if folder.is_symlink() or not folder.is_dir():
        return False
    return sys.platform == "win32" or folder.stat().st_uid == os.getuid()


def _lock(path: Path, *, create: bool) -> IO[bytes] | None:
    """The open, locked file; None when another process holds it, or it has gone."""
    try:
        stream = path.open("ab" if create else "r+b")
    except OSError:  # swept between being seen and being opened
        return None
    try:
        if sys.platform == "win32":
            import msvcrt

            stream.seek(0)
            msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # held by a client that lives
        stream.close()
        return None
    return stream


def _remove(folder: Path, lock: IO[bytes]) -> None:
    """Empty and remove a folder, the lock last: what cannot be removed stays to be swept."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.name != LOCK_FILE:
            remove_file(path)
    left = [path for path in folder.iterdir() if path.name != LOCK_FILE] if folder.is_dir() else []
    if sys.platform == "win32":
        lock.close()  # an open file cannot be removed there
    if not left:
        shutil.rmtree(folder, ignore_errors=True)
    lock.close()


def remove_file(path: Path) -> None:
    """Remove a file, unless it has gone, or is mapped on a system that keeps mapped files: the sweep gets it."""
    try:
        path.unlink(missing_ok=True)
    except PermissionError:
        if sys.platform != "win32":
            raise

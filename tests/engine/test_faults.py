import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from engine_helpers import save_tiny_model, wait_until

from napari_runet.engine import process
from napari_runet.engine.arrays import sweep
from napari_runet.engine.messages import (
    Cancelled,
    Failed,
    Finished,
    IterationDone,
    ModelLoaded,
    Progress,
    Ready,
    WorkerLost,
)
from napari_runet.images.image_input import Region
from napari_runet.settings import SegmentationSettings

CPU = SegmentationSettings(device="cpu")
posix = pytest.mark.skipif(os.name == "nt", reason="sends POSIX signals")


@pytest.fixture
def large() -> np.ndarray:
    """Some hundred tiles an iteration."""
    return np.random.default_rng(1).integers(0, 256, (3000, 3000, 3), np.uint8)


def gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody has waited for counts."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rsplit(")", 1)[1].split()[0] == "Z"


def test_cancel_stops_and_nothing_comes_after(listen, tiny_model, photograph, large):
    engine = listen()
    request = engine.client.segment(large, folder=tiny_model, name="large", settings=CPU)
    engine.wait_for(Progress, request_id=request)
    pid = engine.client.worker_pid
    engine.client.cancel(request)
    engine.wait_for(Cancelled, request_id=request)
    assert engine.quiet_for(1.0) == []
    assert not [event for event in engine.seen if isinstance(event, Finished)]
    engine.client.cancel(request)  # has ended: nothing to cancel
    again = engine.client.segment(photograph, folder=tiny_model, name="photo", settings=CPU)
    engine.wait_for(Finished, request_id=again)
    assert engine.client.worker_pid == pid


@posix
def test_a_second_cancel_kills_and_the_other_request_is_computed_by_a_new_worker(listen, tiny_model, photograph, large):
    engine = listen()
    request = engine.client.segment(large, folder=tiny_model, name="large", settings=CPU)
    other = engine.client.segment(photograph, folder=tiny_model, name="photo", settings=CPU)
    engine.wait_for(Progress, request_id=request)
    first = engine.client.worker_pid
    engine.client.cancel(request)
    engine.client.cancel(request)
    engine.wait_for(Cancelled, request_id=request)
    engine.wait_for(Ready)
    engine.wait_for(Finished, request_id=other)
    assert engine.client.worker_pid != first
    wait_until(lambda: gone(first), "the killed worker is gone")
    assert sum(isinstance(event, Cancelled) for event in engine.seen) == 1


def test_a_request_that_is_still_being_read_is_cancelled_at_once(listen, tiny_model, photograph):
    engine = listen()
    reading, go_on = threading.Event(), threading.Event()

    def read() -> np.ndarray:
        reading.set()
        go_on.wait(60)
        return photograph

    request = engine.client.segment(read, folder=tiny_model, name="slow", settings=CPU)
    assert reading.wait(60)
    engine.client.cancel(request)
    engine.wait_for(Cancelled, request_id=request)
    go_on.set()
    again = engine.client.load_model(tiny_model, "cpu")
    engine.wait_for(ModelLoaded, request_id=again)
    assert not [event for event in engine.seen if isinstance(event, Progress)]


@posix
@pytest.mark.parametrize(("number", "word"), [(signal.SIGKILL, "memory"), (signal.SIGSEGV, "SIGSEGV")])
def test_a_worker_that_dies_is_told_and_the_next_request_works(listen, tiny_model, photograph, large, number, word):
    engine = listen()
    request = engine.client.segment(large, folder=tiny_model, name="large", settings=CPU)
    engine.wait_for(Progress, request_id=request)
    os.kill(engine.client.worker_pid, number)
    lost = engine.wait_for(WorkerLost)
    assert lost.id == request
    assert word in lost.message
    assert not engine.client.running
    again = engine.client.segment(photograph, folder=tiny_model, name="photo", settings=CPU)
    engine.wait_for(Finished, request_id=again)
    assert not [event for event in engine.seen if event.id == request and isinstance(event, Finished)]


@posix
def test_a_frozen_worker_does_not_survive_close(listen):
    engine = listen()
    engine.client.start()
    engine.wait_for(Ready)
    pid = engine.client.worker_pid
    os.kill(pid, signal.SIGSTOP)
    engine.client.close()
    wait_until(lambda: gone(pid), "the frozen worker is gone")
    with pytest.raises(RuntimeError, match="closed"):
        engine.client.start()


_PARENT = """
import sys, time
from pathlib import Path
import numpy as np
from napari_runet.engine.client import EngineClient
from napari_runet.engine.messages import Progress
from napari_runet.settings import SegmentationSettings

def told(event):
    if isinstance(event, Progress):
        print(client.worker_pid, "torch" in sys.modules, flush=True)

client = EngineClient(told)
image = np.random.default_rng(1).integers(0, 256, (4000, 4000, 3), np.uint8)
client.segment(image, folder=Path(sys.argv[1]), name="large", settings=SegmentationSettings(device="cpu"))
time.sleep(100)
"""


@posix
def test_the_worker_ends_with_its_parent_and_its_folder_is_swept(tiny_model, tmp_path):
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT, str(tiny_model)], stdout=subprocess.PIPE, text=True, env=environment
    )
    try:
        assert parent.stdout is not None
        pid, torch_imported = parent.stdout.readline().split()
        assert torch_imported == "False"
        assert not gone(int(pid))
    finally:
        parent.kill()
        parent.wait(60)
    wait_until(lambda: gone(int(pid)), "the worker is gone")
    assert len(list(tmp_path.glob("napari-runet-*"))) == 1
    assert len(sweep(tmp_path)) == 1
    assert list(tmp_path.glob("napari-runet-*")) == []


@pytest.mark.parametrize(
    ("statement", "word"),
    [
        ("raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')", "not installed"),
        ("raise OSError('libc10.so: cannot open shared object file')", "libc10.so"),
    ],
)
def test_a_missing_torch_is_a_sentence_and_the_next_start_tries_again(listen, tmp_path, statement, word):
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text(statement)
    engine = listen({"PYTHONPATH": str(tmp_path)})
    engine.client.start()
    lost = engine.wait_for(WorkerLost)
    assert word in lost.message
    assert "pip install" in lost.message
    assert "Traceback" in lost.detail
    shutil.rmtree(tmp_path / "torch")
    engine.client.start()
    engine.wait_for(Ready)


def test_stray_prints_do_not_disturb(listen, tiny_model, photograph, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys, threading, time\n"
        "def babble():\n"
        "    while 'torch' not in sys.modules:\n"
        "        time.sleep(0.01)\n"
        "    while True:\n"
        "        os.write(1, b'stray bytes\\n'); print('stray words')\n"
        "        time.sleep(0.001)\n"
        "threading.Thread(target=babble, daemon=True).start()\n"
    )
    engine = listen({"PYTHONPATH": str(tmp_path)})
    request = engine.client.segment(photograph, folder=tiny_model, name="photo", settings=CPU)
    engine.wait_for(Finished, request_id=request)
    if os.name != "nt":
        os.kill(engine.client.worker_pid, signal.SIGTERM)
        detail = engine.wait_for(WorkerLost).detail
        assert "stray bytes" in detail
        assert "stray words" in detail
        assert len(detail.splitlines()) <= 50


def test_what_cannot_be_segmented_is_a_sentence_and_the_worker_goes_on(listen, tiny_model, photograph, tmp_path):
    engine = listen()

    def failure(image: np.ndarray, folder: Path, region: Region | None = None) -> str:
        request = engine.client.segment(image, folder=folder, name="photo", settings=CPU, region=region)
        return engine.wait_for(Failed, request_id=request).message

    assert "no model" in failure(photograph, tmp_path / "nowhere")
    damaged = save_tiny_model(tmp_path / "damaged")
    with (damaged / "model.safetensors").open("ab") as stream:
        stream.write(b"x")
    assert "sha256 differs" in failure(photograph, damaged)
    assert "no finite number" in failure(np.full((9, 9), np.nan), tiny_model)
    assert "7 channels" in failure(np.zeros((9, 9, 7), np.uint8), tiny_model)
    assert "complex" in failure(np.zeros((9, 9), complex), tiny_model)
    assert "empty" in failure(np.zeros((0, 9), np.uint8), tiny_model)
    assert "object" in failure(np.zeros((9, 9), object), tiny_model)
    assert "beyond" in failure(photograph, tiny_model, Region(100, 0, 60, 60))
    good = engine.client.segment(photograph, folder=tiny_model, name="photo", settings=CPU)
    engine.wait_for(Finished, request_id=good)


@pytest.fixture
def small_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=320k", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True, timeout=60).returncode:
        pytest.skip("a small disk cannot be mounted here")
    monkeypatch.setattr(tempfile, "tempdir", str(disk))
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True, timeout=60)


def test_a_full_disk_is_a_sentence_in_either_process(listen, tiny_model, small_disk):
    engine = listen()
    image = np.zeros((500, 500, 3), np.uint8)
    request = engine.client.segment(image, folder=tiny_model, name="image", settings=CPU)
    assert "disk for temporary files is full" in engine.wait_for(Failed, request_id=request).message
    fits = np.random.default_rng(0).integers(0, 256, (290, 300, 3), np.uint8)  # 261 kB, each iteration 87 kB
    request = engine.client.segment(fits, folder=tiny_model, name="image", settings=CPU)
    assert "disk for temporary files is full" in engine.wait_for(Failed, request_id=request).message
    assert any(isinstance(event, Progress) for event in engine.seen)
    assert not any(isinstance(event, IterationDone) for event in engine.seen)
    small = engine.client.segment(fits[:100, :100], folder=tiny_model, name="image", settings=CPU)
    engine.wait_for(Finished, request_id=small)
    assert not list(small_disk.glob("*/.*"))


def test_closing_while_a_plane_is_read_leaves_no_files(listen, tiny_model, photograph, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    engine = listen()
    reading, go_on = threading.Event(), threading.Event()

    def read() -> np.ndarray:
        reading.set()
        go_on.wait(60)
        return photograph

    engine.client.segment(read, folder=tiny_model, name="slow", settings=CPU)
    assert reading.wait(60)
    engine.client.close()
    go_on.set()
    wait_until(lambda: not list(tmp_path.glob("napari-runet-*")), "the private folder is gone")


def test_a_worker_that_cannot_be_understood_is_not_said_to_lack_memory(tmp_path, monkeypatch):
    babble = "import sys, time\nsys.stdout.buffer.write(b'\\xff' * 64)\nsys.stdout.flush()\ntime.sleep(60)\n"
    (tmp_path / "babbling.py").write_text(babble)
    monkeypatch.setattr(process, "_COMMAND", "babbling")
    ended = threading.Event()
    worker = process.WorkerProcess(tmp_path, {"PYTHONPATH": str(tmp_path)}, lambda *_: None, lambda _: ended.set())
    assert ended.wait(60) and gone(worker.pid)
    sentence, _ = worker.describe_end()
    assert "cannot be read" in sentence and "memory" not in sentence
    worker.close()

"""The worker as a process: started, listened to, ended."""

import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import ValidationError

from napari_runet.engine.environment import worker_environment
from napari_runet.engine.framing import FramingError, frame_of, read_frame, write_whole
from napari_runet.engine.messages import Event, Request, event_adapter

KEPT_LINES = 50
_COMMAND = "napari_runet.engine.worker"


class WorkerProcess:
    """One run of ``python -m napari_runet.engine.worker``, with a thread that reads its events.

    Parameters
    ----------
    folder
        The private folder, where both processes keep arrays.
    environment
        Variables over `worker_environment`'s.
    on_event, on_end
        Called on the reading thread: with each event, and once at the end.

    Raises
    ------
    OSError
        When no process can be started.
    """

    def __init__(
        self,
        folder: Path,
        environment: Mapping[str, str] | None,
        on_event: Callable[["WorkerProcess", Event], None],
        on_end: Callable[["WorkerProcess"], None],
    ) -> None:
        self._on_event, self._on_end = on_event, on_end
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._write_lock = threading.Lock()
        self._garbled, self._killed_unheard = "", False
        # -P: a file called torch.py in the folder that napari was started from must not be imported.
        self._popen = subprocess.Popen(
            [sys.executable, "-P", "-m", _COMMAND, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=worker_environment(environment),
            bufsize=0,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        self._drain = threading.Thread(target=self._read_errors, name="runet-worker-stderr", daemon=True)
        self._reader = threading.Thread(target=self._read_events, name="runet-worker-events", daemon=True)
        self._drain.start()
        self._reader.start()

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._popen.poll() is None

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._popen.pid

    def send(self, request: Request) -> None:
        """Send a request; one that a process which has just ended cannot take is dropped, its end is told elsewhere.

        Raises
        ------
        ValueError
            When it cannot be written down: its strings are no text, or there is too much of it.
        """
        assert self._popen.stdin is not None
        frame = frame_of(request.model_dump_json().encode())
        with self._write_lock:
            try:
                write_whole(self._popen.stdin, frame)
            except (ValueError, OSError):  # ValueError: the pipe was closed by `close`
                if self.alive and not self._popen.stdin.closed:
                    self.kill()

    def kill(self) -> None:
        """End the process at once."""
        self._popen.kill()

    def close(self) -> None:
        """End the process: by end-of-file, then by asking, then by force; takes at most about two seconds."""
        assert self._popen.stdin is not None
        if self._write_lock.acquire(timeout=0.2):
            try:
                self._popen.stdin.close()
            finally:
                self._write_lock.release()
        for end, seconds in ((self._popen.terminate, 1.0), (self._popen.kill, 0.5)):
            try:
                self._popen.wait(seconds)
                break
            except subprocess.TimeoutExpired:
                end()
        if threading.current_thread() is not self._reader:
            self._reader.join(0.5)

    def describe_end(self) -> tuple[str, str]:
        """A sentence on why the process ended, and the last lines that it wrote; after `on_end` was called."""
        self._drain.join(1.0)  # a child of the worker may keep its stderr open
        # one that was killed here, because what it sent could not be read, did not run out of memory
        returncode = 0 if self._killed_unheard else self._popen.returncode
        return _sentence(returncode, self._garbled), "\n".join(self._lines)

    def _read_events(self) -> None:
        assert self._popen.stdout is not None
        try:
            while (frame := read_frame(self._popen.stdout)) is not None:
                self._on_event(self, event_adapter.validate_json(frame))
        except (FramingError, ValidationError, OSError) as error:
            self._garbled = str(error).splitlines()[0]
        try:
            self._popen.wait(1.0)
        except subprocess.TimeoutExpired:  # it can no longer be heard, so it is of no use
            self._killed_unheard = True
            self._popen.kill()
            self._popen.wait()
        self._on_end(self)

    def _read_errors(self) -> None:
        assert self._popen.stderr is not None
        buffered = open(self._popen.stderr.fileno(), "rb", closefd=False)
        while line := buffered.readline(2000):
            self._lines.append(line.decode("utf-8", "replace").rstrip())


def _sentence(returncode: int, garbled: str) -> str:
    again = "Press the button again to start a new one."
    if returncode < 0:
        try:
            name = signal.Signals(-returncode).name
        except ValueError:
            name = f"signal {-returncode}"
        if name == "SIGKILL":
            return (
                "The process that computes was killed (SIGKILL), most likely because the computer ran out of memory. "
                "Choose a smaller region or close other programs, then press the button again."
            )
        return f"The process that computes crashed ({name}). {again}"
    if garbled:
        return f"The process that computes sent something that cannot be read ({garbled}). {again}"
    return f"The process that computes ended unexpectedly (exit status {returncode}). {again}"

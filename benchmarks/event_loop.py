"""How long napari stands still while an image is segmented.

    python benchmarks/event_loop.py [--size 2048] [--screenshot FILE]

A timer of 5 ms runs in napari's own process while the panel segments a drawn image in its worker; each gap
between two ticks is time in which napari answered nothing. Gaps during which napari was adding a layer are
counted apart, since that work is napari's. The first run adds the layers and the second updates them. The
columns with "cpu" count only what napari's main thread worked, which other load on the machine does not lengthen.
Needs a display (``xvfb-run -a -s "-screen 0 1400x1000x24"`` where there is none).
"""

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any

import napari
import numpy as np
from napari.components import LayerList
from qtpy.QtCore import QEventLoop, QTimer

from napari_runet.images.drawn import draw_fundus

INTERVAL = 5


class Ticks:
    """The times of a timer's ticks, and when napari was adding layers."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.used: list[float] = []
        self.adding: list[tuple[float, float]] = []
        self._timer = QTimer()
        self._timer.setInterval(INTERVAL)
        self._timer.timeout.connect(self._tick)

    def _tick(self) -> None:
        self.times.append(time.perf_counter())
        self.used.append(time.thread_time())

    def __enter__(self) -> "Ticks":
        plain = LayerList.insert

        def timed(layers: LayerList, index: int, layer: object) -> None:
            start = time.perf_counter()
            plain(layers, index, layer)
            self.adding.append((start, time.perf_counter()))

        self._restore = lambda: setattr(LayerList, "insert", plain)
        LayerList.insert = timed
        self._timer.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._timer.stop()
        self._restore()

    def gaps(self) -> tuple[np.ndarray, np.ndarray]:
        """Milliseconds between ticks, (N, 2): of the clock, and of this thread's work.

        First those with nothing added in them, then those in which a layer was added.
        """
        plain, adding = [], []
        for number, (start, end) in enumerate(zip(self.times, self.times[1:], strict=False)):
            overlaps = any(begun < end and ended > start for begun, ended in self.adding)
            work = self.used[number + 1] - self.used[number]
            (adding if overlaps else plain).append((1000 * (end - start), 1000 * work))
        return np.array(plain).reshape(-1, 2), np.array(adding).reshape(-1, 2)


def wait(condition: Callable[[], bool], seconds: float, every: int = 50) -> None:
    """Let napari's event loop run until a condition, looked at every so many milliseconds, holds."""
    loop, watch, end = QEventLoop(), QTimer(), time.monotonic() + seconds
    watch.timeout.connect(lambda: loop.quit() if condition() or time.monotonic() > end else None)
    watch.start(every)
    loop.exec_() if hasattr(loop, "exec_") else loop.exec()
    watch.stop()


def measure(title: str, panel: Any) -> None:
    """Segment once and print the gaps."""
    with Ticks() as ticks:
        started = time.perf_counter()
        if not panel.segment_now():
            sys.exit(panel.session.obstacle or "The segmentation could not be started.")
        wait(lambda: panel.session.activity.stage == "idle", 600)
        seconds = time.perf_counter() - started
    if panel.session.notice.kind == "error":
        sys.exit(panel.session.notice.text)
    plain, adding = ticks.gaps()
    clock, work = plain.T
    print(
        f"| {title:<20} | {seconds:6.1f} | {len(plain):6d} | {np.percentile(clock, 50):6.1f} "
        f"| {np.percentile(clock, 99):6.1f} | {clock.max():6.1f} | {np.percentile(work, 99):6.1f} | {work.max():6.1f} "
        f"| {len(adding):6d} | {adding[:, 0].max(initial=0):6.1f} |",
        flush=True,
    )


def main() -> None:
    """Open napari, segment twice, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=2048)
    parser.add_argument("--screenshot", help="save the window at the end")
    arguments = parser.parse_args()
    viewer = napari.Viewer()
    viewer.add_labels(np.zeros((16, 16), np.uint8), name="warm-up")  # the first layer of a process costs more
    viewer.add_image(draw_fundus(0, arguments.size)[0], name="image")
    _, panel = viewer.window.add_plugin_dock_widget("napari-runet", "Recurrent U-Net")
    wait(lambda: False, 15)  # the worker imports torch and loads the model
    print(f"{arguments.size} x {arguments.size} pixels; gaps in ms of a {INTERVAL} ms timer\n")
    print("| run                  |      s |   gaps |    p50 |    p99 |    max | p99cpu | maxcpu | adding | longest |")
    print("|----------------------|--------|--------|--------|--------|--------|--------|--------|--------|---------|")
    measure("first, adds layers", panel)
    measure("second, updates them", panel)
    print(f"\n'torch' in sys.modules: {'torch' in sys.modules}")
    if arguments.screenshot:
        viewer.screenshot(arguments.screenshot, canvas_only=False, flash=False)
    viewer.close()


if __name__ == "__main__":
    main()

"""How long a click takes, from the button to the canvas, and how much of that is the network.

    python benchmarks/click.py [--model retina] [--size 1024] [--runs 5]

Opens napari and the panel, and prints: how long opening takes; the parts of the first click, which waits for the
worker to start; a click with a warm worker beside the bare network in a process of the same kind, in turn; and a
change of the threshold. "Drawn" is when Qt has shown the canvas's next frame. Each figure is the least of the runs,
then their median. CPU is that of napari's main thread, which other load on the machine does not lengthen.
Needs a display (``xvfb-run -a -s "-screen 0 1400x1000x24"`` where there is none).
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import napari
import numpy as np
from qtpy.QtWidgets import QApplication

from event_loop import wait
from napari_runet.engine.environment import worker_environment
from napari_runet.images.drawn import draw_fundus

SETTLED = 0.5
"""Seconds after which the panel has counted and plotted what was segmented: nobody presses the button sooner."""
BARE = """
import sys, time
import numpy as np
import torch
from napari_runet import load_model
model = load_model(sys.argv[1])
pixels = torch.from_numpy(np.load(sys.argv[2])).permute(2, 0, 1)[None].float() / 255
pixels = pixels.contiguous(memory_format=torch.channels_last)
for line in sys.stdin:
    with torch.inference_mode():
        start = time.perf_counter()
        state, seconds = model.runner.initial_state(pixels), []
        for _ in range(model.card.iterations):
            logits, state = model.runner.step(pixels, state)
            seconds.append(time.perf_counter() - start)
    print(*seconds, flush=True)
"""
"""The network alone, an image that is there and nothing to be written: one run for each line on standard input."""


class Frames:
    """Tells when the canvas has shown its next frame."""

    def __init__(self) -> None:
        (canvas,) = (widget for widget in QApplication.allWidgets() if hasattr(widget, "frameSwapped"))
        canvas.frameSwapped.connect(self._on_frame)
        self.last = 0.0

    def _on_frame(self) -> None:
        self.last = time.perf_counter()

    def after(self, moment: float) -> float:
        """The time of the first frame after a moment."""
        wait(lambda: self.last > moment, 30, every=1)
        return self.last


class Bare:
    """A process with the bare network."""

    def __init__(self, model: str, image: np.ndarray, folder: Path) -> None:
        np.save(folder / "image.npy", image)
        self._process = subprocess.Popen(
            [sys.executable, "-c", BARE, model, str(folder / "image.npy")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=worker_environment(),
        )  # fmt: skip

    def run(self) -> list[float]:
        """Seconds from the start to the end of each iteration."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return [float(value) for value in self._process.stdout.readline().split()]

    def close(self) -> None:
        """End it."""
        self._process.communicate()


def click(panel: Any, frames: Frames, after: float = SETTLED) -> list[float]:
    """Press the button when all has settled; seconds until each iteration was drawn."""
    wait(lambda: False, after)
    drawn: list[float] = []
    start = time.perf_counter()

    def look() -> None:
        results = panel.session.results
        if results is not None and results.latest.state == "running" and len(results.latest) > len(drawn):
            drawn.append(0.0)
            pending.append(time.perf_counter())

    pending: list[float] = []
    panel.session.events.revision.connect(look)
    panel.segment_section.segment.click()
    times: list[float] = []

    def over() -> bool:
        while len(times) < len(pending) and frames.last > pending[len(times)]:
            times.append(frames.last - start)
        return panel.session.activity.stage == "idle" and len(times) == len(pending) > 0

    wait(over, 600, every=1)
    panel.session.events.revision.disconnect(look)
    if panel.session.notice.kind == "error":
        sys.exit(panel.session.notice.text)
    return times


def row(what: str, seconds: list[float], note: str = "") -> None:
    """Print a row of the table."""
    print(f"| {what:<52} | {1000 * min(seconds):8.0f} | {1000 * float(np.median(seconds)):8.0f} | {note:<34} |")


def open_panel(viewer: napari.Viewer) -> Any:
    """Open the panel, print how long that takes, and the parts of the first click."""
    seen: dict[str, float] = {}
    start, cpu = time.perf_counter(), time.thread_time()
    _, panel = viewer.window.add_plugin_dock_widget("napari-runet", "Recurrent U-Net")
    row("opening the panel", [time.perf_counter() - start], f"CPU {1000 * (time.thread_time() - cpu):.0f} ms")
    QApplication.processEvents()
    panel.engine.told.connect(lambda event, _: seen.setdefault(event.kind, time.perf_counter() - start))
    frames = Frames()
    clicked = time.perf_counter() - start
    click(panel, frames, after=0)
    row("first click, from opening: worker ready", [seen["ready"]], "a process, torch imported")
    row("  model loaded", [seen["model_loaded"]])
    row("  first iteration computed, 512 x 512", [seen["iteration_done"]])
    row("  last iteration drawn", [time.perf_counter() - start], f"clicked after {1000 * clicked:.0f} ms")
    return panel


def warm(panel: Any, bare: Bare, pixels: np.ndarray, runs: int) -> None:
    """Click with a warm worker, again after the image has changed, and run the bare network, in turn."""
    frames, clicks, anew, nets = Frames(), [], [], []
    bare.run()
    click(panel, frames)  # adds the layers
    for number in range(runs):
        nets.append(bare.run())
        clicks.append(click(panel, frames))
        pixels[0, number, 0] ^= 1
        anew.append(click(panel, frames))
    first, last = [times[0] for times in clicks], [times[-1] for times in clicks]
    row("bare network, first iteration", [times[0] for times in nets])
    row("bare network, last iteration", [times[-1] for times in nets])
    row("click to first iteration drawn", first, f"{min(first) / min(last):.0%} of the last (45 % asked)")
    allowed = 1.15 * min(times[-1] for times in nets) + 0.1
    row("click to last iteration drawn", last, f"{1000 * allowed:.0f} ms allowed")
    row("  where a pixel has changed since: first", [times[0] for times in anew])
    row("  and last", [times[-1] for times in anew])


def threshold(panel: Any, viewer: napari.Viewer, runs: int) -> None:
    """Change the threshold of what is on show."""
    frames = Frames()
    own, cpu, drawn = [], [], []
    for value in np.linspace(0.3, 0.7, runs):
        wait(lambda: False, 1)
        start, used = time.perf_counter(), time.thread_time()
        panel.stepping.set_threshold(round(float(value), 2))
        own.append(time.perf_counter() - start)
        cpu.append(time.thread_time() - used)
        drawn.append(frames.after(start) - start)
    row("threshold: our code and refresh()", own, f"CPU {1000 * min(cpu):.0f} ms (25 asked)")
    row("  canvas drawn", drawn)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="retina")
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    from tempfile import TemporaryDirectory

    viewer = napari.Viewer()
    viewer.add_labels(np.zeros((16, 16), np.uint8), name="warm-up")  # the first layer of a process costs more
    viewer.add_image(draw_fundus(0, 512)[0], name="small")
    wait(lambda: False, 2)
    print(f"| {'milliseconds':<52} | {'least':>8} | {'median':>8} | {'':<34} |")
    print(f"|{'-' * 54}|{'-' * 10}|{'-' * 10}|{'-' * 36}|")
    panel = open_panel(viewer)
    for layer in list(viewer.layers):
        layer.visible = False
    image = draw_fundus(1, arguments.size)[0]
    with TemporaryDirectory() as folder:
        bare = Bare(arguments.model, image, Path(folder))
        viewer.add_image(image, name="image")
        viewer.reset_view()
        warm(panel, bare, image, arguments.runs)
        bare.close()
    viewer.layers[-1].visible = False
    viewer.add_image(draw_fundus(1, 2 * arguments.size)[0], name="large")
    viewer.reset_view()
    click(panel, Frames())
    print(f"| {f'{2 * arguments.size} x {2 * arguments.size}':<52} | {'':>8} | {'':>8} | {'':<34} |")
    threshold(panel, viewer, arguments.runs)
    viewer.close()


if __name__ == "__main__":
    main()

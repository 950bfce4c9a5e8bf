"""What fine-tuning costs beside one's work: the worker's memory, and how long napari stands still.

    python benchmarks/fine_tuning_cost.py memory [--size 4096] [--training-steps 60]
    python benchmarks/fine_tuning_cost.py event-loop [--size 2048] [--training-steps 60]

Both fine-tune the shipped retina model on a drawn image with a few strokes, in the worker that the panel uses. The
first prints the peak of the worker's resident memory; the second the gaps of a 5 ms timer in napari's process while the
panel fine-tunes, curves and previews on show, as `event_loop.py` does for segmenting (it needs a display). Linux.
"""

import argparse
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np

from napari_runet.engine.client import EngineClient
from napari_runet.engine.messages import CandidateReady, Event, Failed, WorkerLost
from napari_runet.images.drawn import draw_fundus
from napari_runet.models.store import ModelStore
from napari_runet.settings import FineTuningSettings

STROKES = 8


def drawn(size: int) -> tuple[np.ndarray, np.ndarray]:
    """An image, and a plane of labels with a few strokes of five pixels width, 255 elsewhere."""
    tile, truth = draw_fundus(seed=0, size=min(size, 1024))
    repeats = -(-size // tile.shape[0])
    image, truth = np.tile(tile, (repeats, repeats, 1))[:size, :size], np.tile(truth, (repeats, repeats))[:size, :size]
    labels = np.full(truth.shape, 255, np.uint8)
    rows, columns = np.random.default_rng(0).integers(100, size - 100, (2, STROKES))
    for y, x in zip(rows, columns, strict=True):
        labels[y : y + 5, x : x + 40] = truth[y : y + 5, x : x + 40] > 0
    return image, labels


def memory(size: int, training_steps: int) -> None:
    """Print the worker's peak memory."""
    image, labels = drawn(size)
    ended, last = threading.Event(), []

    def hear(event: Event) -> None:
        if isinstance(event, CandidateReady | Failed | WorkerLost):
            last.append(event)
            ended.set()

    client = EngineClient(hear)
    with tempfile.TemporaryDirectory() as folder:
        client.fine_tune(
            lambda: [("drawn", image, labels)],
            folder=ModelStore().find("retina"),
            output=Path(folder) / "candidate",
            settings=FineTuningSettings(training_steps=training_steps, device="cpu"),
        )
        ended.wait(1800)
        status = Path(f"/proc/{client.worker_pid}/status").read_text()
        client.close()
    if not last or not isinstance(last[0], CandidateReady):
        sys.exit("Fine-tuning failed.")
    peak, anonymous = (_kibibytes(status, name) / 1024 for name in ("VmHWM", "RssAnon"))
    print(
        f"{size} x {size}, {STROKES} strokes, {training_steps} training steps: worker's peak {peak:.0f} MiB "
        f"resident, mapped image of {image.nbytes / 2**20:.0f} MiB included; {anonymous:.0f} MiB its own at the end"
    )


def _kibibytes(status: str, name: str) -> int:
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(f"{name}:"))


def event_loop(size: int, training_steps: int) -> None:
    """Print the gaps while the panel fine-tunes."""
    import napari

    from event_loop import INTERVAL, Ticks, wait

    image, labels = drawn(size)
    viewer = napari.Viewer()
    viewer.add_labels(np.zeros((16, 16), np.uint8), name="warm-up")  # the first layer of a process costs more
    viewer.add_image(image, name="image")
    _, panel = viewer.window.add_plugin_dock_widget("napari-runet", "Recurrent U-Net")
    panel.choices.choose_model(next(model for model in panel.session.models if model.card.id == "retina"))
    layer = panel.correcting.correct()
    known = labels != 255
    layer.data[known] = 1
    layer.refresh()
    wait(panel.correcting.images.anything_corrected, 30)
    settings = panel.session.tuning_settings
    panel.session.tuning_settings = settings.model_copy(update={"training_steps": training_steps, "device": "cpu"})
    with Ticks() as ticks:
        if not panel.fine_tuning.start():
            sys.exit(panel.session.tuning_notice.text)
        wait(lambda: panel.session.tuning.stage in ("deciding", "idle"), 1800)
    if panel.session.candidate is None:
        sys.exit(panel.session.tuning_notice.text)
    plain, adding = ticks.gaps()
    clock, work = plain.T
    print(
        f"{size} x {size}, {training_steps} training steps, {len(clock)} gaps of a {INTERVAL} ms timer in ms: "
        f"p50 {np.percentile(clock, 50):.1f}, p99 {np.percentile(clock, 99):.1f}, longest {clock.max():.1f}; "
        f"of this thread's own work p99 {np.percentile(work, 99):.1f}, longest {work.max():.1f}; "
        f"{len(adding)} gaps with a layer added, the longest {adding[:, 0].max(initial=0):.1f}; "
        f"'torch' in sys.modules: {'torch' in sys.modules}"
    )
    panel.fine_tuning.deciding.reject()
    viewer.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("memory", "event-loop"))
    parser.add_argument("--size", type=int)
    parser.add_argument("--training-steps", type=int, default=60)
    options = parser.parse_args()
    if options.what == "memory":
        memory(options.size or 4096, options.training_steps)
    else:
        event_loop(options.size or 2048, options.training_steps)


if __name__ == "__main__":
    main()

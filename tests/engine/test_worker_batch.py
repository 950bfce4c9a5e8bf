"""A batch through a worker process: broken files, stopping, and a worker that dies."""

import os
import signal
import threading
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from engine_helpers import wait_until
from PIL import Image

from napari_runet import segment, segment_files
from napari_runet.batch.output import Output
from napari_runet.batch.record import Outcome
from napari_runet.batch.run import plan, plan_layer
from napari_runet.engine.batching import WorkerBatch
from napari_runet.io.images import FileError
from napari_runet.io.pulled_image import PulledImage, PulledLevel
from napari_runet.models.store import HOME_VARIABLE, read_card
from napari_runet.settings import SegmentationSettings
from ome_zarr_images import write_image

SLOW = SegmentationSettings(tile_size=64, iterations=4)
"""So many tiles that there is time to interfere."""


@pytest.fixture
def model(tiny_models: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(HOME_VARIABLE, str(tiny_models))
    return tiny_models / "models" / "tiny"


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "in").mkdir()
    for number in range(3):
        Image.fromarray(rng.integers(0, 255, (110, 120, 3), np.uint8)).save(tmp_path / "in" / f"{number}.png")
    (tmp_path / "in" / "3.png").write_text("no image")
    return tmp_path / "in"


def planned(model, folder, out, settings=SLOW):
    return plan([folder], Output(folder=out), read_card(model), settings)


class Told(list):
    def __call__(self, number, what):
        self.append((number, what))

    def ends(self):
        return [(number, what) for number, what in self if not isinstance(what, float)]


def test_a_worker_gives_what_this_process_gives_and_goes_on_after_a_broken_file(model, folder, tmp_path):
    told = Told()
    tally = WorkerBatch(planned(model, folder, tmp_path / "out"), model, told).run()
    assert (tally.done, tally.skipped, len(tally.problems)) == (3, 0, 1)
    assert [number for number, _ in told.ends()] == [0, 1, 2, 3]
    assert "3.png is not an image" in told.ends()[3][1] and "3.png is not an image" in tally.problems[0]
    shares = [what for number, what in told if number == 0 and isinstance(what, float)]
    assert shares and shares == sorted(shares) and 0 < shares[0] and shares[-1] <= 1
    expected = segment(np.asarray(Image.open(folder / "1.png")), model, iterations=4, tile_size=64)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out" / "1.tif"), expected.labels[-1])
    here = segment_files(folder, model, tmp_path / "out", iterations=4, tile_size=64)
    assert (here.done, here.skipped, len(here.problems)) == (0, 3, 1), "one record for both ways"


def test_stopping_keeps_what_is_finished_and_leaves_no_half_mask(model, folder, tmp_path):
    told = Told()

    def stop_in_the_second(number, what):
        told(number, what)
        if number == 1:
            batch.stop()

    batch = WorkerBatch(planned(model, folder, tmp_path / "out"), model, stop_in_the_second)
    assert batch.run().done == 1
    assert [number for number, _ in told.ends()] == [0]
    assert [path.name for path in (tmp_path / "out").glob("*.tif")] == ["0.tif"]
    again = WorkerBatch(planned(model, folder, tmp_path / "out"), model, told).run()
    assert (again.done, again.skipped) == (2, 1)
    unused = WorkerBatch(planned(model, folder, tmp_path / "other"), model, told)
    unused.stop()
    assert unused.run().done == 0, "stopped before it began"


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL")
def test_a_worker_that_dies_costs_its_image_alone(model, folder, tmp_path):
    told, killed = Told(), threading.Event()

    def kill_in_the_second(number, what):
        told(number, what)
        if number == 1 and not killed.is_set():
            killed.set()
            os.kill(batch.worker_pid, signal.SIGKILL)

    batch = WorkerBatch(planned(model, folder, tmp_path / "out"), model, kill_in_the_second)
    tally = batch.run()
    assert (tally.done, len(tally.problems)) == (2, 2)
    assert "1.png: The process that computes was killed" in tally.problems[0]
    ends = dict(told.ends())
    assert isinstance(ends[2], Outcome) and isinstance(ends[1], str)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL")
def test_a_worker_that_dies_between_two_images_costs_none(model, folder, tmp_path):
    told = Told()

    def kill_after_the_first(number, what):
        told(number, what)
        if number == 0 and isinstance(what, Outcome):
            os.kill(batch.worker_pid, signal.SIGKILL)
            wait_until(lambda: batch.worker_pid is None, "the worker to be lost")

    batch = WorkerBatch(planned(model, folder, tmp_path / "out"), model, kill_after_the_first)
    tally = batch.run()
    assert (tally.done, len(tally.problems)) == (3, 1), tally.problems


def test_a_model_replaced_after_the_plan_is_refused(model, folder, tmp_path):
    made = planned(model, folder, tmp_path / "out")
    other = made.how.model_copy(update={"model_sha256": "0" * 64})
    tally = WorkerBatch(type(made)(made.found, made.output, other, made.settings), model, Told()).run()
    assert tally.done == 0 and "was replaced meanwhile" in tally.problems[0]


class PartlyBroken:
    shape, dtype, ndim = (130, 140, 3), np.dtype(np.uint8), 3

    def __init__(self):
        self.pixels = np.random.default_rng(0).integers(0, 255, self.shape, np.uint8)
        self.broken = True

    def __getitem__(self, key):
        if self.broken and key[0].start and key[0].stop == 130:
            raise RuntimeError("the graph is broken")
        return self.pixels[key]


def test_a_layer_that_only_this_process_can_read_is_given_part_by_part(model, tmp_path):
    array = PartlyBroken()
    level = PulledLevel(shape=array.shape, scale=(1, 1, 1), translation=(0, 0, 0))
    image = PulledImage(axes="YXC", units=(None,) * 3, levels=(level,), dtype="|u1", content="some")
    made = plan_layer("a layer", lambda: image, Output(folder=tmp_path / "out"), read_card(model), SLOW)
    told, sentences = Told(), []
    batch = WorkerBatch(made, model, told, estimated=lambda number, text: sentences.append(text), arrays=[array])
    tally = batch.run()
    assert tally.done == 0 and "of 9 blocks of a layer could not be segmented" in tally.problems[0], tally
    assert "The layer could not be read: the graph is broken (RuntimeError)." in tally.problems[0]
    array.broken = False
    assert WorkerBatch(made, model, told, arrays=[array]).run().done == 1
    expected = write_image(tmp_path / "same.ome.zarr", array.pixels.transpose(2, 0, 1))
    segment_files(expected, model, tmp_path / "out", iterations=4, tile_size=64)
    found, wanted = (
        zarr.open_array(tmp_path / "out" / f"{name}.ome.zarr" / "labels" / "tiny" / "0", mode="r")[:]
        for name in ("a layer", "same")
    )
    assert found.shape == (130, 140) and found.any()
    assert not batch.worker_pid and wanted.any()


def test_what_stands_in_the_way_of_all_is_raised_and_the_worker_ends(model, folder, tmp_path):
    (tmp_path / "out").write_text("a file")
    batch = WorkerBatch(planned(model, folder, tmp_path / "out"), model, Told())
    with pytest.raises(FileError, match="is a file"):
        batch.run()
    assert batch.worker_pid is None

import errno
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
from engine_helpers import wait_until

from napari_runet import load_model
from napari_runet.corrections.replay import CorrectedPlane
from napari_runet.engine import fine_tuning as handling
from napari_runet.engine.arrays import read_array
from napari_runet.engine.messages import (
    Cancelled,
    CandidateReady,
    Failed,
    FineTuneReport,
    Finished,
    ModelLoaded,
    PreviewReady,
)
from napari_runet.engine.requests import write_fine_tune_request
from napari_runet.engine.segmenting import ModelCache
from napari_runet.images.image_input import ImageInput, Region
from napari_runet.images.pixel_size import PixelSize
from napari_runet.inference.segmenter import iterate
from napari_runet.models.store import read_card
from napari_runet.settings import FineTuningSettings, SegmentationSettings


def corrected(seed=0, size=96):
    rng = np.random.default_rng(seed)
    truth = np.zeros((size, size), np.uint8)
    for column in range(8, size - 8, 20):
        truth[:, column : column + 6] = 1
    image = (200 - 120 * truth[..., None] + rng.normal(0, 8, (size, size, 3))).clip(0, 255).astype(np.uint8)
    labels = np.full(truth.shape, 255, np.uint8)
    for _ in range(16):
        y, x = rng.integers(0, size - 6, 2)
        labels[y : y + 5, x : x + 5] = truth[y : y + 5, x : x + 5]
    return image, labels


def test_a_candidate_comes_with_reports_and_previews(listen, tiny_model, tmp_path):
    image, labels = corrected()
    listener = listen()
    output = tmp_path / "candidate"
    request = listener.client.fine_tune(
        lambda: [CorrectedPlane("stripes", image, labels)],
        folder=tiny_model,
        output=output,
        settings=FineTuningSettings(training_steps=12, device="cpu"),
        preview=(0, Region(10, 20, 40, 30)),
    )
    report = listener.wait_for(FineTuneReport, request_id=request)
    assert report.training_step >= 1 and report.loss > 0
    preview = listener.wait_for(PreviewReady, request_id=request)
    assert listener.client.read(preview.foreground).shape == (1, 40, 30)
    ready = listener.wait_for(CandidateReady, request_id=request)
    card = read_card(output)
    assert ready.sha256 == card.sha256 and ready.parent == card.parent == read_card(tiny_model).sha256
    assert ready.figures == card.metrics["fine_tuning"] and ready.figures["training_steps"] == 12
    segmenting = listener.client.segment(
        image, folder=output, name="stripes", settings=SegmentationSettings(device="cpu")
    )
    assert listener.wait_for(Finished, request_id=segmenting).model_sha256 == card.sha256


def test_a_preview_sees_the_image_at_the_scale_of_the_mask_that_it_is_compared_with(tiny_model, tmp_path, monkeypatch):
    image, labels = corrected(size=128)
    box = Region(10, 20, 90, 60)
    request = write_fine_tune_request(
        tmp_path,
        "tune",
        lambda: [CorrectedPlane("stripes", image, labels)],
        folder=tiny_model,
        output=tmp_path / "candidate",
        settings=FineTuningSettings(training_steps=1, device="cpu"),
        preview=(0, box),
    )
    monkeypatch.setattr(handling, "pixel_size_of", lambda *_: PixelSize(0.5, 12.0))
    told = []
    channel = SimpleNamespace(folder=tmp_path, send=told.append)
    model = load_model(tiny_model, "cpu")
    handling._Preview(channel, request, model).send(model.network, 1)
    shown = read_array(told[0].foreground)
    asked = ImageInput.from_array(image), replace(model, backend=None), SegmentationSettings()
    masks = {
        scale: [*iterate(*asked, region=box, pixel_size=PixelSize(scale), quantised=True)][-1].foreground
        for scale in (1.0, 0.5)
    }
    assert shown.shape == (1, 90, 60)
    np.testing.assert_array_equal(shown, masks[0.5])
    assert (masks[0.5] != masks[1.0]).any()


def test_a_preview_that_cannot_be_shown_costs_no_candidate(tiny_model, tmp_path, monkeypatch, capfd):
    image, labels = corrected()
    request = write_fine_tune_request(
        tmp_path,
        "tune",
        lambda: [CorrectedPlane("stripes", image, labels)],
        folder=tiny_model,
        output=tmp_path / "candidate",
        settings=FineTuningSettings(training_steps=3, device="cpu"),
        preview=(0, Region(10, 20, 40, 30)),
    )

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(handling, "write_array", full)
    monkeypatch.setattr(handling, "PREVIEW_SECONDS", 0.0)
    told = []
    channel = SimpleNamespace(folder=tmp_path, send=told.append, is_cancelled=lambda _: False)
    handling.fine_tune(channel, ModelCache(), request)
    assert isinstance(told[-1], CandidateReady) and read_card(tmp_path / "candidate").sha256 == told[-1].sha256
    assert capfd.readouterr().err.count("OSError: [Errno") == 1, "it is not tried again"


def test_stop_keeps_the_best_so_far_and_a_second_one_kills(listen, tiny_model, tmp_path):
    image, labels = corrected()
    listener = listen()

    def start(name):
        return listener.client.fine_tune(
            lambda: [CorrectedPlane("stripes", image, labels)],
            folder=tiny_model,
            output=tmp_path / name,
            settings=FineTuningSettings(seconds=3600, device="cpu"),
        )

    first = start("first")
    listener.wait_for(FineTuneReport, request_id=first)
    listener.client.cancel(first)
    ready = listener.wait_for(CandidateReady, request_id=first)
    assert read_card(tmp_path / "first").sha256 == ready.sha256
    second = start("second")
    listener.wait_for(FineTuneReport, request_id=second)
    worker = listener.client.worker_pid
    listener.client.cancel(second)
    listener.client.cancel(second)
    listener.wait_for(Cancelled, CandidateReady, request_id=second)
    wait_until(lambda: listener.client.running and listener.client.worker_pid is not None, "a worker again")
    assert listener.client.worker_pid != worker or (tmp_path / "second").exists()


def test_nothing_corrected_is_a_sentence_and_the_worker_goes_on(listen, tiny_model, tmp_path):
    image, labels = corrected()
    listener = listen()
    request = listener.client.fine_tune(
        lambda: [CorrectedPlane("stripes", image, np.full_like(labels, 255))],
        folder=tiny_model,
        output=tmp_path / "none",
        settings=FineTuningSettings(training_steps=2, device="cpu"),
    )
    failed = listener.wait_for(Failed, request_id=request)
    assert failed.message.startswith("Nothing is corrected yet") and not (tmp_path / "none").exists()
    again = listener.client.load_model(tiny_model, "cpu")
    listener.wait_for(ModelLoaded, request_id=again)

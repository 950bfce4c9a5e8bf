import os
import sys
from pathlib import Path

import numpy as np
import pytest

import napari_runet
from napari_runet.engine.messages import Failed, Finished, IterationDone, ModelLoaded, Progress, Ready
from napari_runet.images.image_input import Region
from napari_runet.images.thresholding import quantise
from napari_runet.settings import SegmentationSettings

CPU = SegmentationSettings(device="cpu")


def segment_here(image: np.ndarray, folder: Path) -> np.ndarray:
    """The same in this process, at as many threads as the worker has: (T, K, Y, X) uint8."""
    model = napari_runet.load_model(folder, device="cpu")
    return quantise(napari_runet.segment(image, model).foreground)


def test_the_worker_computes_what_the_python_api_does(listen, tiny_model, photograph):
    engine = listen()
    engine.client.start()
    ready = engine.wait_for(Ready)
    assert ready.threads >= 1
    assert ready.torch
    loaded = engine.wait_for(ModelLoaded, request_id=engine.client.load_model(tiny_model, "cpu"))
    assert loaded.device == "cpu"

    request = engine.client.segment(photograph, folder=tiny_model, name="photo", settings=CPU)
    finished = engine.wait_for(Finished, request_id=request)
    done = [event for event in engine.seen if isinstance(event, IterationDone)]
    expected = segment_here(photograph, tiny_model)
    assert [event.iteration for event in done] == [1, 2, 3]
    assert finished.iterations == 3
    assert finished.model_sha256 == loaded.sha256
    previous = np.zeros((150, 200), bool)
    for event, probabilities in zip(done, expected, strict=True):
        array = engine.client.read(event.foreground)
        assert array.dtype == np.uint8
        assert array.shape == (1, 150, 200)
        assert not array.flags.writeable
        np.testing.assert_allclose(array.astype(int), probabilities.astype(int), atol=1)
        labels = array[0] >= np.ceil(255 * finished.threshold)
        assert event.changed == np.count_nonzero(labels != previous)
        p = array[0] / 255
        assert event.mean_confidence == pytest.approx(np.maximum(p, 1 - p).mean(), abs=1 / 255)
        previous = labels


def test_a_name_that_is_no_text_does_not_hinder(listen, tiny_model, photograph):
    """On Linux the name of a file may be any bytes; Python makes lone surrogates of those that are no UTF-8."""
    engine, odd = listen(), os.fsdecode(b"caf\xe9")
    failed = engine.wait_for(Failed, request_id=engine.client.load_model(tiny_model / odd, "cpu"))
    assert "could not be handed" in failed.message
    pid = engine.client.worker_pid
    request = engine.client.segment(photograph, folder=tiny_model, name=odd, settings=CPU)
    engine.wait_for(Finished, request_id=request)
    assert engine.client.worker_pid == pid


def test_the_same_request_gives_the_same_result(listen, tiny_model, photograph):
    engine = listen()
    arrays = []
    for _ in range(2):
        request = engine.client.segment(photograph, folder=tiny_model, name="photo", settings=CPU)
        engine.wait_for(Finished, request_id=request)
        last = [event for event in engine.seen if isinstance(event, IterationDone)][-1]
        arrays.append(np.array(engine.client.read(last.foreground)))
    np.testing.assert_array_equal(*arrays)


def test_progress_ends_each_iteration_and_never_goes_back(listen, tiny_model):
    engine = listen()
    image = np.random.default_rng(2).random((500, 500, 3), np.float32)
    request = engine.client.segment(image, folder=tiny_model, name="large", settings=CPU)
    engine.wait_for(Finished, request_id=request)
    progress = [event for event in engine.seen if isinstance(event, Progress)]
    places = [(event.iteration, event.done) for event in progress]
    assert places == sorted(set(places))
    total = progress[0].total
    assert total > 1
    assert {(t, total) for t in (1, 2, 3)} <= set(places)
    assert progress[-1].seconds_left == 0
    assert all(event.seconds_left > 0 for event in progress[:-1])


@pytest.mark.parametrize("dtype", ["bool", "uint8", "uint16", "int32", "float32", ">f8"])
def test_every_dtype_and_a_grey_plane_are_taken(listen, tiny_model, dtype):
    engine = listen()
    image = np.random.default_rng(3).random((40, 50)) * 200
    # not all True: where every pixel is alike, normalising an untrained network's features amplifies rounding
    image = image > 100 if dtype == "bool" else image.astype(dtype)
    request = engine.client.segment(image, folder=tiny_model, name="grey", settings=CPU)
    engine.wait_for(Finished, request_id=request)
    done = next(event for event in engine.seen if isinstance(event, IterationDone))
    np.testing.assert_allclose(
        engine.client.read(done.foreground).astype(int), segment_here(image, tiny_model)[0].astype(int), atol=1
    )


def test_a_function_is_called_on_another_thread_and_its_failure_told(listen, tiny_model, photograph):
    import threading

    engine = listen()
    threads = []

    def read() -> np.ndarray:
        threads.append(threading.current_thread())
        return photograph[::2, ::-1]

    request = engine.client.segment(read, folder=tiny_model, name="lazy", settings=CPU)
    engine.wait_for(Finished, request_id=request)
    assert threads[0] is not threading.main_thread()
    done = next(event for event in engine.seen if isinstance(event, IterationDone))
    expected = segment_here(photograph[::2, ::-1].copy(), tiny_model)[0]
    np.testing.assert_allclose(engine.client.read(done.foreground).astype(int), expected.astype(int), atol=1)

    def fail() -> np.ndarray:
        raise FileNotFoundError("chunk 0.0 is gone")

    failed = engine.wait_for(
        Failed, request_id=engine.client.segment(fail, folder=tiny_model, name="lazy", settings=CPU)
    )
    assert failed.message.startswith("lazy could not be read: chunk 0.0 is gone")
    assert "FileNotFoundError" in failed.detail


def test_a_masked_region_gives_its_box_and_nothing_outside_the_mask(listen, tiny_model, photograph):
    engine = listen()
    mask = np.zeros((60, 70), bool)
    mask[10:30, 20:50] = True
    region = Region(20, 30, 60, 70, mask)
    request = engine.client.segment(photograph, folder=tiny_model, name="photo", settings=CPU, region=region)
    engine.wait_for(Finished, request_id=request)
    done = next(event for event in engine.seen if isinstance(event, IterationDone))
    array = engine.client.read(done.foreground)
    assert array.shape == (1, 60, 70)
    assert not array[0][~mask].any()
    assert array[0][mask].any()


def test_release_removes_the_files_of_that_request_only(listen, tiny_model, photograph):
    engine = listen()
    kept, released = (
        engine.client.segment(photograph, folder=tiny_model, name="photo", settings=CPU) for _ in range(2)
    )
    engine.wait_for(Finished, request_id=released)
    done = {event.id: event.foreground for event in engine.seen if isinstance(event, IterationDone)}
    array = engine.client.read(done[released])
    before = array.sum()
    engine.client.release(released)
    # the sending thread removes them, in order: the answer to a later request comes after
    engine.wait_for(ModelLoaded, request_id=engine.client.load_model(tiny_model, "cpu"))
    assert not Path(done[released].path).exists()
    assert engine.client.read(done[kept]).shape == (1, 150, 200)
    if sys.platform != "win32":
        assert array.sum() == before
        folder = Path(done[kept].path).parent
        assert folder.stat().st_mode & 0o777 == 0o700
        assert folder.stat().st_uid == os.getuid()
    engine.client.close()
    assert not folder.exists()
    engine.client.close()

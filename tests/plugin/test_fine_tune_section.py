"""What the panel shows of fine-tuning, with events in place of a worker."""

import shutil

import numpy as np
import pytest
import tifffile
from correcting_helpers import dock, predict
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_runet.corrections.correction_set import CorrectionSet
from napari_runet.corrections.image_key import ImageKey
from napari_runet.corrections.journal import Journal
from napari_runet.engine.messages import (
    ArrayFile,
    CandidateReady,
    Failed,
    FineTuneReport,
    Finished,
    IterationDone,
    PreviewBox,
    PreviewReady,
    RegionBox,
    WorkerLost,
)
from napari_runet.models.store import HOME_VARIABLE
from napari_runet.plugin.session import Tuning
from napari_runet.plugin.versions import CandidateModel, claim_folder
from napari_runet.settings import FineTuningSettings


@pytest.fixture
def panel(make_napari_viewer, tiny_models, tmp_path, monkeypatch, photograph):
    shutil.copytree(tiny_models / "models", tmp_path / "models")  # what is accepted stays here
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path))
    viewer = make_napari_viewer()
    image = viewer.add_image(photograph, name="eye", rgb=True)
    panel = dock(viewer)
    panel.choices.choose_model(next(model for model in panel.session.models if model.card.id == "tiny"))
    predict(panel, image, np.zeros((150, 200)), panel.session.model.card)
    requests = []

    def fine_tune(samples, **options):
        requests.append((samples, options))
        return "request 1"

    monkeypatch.setattr(panel.tuning_engine, "fine_tune", fine_tune)
    panel.requests = requests
    yield panel
    panel.correcting.close()


def correct(panel):
    layer = panel.correcting.correct()
    layer.paint((50, 60), 1)
    panel.session.correction.compare()
    return layer


def test_without_corrections_nothing_can_be_tuned_and_a_sentence_says_so(panel):
    assert not panel.fine_tune_section.fine_tune.isEnabled()
    assert not panel.fine_tuning.start()
    assert "Nothing is corrected yet" in panel.session.tuning_notice.text and not panel.requests


def test_what_is_sent_is_the_image_and_only_what_a_person_said(panel, photograph):
    layer = correct(panel)
    assert panel.fine_tune_section.fine_tune.isEnabled()
    assert panel.fine_tuning.start() and not panel.fine_tuning.start()
    samples, options = panel.requests[0]
    known = panel.session.correction.known.labels.copy()
    layer.paint((100, 100), 1)  # painted after the start
    panel.session.correction.compare()
    ((name, image, labels, measured),) = samples()
    assert name == "eye" and np.array_equal(image, photograph) and np.array_equal(labels, known) and measured is None
    assert options["settings"].name == "Tiny · v2" and options["output"].name.startswith("tiny-v2-")
    assert options["folder"] == panel.session.model.folder


def test_what_was_corrected_earlier_is_sent_too_unless_that_is_switched_off(panel, tmp_path, qtbot):
    correct(panel)
    names = tuple(info.name for info in panel.session.model.card.classes)
    earlier = np.random.default_rng(2).integers(0, 255, (40, 50, 3), np.uint8)
    tifffile.imwrite(tmp_path / "earlier.tif", earlier)
    known = CorrectionSet((40, 50))
    known.classes = names
    change = known.update_from_difference(np.zeros((40, 50), np.uint8), np.eye(40, 50, dtype=np.uint8))
    journal = Journal(ImageKey.of(earlier, str(tmp_path / "earlier.tif")))
    journal.append(change)
    assert journal.close() and panel.correcting.flush()
    assert panel.fine_tuning.start()
    eye, other = panel.requests[0][0]()
    assert eye[0] == "eye" and other[0] == "earlier"
    assert np.array_equal(other[1], earlier) and np.array_equal(other[2], known.labels)
    panel.fine_tuning.on_event(Failed(id="request 1", message="No."))
    panel.fine_tune_section.options.earlier.setChecked(False)
    assert panel.fine_tuning.start()
    assert [name for name, *_ in panel.requests[1][0]()] == ["eye"]


def test_reports_are_shown_and_those_of_other_requests_dropped(panel):
    correct(panel)
    panel.fine_tuning.start()
    facts = {"phase": "Training", "training_step": 7, "loss": 0.5, "seconds": 3.0, "seconds_left": 9.0}
    panel.fine_tuning.on_event(FineTuneReport(id="another", **facts))
    assert not panel.fine_tuning.losses
    panel.fine_tuning.on_event(FineTuneReport(id="request 1", **facts, before=0.7, after=0.8))
    section = panel.fine_tune_section
    assert panel.fine_tuning.losses == [(3.0, 0.5)] and panel.fine_tuning.scores == [(3.0, 0.8)]
    assert "training step 7" in section.doing.text() and "0.700 before, 0.800 now" in section.doing.text()
    assert "about 9 s left" in section.doing.text() and section.plot is not None


@pytest.mark.parametrize(
    "event",
    [
        Failed(id="request 1", message="The loss is not a number any more."),
        WorkerLost(id="request 1", message="The process that computes ran out of memory."),
    ],
)
def test_a_failure_is_a_sentence_and_the_model_stays(panel, event):
    correct(panel)
    model = panel.session.model
    panel.fine_tuning.start()
    panel.fine_tuning.on_event(event)
    assert panel.session.tuning.stage == "idle" and panel.session.model is model
    assert panel.session.tuning_notice.kind == "error" and event.message in panel.session.tuning_notice.text
    assert panel.fine_tune_section.fine_tune.isEnabled()


def test_layers_that_are_deleted_in_mid_training_break_nothing(panel, tmp_path):
    layer = correct(panel)
    known = panel.session.correction.known.labels.copy()
    model, viewer = panel.session.model, panel._viewer
    assert panel.fine_tuning.start()
    output = panel.requests[0][1]["output"]
    file = ArrayFile(path="", shape=(1, 150, 200), dtype="uint8")
    box = PreviewBox(sample=0, region=RegionBox(y=0, x=0, height=150, width=200))
    preview = PreviewReady(id="request 1", training_step=3, preview=box, foreground=file)
    panel.fine_tuning.on_event(preview, np.full((1, 150, 200), 255, np.uint8))
    shown = [other for other in viewer.layers if "preview" in other.name]
    viewer.layers.remove(layer)
    viewer.layers.remove(shown[0])
    panel.fine_tuning.on_event(preview, np.zeros((1, 150, 200), np.uint8))
    assert len([other for other in viewer.layers if "preview" in other.name]) == 1  # on show again
    for other in [other for other in viewer.layers if other is not panel.session.image]:
        viewer.layers.remove(other)
    shutil.copytree(model.folder, output)
    figures = {"better": True, "before": 0.5, "after": 0.6, "reason": "Dice."}
    event = CandidateReady(id="request 1", folder=str(output), sha256="", parent="", figures=figures)
    panel.tuning_engine.segment = lambda *_, **__: "comparison 1"
    panel.fine_tuning.on_event(event)
    assert panel.session.tuning.stage == "deciding"
    assert panel.fine_tuning.deciding.accept() and panel.session.model.card.title == "Tiny · v2"
    panel.correcting.correct()
    assert np.array_equal(panel.session.correction.known.labels, known)


@pytest.mark.parametrize(
    ("better", "words", "bold"),
    [(True, "is better", "accept"), (False, "is not better", "reject"), (None, "do not say whether", None)],
)
def test_the_default_answer_is_what_the_figures_say(panel, tmp_path, better, words, bold):
    model = panel.session.model
    figures = {"better": better, "reason": "Dice: 0.5 before, 0.6 after."}
    panel.session.candidate = CandidateModel(tmp_path, model.card, figures, model)
    panel.session.tuning = Tuning("deciding")
    section = panel.fine_tune_section
    assert words in section.verdict.text() and "0.5 before" in section.verdict.text()
    marked = [name for name in ("accept", "reject") if getattr(section, name).font().bold()]
    assert marked == ([bold] if bold else [])


def test_options_are_those_of_the_settings(panel):
    options = panel.fine_tune_section.options
    assert set(options.widgets) == set(FineTuningSettings.model_fields)
    options.widgets["seconds"].setValue(30)
    options.widgets["training_steps"].setValue(12)
    options.widgets["thin_structures"].setChecked(True)
    options.widgets["name"].setText("mine")
    precision = options.widgets["precision"]
    precision.setCurrentIndex(precision.findData("bfloat16"))
    precision.activated.emit(precision.currentIndex())
    settings = panel.session.tuning_settings
    expected = {"seconds": 30.0, "training_steps": 12, "thin_structures": True, "name": "mine", "precision": "bfloat16"}
    assert settings == FineTuningSettings(**expected)
    options.widgets["training_steps"].setValue(options.widgets["training_steps"].minimum())
    assert panel.session.tuning_settings.training_steps is None


def test_a_candidate_that_was_left_is_asked_about_again(panel, tmp_path):
    model = panel.session.model
    folder, lock = claim_folder("tiny-v2")
    folder.mkdir()
    card = model.card.model_copy(
        update={"title": "Tiny · v2", "parent": model.card.sha256, "metrics": {"fine_tuning": {"better": True}}}
    )
    (folder / "card.json").write_text(card.model_dump_json())
    (folder / "model.safetensors").write_bytes((model.folder / "model.safetensors").read_bytes())
    deciding = panel.fine_tuning.deciding
    assert not deciding.look_for_left_over()  # somebody is at it
    lock.release()
    assert deciding.look_for_left_over() and not deciding.look_for_left_over()
    assert panel.session.tuning.stage == "deciding" and "is better" in panel.fine_tune_section.verdict.text()
    assert "before you decided" in panel.session.tuning_notice.text
    deciding.leave()  # napari ends once more
    panel.session.candidate, panel.session.tuning = None, Tuning()
    assert deciding.look_for_left_over()
    deciding.reject()
    assert not folder.exists() and not deciding.look_for_left_over()


def test_a_label_that_is_no_class_is_not_sent(panel):
    layer = panel.correcting.correct()
    layer.paint((50, 60), 3)
    panel.session.correction.compare()
    assert not panel.fine_tuning.start()
    assert "labelled 3" in panel.session.tuning_notice.text


def test_the_second_press_of_a_double_click_stops_nothing_more(panel, monkeypatch):
    asked = []
    monkeypatch.setattr(panel.tuning_engine, "cancel", asked.append)
    correct(panel)
    panel.fine_tuning.start()
    panel.fine_tune_section.stop.click()
    panel.fine_tune_section.stop.click()
    assert asked == ["request 1"]
    QTest.qWait(QApplication.doubleClickInterval() + 50)
    panel.fine_tune_section.stop.click()
    assert asked == ["request 1", "request 1"]


def test_a_candidate_of_which_nothing_could_be_measured_is_not_said_to_be_worse(panel, tmp_path):
    model = panel.session.model
    figures = {"better": None, "method": "none", "reason": "Nobody can know."}
    panel.session.candidate = CandidateModel(tmp_path, model.card, figures, model)
    assert panel.fine_tune_section.verdict.text() == "Nobody can know."


def test_what_differs_is_counted_once_the_candidate_has_its_last_iteration(panel):
    layer = correct(panel)
    assert panel.fine_tuning.start()
    output, model = panel.requests[0][1]["output"], panel.session.model
    shutil.copytree(model.folder, output)
    figures = {"better": True, "before": 0.5, "after": 0.6, "reason": "Dice."}
    panel.tuning_engine.segment = lambda *_, **__: "comparison 1"
    event = CandidateReady(id="request 1", folder=str(output), sha256="", parent="", figures=figures)
    panel.fine_tuning.on_event(event)
    notice = panel.fine_tune_section.notice
    for iteration in (1, 2):
        assert notice.text() == ""
        file = ArrayFile(path="", shape=(1, 150, 200), dtype="uint8")
        facts = {"foreground": file, "mean_confidence": 0.9, "changed": 0}
        mask = np.zeros((1, 150, 200), np.uint8)
        mask[0, :iteration, :10] = 255
        panel.fine_tuning.on_event(IterationDone(id="comparison 1", iteration=iteration, **facts), mask)
    about = {"threshold": 0.5, "model_id": "tiny-v2", "model_sha256": "", "device": "cpu", "seconds": 1.0}
    panel.fine_tuning.on_event(Finished(id="comparison 1", iterations=2, **about))
    assert notice.text().startswith("20 pixels of eye changed")
    panel.fine_tune_section.flip.click()
    assert "You see the candidate's mask alone." in notice.text() and not layer.visible
    panel.fine_tune_section.flip.click()
    assert "alone" not in notice.text() and layer.visible
    panel.fine_tuning.deciding.reject()

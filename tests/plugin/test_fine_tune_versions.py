"""What becomes of a candidate: names, keeping, throwing away and going back."""

import json

import pytest

from napari_runet.models.store import HOME_VARIABLE, ModelStore, StoredModel, read_card
from napari_runet.plugin.versions import (
    CandidateModel,
    candidates_folder,
    claim_folder,
    keep_candidate,
    left_over,
    next_name,
    parent_of,
    throw_away,
)


@pytest.fixture
def parent(card, tmp_path, monkeypatch):
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path))
    return StoredModel(card.model_copy(update={"sha256": "a" * 64}), tmp_path / "models" / card.id, False)


def candidate_of(parent, model_id="some-v2"):
    folder = candidates_folder() / model_id
    folder.mkdir(parents=True)
    card = parent.card.model_copy(
        update={"id": model_id, "title": "Some · v2", "parent": parent.card.sha256, "sha256": "b" * 64}
    )
    (folder / "card.json").write_text(card.model_dump_json())
    (folder / "model.safetensors").write_bytes(b"weights")
    return CandidateModel(folder, card, {"better": True}, parent)


def test_versions_are_numbered_from_the_first_and_never_repeat(parent):
    assert next_name(parent.card, [parent]) == ("Some · v2", "some-v2")
    second = StoredModel(parent.card.model_copy(update={"id": "some-v2", "title": "Some · v2"}), parent.folder, False)
    assert next_name(parent.card, [parent, second]) == ("Some · v3", "some-v3")
    assert next_name(second.card, [parent, second]) == ("Some · v3", "some-v3")
    assert next_name(parent.card, [parent], " My Eyes! ") == ("My Eyes!", "my-eyes")
    assert next_name(parent.card, [parent], "Some") == ("Some · v2", "some-v2")


def test_a_kept_candidate_is_whole_and_listed_and_its_parent_is_found(parent, tmp_path):
    candidate = candidate_of(parent)
    folder = keep_candidate(candidate, "My eyes", "my-eyes", tmp_path / "models")
    assert not candidate.folder.exists() and (folder / "model.safetensors").read_bytes() == b"weights"
    kept = read_card(folder)
    assert (kept.id, kept.title, kept.sha256, kept.parent) == ("my-eyes", "My eyes", "b" * 64, "a" * 64)
    assert json.loads((folder / "card.json").read_text())["id"] == "my-eyes"
    stored = next(model for model in ModelStore().models() if model.card.id == "my-eyes")
    assert parent_of(stored, [parent, stored]) == parent
    assert parent_of(stored, [stored]) is None and parent_of(parent, [parent, stored]) is None


def test_a_taken_folder_is_never_overwritten(parent, tmp_path):
    candidate = candidate_of(parent)
    taken = tmp_path / "models" / "some-v2"
    taken.mkdir(parents=True)
    (taken / "card.json").write_text("somebody's")
    with pytest.raises(OSError, match="there already"):
        keep_candidate(candidate, "Some · v2", "some-v2", tmp_path / "models")
    assert (taken / "card.json").read_text() == "somebody's"
    assert (candidate.folder / "model.safetensors").exists()


def test_a_candidate_left_by_a_program_that_ended_is_found_once_and_an_unfinished_one_removed(parent):
    assert left_over([parent]) is None
    candidate = candidate_of(parent)
    unfinished, lock = claim_folder("some-v3")
    unfinished.mkdir()
    assert lock.path.exists()
    lock.release()
    found, held = left_over([parent])
    assert found.folder == candidate.folder and found.parent == parent and found.card == read_card(candidate.folder)
    assert not unfinished.exists() and not lock.path.exists()
    assert left_over([parent]) is None  # as long as it is held
    held.release()
    again, held = left_over([])
    assert again.parent is None  # its model is gone, and it can be kept nevertheless
    throw_away(again.folder)
    held.release()
    assert not list(candidates_folder().iterdir())


def test_throwing_away_removes_the_folder_and_may_be_repeated(parent):
    candidate = candidate_of(parent)
    throw_away(candidate.folder)
    assert not candidate.folder.exists()
    throw_away(candidate.folder)

"""The store finds models, and says in a sentence which folders it cannot use."""

import json
import os
from pathlib import Path

import pytest

from napari_runet.models.card import CARD_SCHEMA_VERSION, ClassInfo, ModelCard, NetworkConfig
from napari_runet.models.store import CARD_FILE, ModelError, ModelStore, read_card

CLASSES = (ClassInfo(name="background", color="#000000"), ClassInfo(name="thing", color="#ff0000"))


def put_card(root, model_id="a", **changes):
    card = ModelCard(id=model_id, title="T", sentence="S.", network=NetworkConfig(), classes=CLASSES)
    folder = root / model_id
    folder.mkdir(parents=True)
    (folder / CARD_FILE).write_text(json.dumps({**json.loads(card.model_dump_json()), **changes}))
    return folder


@pytest.fixture
def store(tmp_path):
    return ModelStore(user=tmp_path / "user", shipped=tmp_path / "shipped")


def test_shipped_models_come_first_and_are_found_by_id_and_folder(store):
    mine, shipped = put_card(store.user, "mine"), put_card(store.shipped, "theirs")
    assert [(model.card.id, model.shipped) for model in store.models()] == [("theirs", True), ("mine", False)]
    assert store.find("mine") == mine
    assert store.find(str(shipped)) == store.find(shipped) == shipped


def test_a_store_without_folders_is_empty(store):
    assert store.models() == [] and store.problems() == []


@pytest.mark.parametrize("name", ["nobody", "", "..", ".", "A", "a b", "\0", "x" * 500])
def test_an_unknown_id_names_the_known_ones(store, name):
    put_card(store.user, "mine")
    with pytest.raises(ModelError, match="Known models: mine"):
        store.find(name)


@pytest.mark.parametrize("name", ["no/where", "../../etc/passwd"])
def test_a_folder_without_a_model_is_a_sentence(store, name):
    with pytest.raises(ModelError, match="There is no model in"):
        store.find(name)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"schema_version": CARD_SCHEMA_VERSION + 1}, "newer version"),
        ({"schema_version": "7"}, "no whole number"),
        ({"surprise": 1}, "surprise"),
        ({"id": "../../evil"}, "no model id"),
        ({"threshold": 2}, "threshold"),
        ({"sha256": "abc"}, "sha256"),
        ({"classes": [{"name": "a", "color": "#000000"}] * 3}, "3 classes"),
    ],
)
def test_a_card_that_cannot_be_trusted_is_a_sentence_and_hides_no_other_model(store, changes, says):
    folder = put_card(store.user, "bad", **changes)
    put_card(store.user, "good")
    with pytest.raises(ModelError, match=says):
        read_card(folder)
    assert [model.card.id for model in store.models()] == ["good"]
    assert len(store.problems()) == 1 and says in store.problems()[0]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"7", b"\xff\xfe\x00", b"[" * 200_000, b"{}"])
def test_what_is_no_card_is_a_sentence(store, content):
    folder = put_card(store.user)
    (folder / CARD_FILE).write_bytes(content)
    with pytest.raises(ModelError, match="model card"):
        read_card(folder)


def test_a_giant_card_or_a_pipe_is_refused_before_it_is_read(store):
    folder = put_card(store.user)
    with (folder / CARD_FILE).open("ab") as stream:
        stream.truncate(1 << 40)
    with pytest.raises(ModelError, match="too large"):
        read_card(folder)
    (folder / CARD_FILE).unlink()
    os.mkfifo(folder / CARD_FILE)
    with pytest.raises(ModelError, match="no file"):
        read_card(folder)


def test_the_users_folder_follows_the_environment(models_home):
    assert ModelStore().user == models_home


def test_a_model_that_was_copied_under_another_name_is_found_by_the_id_that_is_listed(store):
    copied = put_card(store.user, "out")
    content = json.loads((copied / CARD_FILE).read_text())
    (copied / CARD_FILE).write_text(json.dumps({**content, "id": "cracks"}))
    assert store.find("cracks") == store.find("out") == copied
    own = put_card(store.user, "cracks")
    assert store.find("cracks") == own


def test_a_folder_of_models_that_may_not_be_read_is_a_sentence_and_hides_no_other(store, monkeypatch):
    put_card(store.shipped, "theirs")
    glob = Path.glob

    def refuse(folder, pattern):
        if folder == store.user:
            raise PermissionError(13, "Permission denied", str(folder))
        return glob(folder, pattern)

    monkeypatch.setattr(Path, "glob", refuse)
    models, problems = store.look()
    assert [model.card.id for model in models] == ["theirs"]
    assert problems == [f"The models in {store.user} cannot be read: Permission denied."]

"""The user's models as files; zip files that come from anywhere are not trusted."""

import io
import json
import shutil
import stat
import struct
import zipfile

import pytest

from napari_runet.models import managing
from napari_runet.models.managing import export, import_zip, remove, rename
from napari_runet.models.store import ModelError, ModelStore, read_card

IDS = ("card.json", "model.safetensors")


@pytest.fixture
def store(tiny_models, tmp_path):
    """One model of the user, and one that is shipped."""
    store = ModelStore(user=tmp_path / "home" / "models", shipped=tmp_path / "shipped")
    shutil.copytree(tiny_models / "models" / "tiny", store.user / "tiny")
    shutil.copytree(tiny_models / "models" / "tiny-classes", store.shipped / "tiny-classes")
    return store


def ids(store):
    return [model.card.id for model in store.models()]


def left_behind(store):
    return [path.name for path in store.user.parent.iterdir() if path != store.user]


def test_a_renamed_model_is_the_same_under_another_id_and_title(store):
    before = read_card(store.user / "tiny")
    card = rename(store, "tiny", "my-eyes", "My eyes")
    assert ids(store) == ["tiny-classes", "my-eyes"] and not left_behind(store)
    assert card == read_card(store.user / "my-eyes")
    assert (card.title, card.sha256) == ("My eyes", before.sha256)
    assert rename(store, "my-eyes", "my-eyes", "Eyes").title == read_card(store.user / "my-eyes").title == "Eyes"
    assert rename(store, "my-eyes", "tiny").title == "Eyes"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("tiny-classes", "mine", "not among your models"),
        ("tiny", "tiny-classes", "already"),
        ("tiny", "Not An Id", "no model id"),
        ("tiny", "..", "no model id"),
        ("nothing", "mine", "no model called"),
    ],
)
def test_renaming_refuses_and_changes_nothing(store, old, new, says):
    with pytest.raises(ModelError, match=says):
        rename(store, old, new)
    assert ids(store) == ["tiny-classes", "tiny"] and not left_behind(store)


def test_only_models_of_the_user_are_removed(store):
    assert not remove(store, "tiny").exists() and ids(store) == ["tiny-classes"]
    with pytest.raises(ModelError, match="not among your models"):
        remove(store, "tiny-classes")
    assert ids(store) == ["tiny-classes"]


def test_a_model_goes_through_a_zip_file_unchanged(store, tmp_path):
    path = export(store.user / "tiny", tmp_path / "tiny.zip")
    with pytest.raises(FileExistsError, match="already"):
        export(store.user / "tiny", path)
    with pytest.raises(ModelError, match="already"):
        import_zip(store, path)
    card = import_zip(store, path, "copy")
    assert card.id == read_card(store.user / "copy").id == "copy"
    original = shutil.move(store.user / "tiny", tmp_path / "original")
    import_zip(store, path)
    for name in IDS:
        assert json_or_bytes(store.user / "tiny" / name) == json_or_bytes(original / name)
    assert not left_behind(store)


def json_or_bytes(path):
    return json.loads(path.read_text()) if path.suffix == ".json" else path.read_bytes()


def test_damaged_weights_are_not_exported(store, tmp_path):
    weights = store.user / "tiny" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(ModelError, match="sha256 differs"):
        export(store.user / "tiny", tmp_path / "tiny.zip")
    assert not list(tmp_path.glob("*.zip*"))


def packed(path, members, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def hostile(store, tmp_path, kind):
    """A zip file that must be refused."""
    card, weights = ((store.user / "tiny" / name).read_bytes() for name in IDS)
    other = json.dumps(json.loads(card) | {"id": "other"}).encode()
    path = tmp_path / "hostile.zip"
    good = [("m/card.json", other), ("m/model.safetensors", weights)]
    if kind == "traversal":
        return packed(path, [*good, ("../../evil.txt", b"x")])
    if kind == "absolute":
        return packed(path, [("/etc/card.json", other), good[1]])
    if kind == "windows":
        return packed(path, [("C:\\card.json", other), good[1]])
    if kind == "sha":
        return packed(path, [good[0], ("m/model.safetensors", weights[:-1] + b"x")])
    if kind == "two":
        return packed(path, [*good, ("n/card.json", other)])
    if kind == "missing":
        return packed(path, good[:1])
    if kind == "card":
        return packed(path, [("m/card.json", other.replace(b'"title"', b'"titel"')), good[1]])
    if kind == "no id":
        return packed(path, [("m/card.json", other.replace(b'"other"', b'"../up"')), good[1]])
    if kind == "cut off":
        path.write_bytes(packed(path, good).read_bytes()[:-40])
        return path
    if kind in ("damaged", "other compression"):
        how = zipfile.ZIP_DEFLATED if kind == "damaged" else zipfile.ZIP_LZMA
        raw = bytearray(packed(path, good, how).read_bytes())
        start = raw.index(b"card.json") + len("card.json") + 20
        raw[start : start + 40] = 40 * b"\xff"
        path.write_bytes(raw)
        return path
    path.write_bytes(b"PK is not enough")
    return path


KINDS = ("traversal", "absolute", "windows", "sha", "two", "missing", "card", "no id", "cut off", "damaged",
         "other compression", "no zip")  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_hostile_zip_file_is_refused_and_leaves_nothing(store, tmp_path, kind):
    path = hostile(store, tmp_path, kind)
    with pytest.raises(ModelError):
        import_zip(store, path)
    assert ids(store) == ["tiny-classes", "tiny"] and not left_behind(store)
    assert not list(tmp_path.rglob("evil*")) and not list(tmp_path.parent.glob("evil*"))


def test_a_member_larger_than_it_claims_or_may_be_is_refused(store, tmp_path, monkeypatch):
    monkeypatch.setattr(managing, "_LIMITS", {"card.json": 1 << 20, "model.safetensors": 3 << 20})
    card = json.dumps(json.loads((store.user / "tiny" / "card.json").read_text()) | {"id": "other"})
    path = packed(tmp_path / "bomb.zip", [("card.json", card), ("model.safetensors", bytes(40 << 20))])
    assert path.stat().st_size < 1 << 17
    with pytest.raises(ModelError, match="larger than 3 MiB"):
        import_zip(store, path)
    raw = bytearray(path.read_bytes())
    at = raw.rindex(b"PK\x01\x02")  # the central directory now says that the weights are small
    struct.pack_into("<I", raw, at + 24, 100)
    path.write_bytes(raw)
    with pytest.raises(ModelError):
        import_zip(store, path)
    assert ids(store) == ["tiny-classes", "tiny"] and not left_behind(store)


def test_a_link_in_a_zip_file_is_only_its_bytes(store, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("secret")
    info = zipfile.ZipInfo("card.json")
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(info, str(secret))
        archive.writestr("model.safetensors", b"x")
    path = tmp_path / "link.zip"
    path.write_bytes(stream.getvalue())
    with pytest.raises(ModelError, match="cannot be read"):
        import_zip(store, path)
    assert ids(store) == ["tiny-classes", "tiny"] and not left_behind(store)

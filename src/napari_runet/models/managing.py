"""The user's models as files: renamed, removed, packed into a zip file, and unpacked from one that is not trusted."""

import hashlib
import json
import os
import re
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath

from napari_runet.models.card import MODEL_ID_PATTERN, ModelCard
from napari_runet.models.store import CARD_FILE, CARD_LIMIT, WEIGHTS_FILE, ModelError, ModelStore, read_card

WEIGHTS_LIMIT = 1 << 30
"""Bytes that the weights in a zip file may take; those of the largest network here take 0.4 of it."""
_LIMITS = {CARD_FILE: CARD_LIMIT, WEIGHTS_FILE: WEIGHTS_LIMIT}
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_CHUNK = 1 << 20


def free_folder(store: ModelStore, model_id: str) -> Path:
    """Where a new model of the user goes.

    Raises
    ------
    ModelError
        When the id is none, or is taken.
    """
    if not re.fullmatch(MODEL_ID_PATTERN, model_id):
        raise ModelError(f"{model_id!r} is no model id: use lower-case letters, digits, '.', '_' and '-', at most 64.")
    if (store.shipped / model_id / CARD_FILE).exists() or (store.user / model_id).exists():
        raise ModelError(f"There is a model called {model_id!r} already; choose another name.")
    return store.user / model_id


def rename(store: ModelStore, model_id: str, new_id: str, title: str = "") -> ModelCard:
    """Give a model of the user another id, and perhaps another title; versions tuned from it still know it.

    Raises
    ------
    ModelError
        When it is not the user's, or the new id is none or taken.
    OSError
        When it cannot be written; the model then is as it was.
    """
    folder = own_folder(store, model_id)
    target = folder if new_id == model_id else free_folder(store, new_id)
    content = read_card(folder).model_dump() | {"id": new_id}
    card = ModelCard.model_validate(content | ({"title": title} if title else {}))
    with _new_folder(store) as made:
        shutil.copytree(folder, made, dirs_exist_ok=True)
        _write_card(made, card)
        if target == folder:
            (made / CARD_FILE).replace(folder / CARD_FILE)
        else:
            _become(made, target)
            shutil.rmtree(folder)
    return card


def remove(store: ModelStore, model_id: str) -> Path:
    """Delete a model of the user; returns its folder, which is gone.

    Raises
    ------
    ModelError
        When it is not the user's.
    """
    folder = own_folder(store, model_id)
    shutil.rmtree(folder)
    return folder


def own_folder(store: ModelStore, model_id: str) -> Path:
    """The folder of a model that is the user's, not a shipped one.

    Raises
    ------
    ModelError
        When it is not.
    """
    folder = store.find(model_id)
    if folder.parent != store.user:
        raise ModelError(f"{model_id!r} is not among your models: a shipped one can neither be renamed nor removed.")
    return folder


def export(folder: Path, path: Path) -> Path:
    """Pack a model into a new zip file.

    Raises
    ------
    ModelError
        When there is no such model, or its weights are not those its card names.
    OSError
        When the file is there already, or cannot be written.
    """
    card = read_card(folder)
    if path.exists():
        raise FileExistsError(f"{path} is there already; choose another name, nothing is ever overwritten.")
    if _digest(folder / WEIGHTS_FILE) != card.sha256:
        raise ModelError(f"The weights of {card.id!r} are damaged (sha256 differs), so it was not exported.")
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with zipfile.ZipFile(partial, "x", zipfile.ZIP_DEFLATED) as archive:
            for name in _LIMITS:
                archive.write(folder / name, f"{card.id}/{name}")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def import_zip(store: ModelStore, path: Path, model_id: str = "") -> ModelCard:
    """Unpack a model that somebody exported, and add it to the user's models.

    Nothing in the file is trusted: only a card and weights are read from it, under names of our own, up to limits;
    the card is checked field by field, and the weights by the digest that the card gives.

    Parameters
    ----------
    model_id
        Its id here; the card's own when empty.

    Raises
    ------
    ModelError
        When the file is no such zip file, or the id is taken. Nothing was added then.
    OSError
        When it cannot be read, or the model cannot be written.
    """
    with _new_folder(store) as made:
        _unpack(path, made)
        card = read_card(made)
        if _digest(made / WEIGHTS_FILE) != card.sha256:
            raise ModelError(f"The weights in {path} are damaged or not those its card names (sha256 differs).")
        target = free_folder(store, model_id or card.id)
        if model_id and model_id != card.id:
            card = ModelCard.model_validate(card.model_dump() | {"id": model_id})
            _write_card(made, card)
        _become(made, target)
    return card


def _unpack(path: Path, folder: Path) -> None:
    """Write the two members of a model into a folder, however the archive calls the folder they lie in."""
    if not path.is_file():
        raise ModelError(f"There is no file {path}.")
    try:
        with zipfile.ZipFile(path) as archive:
            members = {}
            for info in archive.infolist():
                _refuse_escapes(path, info.filename)
                name = info.filename.rsplit("/", 1)[-1]
                if name in _LIMITS:
                    if name in members:
                        raise ModelError(f"{path} holds more than one {name}; a zip file holds one model.")
                    members[name] = info
            missing = [name for name in _LIMITS if name not in members]
            if missing:
                raise ModelError(f"{path} holds no model: there is no {missing[0]} in it.")
            for name, info in members.items():
                if info.compress_type not in _COMPRESSIONS:
                    raise ModelError(f"{path} is compressed in another way than export does; pack it by deflate.")
                _copy(archive, info, folder / name, _LIMITS[name])
    except (zipfile.BadZipFile, zipfile.LargeZipFile, RuntimeError, EOFError, zlib.error) as error:
        # the last three: encrypted, cut off, or damaged
        raise ModelError(f"{path} is no zip file that can be read ({error}).") from error


def _refuse_escapes(path: Path, member: str) -> None:
    """Refuse an archive that names files outside the folder it is unpacked into."""
    parts = (*PurePosixPath(member).parts, *PureWindowsPath(member).parts)
    if ".." in parts or PurePosixPath(member).is_absolute() or PureWindowsPath(member).anchor:
        raise ModelError(f"{path} names a file outside its own folder ({member!r}); it was refused.")


def _copy(archive: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path, limit: int) -> None:
    """Write a member, whatever size it claims, up to a limit."""
    written = 0
    with archive.open(info) as source, target.open("xb") as sink:
        while chunk := source.read(_CHUNK):
            written += len(chunk)
            if written > limit:
                raise ModelError(f"{info.filename} in the zip file is larger than {limit >> 20} MiB; it was refused.")
            sink.write(chunk)


def _write_card(folder: Path, card: ModelCard) -> None:
    (folder / CARD_FILE).write_text(json.dumps(card.model_dump(mode="json"), indent=2) + "\n", encoding="utf-8")


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise ModelError(f"There are no weights in {path.parent}.") from error


@contextmanager
def _new_folder(store: ModelStore) -> Iterator[Path]:
    """A folder that becomes a model, or nothing; on the same disk as the user's models, and not among them."""
    store.user.mkdir(parents=True, exist_ok=True)
    path = Path(tempfile.mkdtemp(prefix=".new-model-", dir=store.user.parent))
    try:
        yield path
    finally:
        if path.exists():
            shutil.rmtree(path)


def _become(made: Path, target: Path) -> None:
    """Give a new folder the name of a model that is not there yet."""
    made.chmod(0o755)
    made.rename(target)

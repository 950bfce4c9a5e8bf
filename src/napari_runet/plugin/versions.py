"""Versions of a model: what a candidate is called, and how it is kept, thrown away, or gone back from."""

import re
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_runet.corrections.locking import FileLock
from napari_runet.io.atomic import write_atomically
from napari_runet.models.card import ModelCard
from napari_runet.models.store import CARD_FILE, ModelError, StoredModel, read_card, user_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

_VERSION = re.compile(r"^(?P<base>.+?)(?: · v|-v)(?P<number>\d+)$")


@dataclass(frozen=True, slots=True)
class CandidateModel:
    """A fine-tuned model that nobody has decided on.

    Parameters
    ----------
    folder, card, figures
        Where it waits, what it is, and what it achieved.
    parent
        What it was tuned from; None where that model is gone.
    """

    folder: Path
    card: ModelCard
    figures: dict[str, Any]
    parent: StoredModel | None


def candidates_folder() -> Path:
    """Where models wait for a decision; they are in no list of models."""
    return user_folder() / "candidates"


def claim_folder(model_id: str) -> tuple[Path, FileLock]:
    """A folder for a new candidate, which is not made yet, and the lock that tells others that it is ours.

    Raises
    ------
    OSError
        When the folder of all candidates cannot be written.
    """
    folder = candidates_folder() / f"{model_id}-{uuid.uuid4().hex[:8]}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(_lock_path(folder))
    if not lock.acquire():
        raise OSError(f"{lock.path} is locked")
    return folder, lock


def left_over(models: "Sequence[StoredModel]") -> tuple[CandidateModel, FileLock] | None:
    """The last candidate that waits for a decision and belongs to no running program, and its lock.

    Whoever takes it holds the lock until it is decided on. What a program that ended left unfinished is removed.
    """
    folders = [path for path in candidates_folder().glob("*") if path.is_dir()]
    for folder in sorted(folders, key=lambda path: path.stat().st_mtime, reverse=True):
        lock = FileLock(_lock_path(folder))
        if not lock.acquire():
            continue
        try:
            card = read_card(folder)
        except ModelError:
            throw_away(folder)
        else:
            figures = card.metrics.get("fine_tuning")
            parent = next((model for model in models if model.card.sha256 == card.parent), None)
            return CandidateModel(folder, card, figures if isinstance(figures, dict) else {}, parent), lock
        lock.release()
    return None


def _lock_path(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")


def next_name(parent: ModelCard, models: "Sequence[StoredModel]", name: str = "") -> tuple[str, str]:
    """Title and id of a new version, neither of them taken: `name`, else the parent's with the next number."""
    taken = {model.card.id for model in models} | {model.card.title for model in models}
    if name.strip():
        base_title, base_id = name.strip(), id_of(name)
        pairs = [(base_title, base_id), *((f"{base_title} · v{n}", f"{base_id}-v{n}") for n in range(2, 10_000))]
    else:
        base_title, base_id = _base(parent.title), _base(parent.id)
        pairs = [(f"{base_title} · v{n}", f"{base_id}-v{n}") for n in range(2, 10_000)]
    return next((title[-80:], key) for title, key in pairs if title not in taken and key not in taken)


def keep_candidate(candidate: CandidateModel, title: str, model_id: str, models_folder: Path) -> Path:
    """Move a candidate among the user's models; returns its new folder.

    Raises
    ------
    OSError
        When it cannot be moved; it then stays where it is.
    """
    target = models_folder / model_id
    if target.exists():
        raise FileExistsError(f"{target} is there already")
    card = candidate.card.model_copy(update={"id": model_id, "title": title[:80]})
    models_folder.mkdir(parents=True, exist_ok=True)
    content = ModelCard.model_validate(card.model_dump()).model_dump_json(indent=2) + "\n"
    write_atomically(candidate.folder / CARD_FILE, content.encode())
    candidate.folder.rename(target)
    _lock_path(candidate.folder).unlink(missing_ok=True)
    return target


def throw_away(folder: Path) -> None:
    """Remove a candidate's folder, where there is one, and its lock."""
    if folder.exists():
        shutil.rmtree(folder)
    _lock_path(folder).unlink(missing_ok=True)


def parent_of(model: StoredModel | None, models: "Sequence[StoredModel]") -> StoredModel | None:
    """The model that another was tuned from, where it is still there."""
    if model is None or not model.card.parent:
        return None
    return next((other for other in models if other.card.sha256 == model.card.parent), None)


def _base(name: str) -> str:
    match = _VERSION.match(name)
    return (match["base"] if match else name)[:56]


def id_of(name: str) -> str:
    """A model id made of any name."""
    return re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-._")[:56] or "model"

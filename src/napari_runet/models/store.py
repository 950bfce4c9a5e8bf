"""Where models are kept: the shipped ones in the package, the user's in a data folder."""

import json
import os
import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from platformdirs import user_data_path
from pydantic import ValidationError

from napari_runet.models.card import CARD_SCHEMA_VERSION, MODEL_ID_PATTERN, ModelCard

CARD_FILE = "card.json"
WEIGHTS_FILE = "model.safetensors"
CARD_LIMIT = 4 << 20
"""Bytes that a card may take."""
HOME_VARIABLE = "NAPARI_RUNET_HOME"


class ModelError(ValueError):
    """A model cannot be found or cannot be trusted; the message says why and what to do."""


def user_folder() -> Path:
    """The user's data folder: ``$NAPARI_RUNET_HOME``, else the platform's place for data."""
    home = os.environ.get(HOME_VARIABLE)
    return Path(home) if home else user_data_path("napari-runet", appauthor=False)


def shipped_folder() -> Path:
    """The folder of the models inside the package."""
    return Path(str(files("napari_runet"))) / "weights"


def read_card(folder: Path) -> ModelCard:
    """Read the card of the model in `folder`.

    Raises
    ------
    ModelError
        When there is none, or it is damaged, or it was written by a newer version.
    """
    path = folder / CARD_FILE
    try:
        if path.exists() and not (path.is_file() and path.stat().st_size <= CARD_LIMIT):
            raise ModelError(f"The model card {path} is no file, or far too large for one.")
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ModelError(f"There is no model in {folder}: it has no {CARD_FILE}.") from error
    except ModelError:
        raise
    except OSError as error:
        raise ModelError(f"The model card {path} cannot be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"The model card {path} cannot be read: {error}") from error
    version = content.get("schema_version", CARD_SCHEMA_VERSION) if isinstance(content, dict) else None
    if isinstance(content, dict) and not isinstance(version, int):
        raise ModelError(f"The model card {path} is not valid: its schema_version is no whole number.")
    if isinstance(version, int) and version > CARD_SCHEMA_VERSION:
        raise ModelError(f"The model in {folder} was written by a newer version; update napari-runet to use it.")
    try:
        return ModelCard.model_validate(content)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"])) or "the card"
        raise ModelError(f"The model card {path} is not valid: {where}: {problem['msg']}.") from error


@dataclass(frozen=True, slots=True)
class StoredModel:
    """A model's card and folder."""

    card: ModelCard
    folder: Path
    shipped: bool


class ModelStore:
    """Lists and finds models.

    Parameters
    ----------
    user
        Folder of the user's models, ``<user_folder()>/models`` when None.
    shipped
        Folder of the shipped ones, inside the package when None.
    """

    def __init__(self, user: Path | None = None, shipped: Path | None = None) -> None:
        self.user = user_folder() / "models" if user is None else user
        self.shipped = shipped_folder() if shipped is None else shipped

    def models(self) -> list[StoredModel]:
        """All models whose cards can be read, the shipped ones first; a damaged one is left out (see `problems`)."""
        return self.look()[0]

    def problems(self) -> list[str]:
        """A sentence for each folder that looks like a model and cannot be used."""
        return self.look()[1]

    def look(self) -> tuple[list[StoredModel], list[str]]:
        """Both `models` and `problems`, in one reading of the cards."""
        found, problems = [], []
        for root in (self.shipped, self.user):
            try:
                paths = sorted(root.glob(f"*/{CARD_FILE}"))
            except OSError as error:
                problems.append(f"The models in {root} cannot be read: {error.strerror or error}.")
                continue
            for path in paths:
                try:
                    found.append(StoredModel(read_card(path.parent), path.parent, root == self.shipped))
                except ModelError as error:
                    problems.append(str(error))
        return found, problems

    def find(self, name: str | Path) -> Path:
        """The folder of a model: `name` is a folder when it holds a path separator or is a Path, else an id.

        Raises
        ------
        ModelError
            When there is no such model.
        """
        if isinstance(name, Path) or "/" in name or os.sep in name:
            read_card(Path(name))
            return Path(name)
        if re.fullmatch(MODEL_ID_PATTERN, name):
            for root in (self.shipped, self.user):
                if (root / name / CARD_FILE).exists():
                    return root / name
        models = self.models()
        for model in models:  # its folder may be called otherwise, where somebody copied it there
            if model.card.id == name:
                return model.folder
        known = ", ".join(model.card.id for model in models) or "none"
        raise ModelError(f"There is no model called {name!r}. Known models: {known}; a folder needs a '/' in its name.")

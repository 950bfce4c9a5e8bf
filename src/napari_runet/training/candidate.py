"""A fine-tuned model that has not been accepted yet."""

import hashlib
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from napari_runet.models.card import DataSource, ModelCard
from napari_runet.models.store import CARD_FILE, WEIGHTS_FILE, ModelError
from napari_runet.models.weights import save_new
from napari_runet.networks import IterativeNetwork, build
from napari_runet.settings import FineTuningSettings
from napari_runet.training.correction_trainer import total_training_steps
from napari_runet.training.judging import Figures
from napari_runet.training.pairs import Pair, known_labels
from napari_runet.training.patches import is_untrained


@dataclass(frozen=True, slots=True)
class Candidate:
    """Card, tensors and figures; `card` has no sha256 before it is saved."""

    card: ModelCard
    state: dict[str, Tensor]
    figures: Figures

    def network(self) -> IterativeNetwork:
        """The network, on the CPU and in evaluation mode."""
        network = build(self.card.network)
        network.load_state_dict(self.state)
        return network.eval()

    def save(self, folder: Path, model_id: str | None = None) -> ModelCard:
        """Write the model into a new folder; returns its card.

        Parameters
        ----------
        model_id
            Its id; by default made of the folder's name.

        Raises
        ------
        ModelError
            When there is a model in the folder already, or it cannot be written.
        """
        if (folder / CARD_FILE).exists() or (folder / WEIGHTS_FILE).exists():
            raise ModelError(f"There is a model in {folder} already; choose another name.")
        card = self.card.model_copy(update={"id": model_id or id_from(folder.name)})
        return save_new(folder, ModelCard.model_validate(card.model_dump()), self.state)


def candidate_card(parent: ModelCard, settings: FineTuningSettings, pairs: list[Pair], figures: Figures) -> ModelCard:
    """The card of a candidate: its parent's, with what was done to it instead of the parent's figures."""
    source = DataSource(name="corrections", images=len(pairs), licence="the user's own")
    training = {
        "parent_id": parent.id,
        "corrections": corrections_digest(pairs),
        "settings": settings.model_dump(mode="json"),
        "seed": settings.seed,
        "training_steps": figures.training_steps,
        "total_training_steps": total_training_steps(parent.training) + figures.training_steps,
        "seconds": round(figures.seconds, 1),
    }
    title = (settings.name or f"{parent.title}, fine-tuned")[:80]
    sentence = parent.sentence
    if is_untrained(parent):
        sentence = f"Finds {', '.join(parent.class_names[1:])}, as it was taught by corrections."[:300]
    return parent.model_copy(
        update={
            "id": id_from(settings.name or f"{parent.id}-tuned"),
            "title": title,
            "sentence": sentence,
            "training_data": (*parent.training_data, source),
            "training": training,
            "metrics": {"fine_tuning": figures.as_json()},
            "parent": parent.sha256,
            "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "sha256": "",
        }
    )


def corrections_digest(pairs: Iterable[Pair]) -> str:
    """sha256 of all labels that were learned from, in order."""
    digest = hashlib.sha256()
    for pair in pairs:
        labels = np.ascontiguousarray(known_labels(pair))
        digest.update(repr((pair.name, labels.shape)).encode())
        digest.update(labels.tobytes())
    return digest.hexdigest()


def id_from(name: str) -> str:
    """A model id made of any name."""
    cleaned = re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-._")[:64]
    return cleaned or "model"

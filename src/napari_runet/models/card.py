"""The model card: everything there is to know about a model besides its tensors."""

import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

CARD_SCHEMA_VERSION = 1
MODEL_ID_PATTERN = r"[a-z0-9][a-z0-9._-]{0,63}"
PAPER_SIZES: dict[str, dict[str, Any]] = {
    "unet-b": {"norm": "batch"},
    "rec-middle": {"hidden_channels": 128},
    "dru-vgg16": {"hidden_channels": 256},
    "dru-resnet50": {"hidden_channels": 512},
}
"""Where a network of the paper departs from the defaults of `NetworkConfig`."""


class NetworkConfig(BaseModel):
    """What `napari_runet.networks.build` needs to build a network.

    The defaults are those of DRU(4) in the paper, and for a few other names those of `PAPER_SIZES`; where the
    authors' code departs from the paper's equations, the paper is followed. Networks on VGG16 or ResNet50 have
    that encoder's own channels and normalisation, whatever `base_channels` and `norm` say.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = "dru-4"
    in_channels: int = Field(default=3, ge=1, le=64)
    classes: int = Field(default=2, ge=2, le=255)
    base_channels: int = Field(default=8, ge=1, le=256)
    hidden_channels: int = Field(default=32, ge=1, le=1024)
    norm: Literal["group", "batch"] = "group"
    feedback: Literal["probabilities", "logits"] = "probabilities"
    initial_segmentation: float = 0.0
    initial_hidden: float = 0.0

    @model_validator(mode="before")
    @classmethod
    def _with_paper_sizes(cls, fields: Any) -> Any:
        return {**PAPER_SIZES.get(str(fields.get("name")), {}), **fields} if isinstance(fields, dict) else fields


class Normalisation(BaseModel):
    """Maps raw intensities onto about [-1, 1] by percentiles of the whole image's finite pixels.

    ``out = clip(2 (raw - low) / (high - low) - 1, -2, 2)``; `low` and `high` are measured for each channel
    on its own where `per_channel` is set, else over all channels together.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    low_percentile: float = Field(default=0.5, ge=0, lt=50)
    high_percentile: float = Field(default=99.5, gt=50, le=100)
    per_channel: bool = True


class ClassInfo(BaseModel):
    """One class: its name and its colour as ``#rrggbb``; the first class of a card is the background."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=64)
    color: str = Field(pattern=r"^#[0-9a-fA-F]{6}$")


class DataSource(BaseModel):
    """A set of images that the model was trained on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    images: int = Field(ge=0)
    licence: str
    note: str = ""


class StructureWidth(BaseModel):
    """How wide structures are, in pixels, where a model is at its best, and from where to where it is nearly so.

    Widths are those of `napari_runet.images.structure_width` in the model's own masks.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    low: float = Field(gt=0)
    best: float = Field(gt=0)
    high: float = Field(gt=0)

    @model_validator(mode="after")
    def _ordered(self) -> "StructureWidth":
        if not self.low <= self.best <= self.high:
            raise ValueError("the widths must rise from low over best to high")
        return self


class ModelCard(BaseModel):
    """What a model is; kept as ``card.json`` beside ``model.safetensors``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = CARD_SCHEMA_VERSION
    id: str
    title: str = Field(max_length=80)
    sentence: str = Field(max_length=300, description="One sentence for the panel: what the model is for.")
    network: NetworkConfig
    classes: tuple[ClassInfo, ...] = Field(min_length=2)
    normalisation: Normalisation = Normalisation()
    iterations: int = Field(default=3, ge=1, le=10)
    threshold: float = Field(default=0.5, gt=0, lt=1)
    tile_size: int = Field(default=1024, ge=64, le=8192)
    tile_overlap: int = Field(default=128, ge=0, le=1024)
    structure_width: StructureWidth | None = Field(
        default=None, description="Images with other structures are rescaled; None where that is not known."
    )
    training_data: tuple[DataSource, ...] = ()
    training: dict[str, Any] = Field(default={}, description="Recipe, seed, training steps, machine.")
    metrics: dict[str, Any] = Field(default={}, description="Figures and the data they were measured on.")
    limits: str = Field(default="", description="What the model is bad at.")
    open_questions: str = Field(default="", description="What is not known of the rights to its training data.")
    licence: str = "BSD-3-Clause"
    parent: str | None = Field(default=None, description="sha256 of the model that this one was tuned from.")
    created: str = ""
    sha256: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")

    @field_validator("id")
    @classmethod
    def _valid_id(cls, value: str) -> str:
        if not re.fullmatch(MODEL_ID_PATTERN, value):
            raise ValueError(f"{value!r} is no model id: use lower-case letters, digits, '.', '_' and '-', at most 64")
        return value

    def model_post_init(self, context: Any, /) -> None:
        """Check that the classes named are those the network tells apart."""
        if len(self.classes) != self.network.classes:
            raise ValueError(f"the card names {len(self.classes)} classes, its network has {self.network.classes}")

    @property
    def class_names(self) -> tuple[str, ...]:
        """What the classes are called, the background first."""
        return tuple(info.name for info in self.classes)


NOT_TRAINED_FOR_IT = (
    "{title} was not trained to go on from a mask that somebody corrected; it does so, and may drift away from it."
)


def goes_on_from_masks(card: ModelCard) -> bool:
    """Whether a model has learned to go on from masks that a person could have left."""
    recipe = card.training.get("recipe")
    share = recipe.get("start_states", 0) if isinstance(recipe, dict) else 0
    return isinstance(share, int | float) and share > 0

"""A recipe: everything that decides what a training run gives, in one TOML file."""

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from napari_runet.models.card import (
    MODEL_ID_PATTERN,
    ClassInfo,
    DataSource,
    NetworkConfig,
    Normalisation,
    StructureWidth,
)
from napari_runet.networks import NETWORK_NAMES
from napari_runet.training.augmentation import Augmentation
from napari_runet.training.drawn_pairs import DrawnKind


class RecipeError(ValueError):
    """A recipe cannot be read; the message says what is wrong in it."""


class Recipe(BaseModel):
    """How a model is trained."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=f"^{MODEL_ID_PATTERN}$")
    title: str = Field(max_length=80)
    sentence: str = Field(max_length=300)
    classes: tuple[ClassInfo, ...] = Field(min_length=2, max_length=255)
    network: NetworkConfig = NetworkConfig()
    normalisation: Normalisation = Normalisation()
    structure_width: StructureWidth | None = None
    training_data: tuple[DataSource, ...] = ()
    limits: str = ""
    open_questions: str = ""

    training_steps: int = Field(gt=0)
    batch_size: int = Field(default=4, gt=0)
    crop_size: int = Field(default=256, ge=32, multiple_of=16)
    iterations: int = Field(default=3, ge=1, le=10)
    single_iteration_steps: int = Field(
        default=0, ge=0, description="The first training steps run one iteration alone, at a third of the cost."
    )
    start_states: float = Field(
        default=0.0, ge=0, le=1, description="Share of batches that begin from a state a person could have left."
    )
    alpha: float = Field(default=0.4, gt=0, le=1, description="Weight of earlier iterations in the loss.")
    dice_weight: float = Field(default=0.0, ge=0)
    learning_rate: float = Field(default=2e-3, gt=0)
    warm_up_steps: int = Field(default=100, ge=0)
    weight_decay: float = Field(default=1e-4, ge=0)
    gradient_clip: float = Field(default=1.0, gt=0)
    average_decay: float = Field(default=0.998, ge=0, lt=1, description="Decay of the weight average; 0 for none.")
    foreground_share: float = Field(default=0.5, ge=0, le=1)
    shares: dict[str, Annotated[float, Field(gt=0)]] = Field(
        default={}, description="Share of crops from the images whose names begin so; all images alike where empty."
    )
    drawn: dict[DrawnKind, Annotated[int, Field(gt=0)]] = Field(
        default={}, description="Pictures drawn by the program that are trained on beside the data."
    )
    outside_fov: Literal["ignore", "background"] = "ignore"
    precision: Literal["float32", "auto"] = Field(
        default="float32",
        description="Of features and their gradients on a CPU; auto is bfloat16 where that is faster.",
    )
    augmentation: Augmentation = Augmentation()
    validate_every: int = Field(default=500, gt=0)
    patience: int = Field(
        default=0, ge=0, description="Stop after this many validations without a better Dice on val; 0 for never."
    )

    @model_validator(mode="before")
    @classmethod
    def _count_classes(cls, fields: Any) -> Any:
        """The network tells apart the classes that are named, unless it says otherwise."""
        classes, network = fields.get("classes"), fields.get("network", {})
        if isinstance(classes, list) and isinstance(network, dict):
            return {**fields, "network": {"classes": len(classes), **network}}
        return fields

    @model_validator(mode="after")
    def _fit_together(self) -> "Recipe":
        if self.network.name not in NETWORK_NAMES:
            raise ValueError(f"there is no network called {self.network.name!r}; choose {', '.join(NETWORK_NAMES)}")
        if self.network.classes != len(self.classes):
            raise ValueError(f"{len(self.classes)} classes are named, but the network has {self.network.classes}")
        return self


def table_recipes() -> dict[str, Path]:
    """The recipes of the rows of the paper's table by name: of every network, all trained alike."""
    folder = Path(str(files("napari_runet.training"))) / "recipes"
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def read_recipe(path: Path) -> Recipe:
    """Read a recipe from a TOML file.

    Raises
    ------
    RecipeError
        When it cannot be read, has an unknown key, or a value out of range.
    """
    try:
        return Recipe.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise RecipeError(f"The recipe {path} cannot be read: {error.strerror or error}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"The recipe {path} is not valid TOML: {error}.") from error
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"]))
        if problem["type"] == "extra_forbidden":
            raise RecipeError(f"The recipe {path} has the key {where!r}, which is not known.") from error
        raise RecipeError(f"The recipe {path}: {where}{': ' if where else ''}{problem['msg']}.") from error

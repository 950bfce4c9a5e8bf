"""The parameters of segmentation and of fine-tuning, each defined once for the panel, the command line and Python."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

DeviceName = Literal["auto", "cpu", "cuda", "mps"]

Precision = Literal["auto", "float32", "bfloat16"]
"""Numbers that a CPU computes features in; auto takes bfloat16 where the processor has AMX or AVX512-BF16."""

BackendName = Literal[Precision, "reference"]
"""How a network is computed: fast in one of the precisions, or as it is written."""

MAX_ITERATIONS = 10


class SegmentationSettings(BaseModel):
    """How an image is segmented; every default is that of one click."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    iterations: int | None = Field(
        default=None,
        ge=1,
        le=MAX_ITERATIONS,
        title="Iterations",
        description="How often the network passes over the image; by default what the model's card recommends.",
    )
    threshold: float | None = Field(
        default=None,
        gt=0.0,
        lt=1.0,
        title="Threshold",
        description="A pixel is foreground from this probability on; by default what the model's card recommends.",
    )
    device: DeviceName = Field(
        default="auto",
        title="Device",
        description="Where the network runs; auto takes a GPU when there is a usable one.",
    )
    precision: Precision = Field(
        default="auto",
        title="Precision",
        description="Numbers that a CPU computes in; automatic takes bfloat16 where the processor is much faster in it "
        "(AMX, AVX512-BF16), which changes the third digit of probabilities.",
    )
    tile_size: int | None = Field(
        default=None,
        ge=64,
        le=8192,
        title="Tile size",
        description="Larger images are cut into overlapping tiles of this many pixels; by default the card's.",
    )
    rescale: bool = Field(
        default=True,
        title="Rescale automatically",
        description="Enlarge or shrink the image for the network where its structures are much thinner or wider than "
        "those the model sees best; masks always have the image's size.",
    )
    flips: bool = Field(
        default=False,
        title="Average over flips",
        description="Also look at the image mirrored, and average: four times the work.",
    )
    scales: bool = Field(
        default=False,
        title="Average over scales",
        description="Also look at the image at 0.75 and 1.33 times its size, and average: about three times the work.",
    )
    follow_time: bool = Field(
        default=False,
        title="Follow time",
        description="In a movie, begin each frame from the mask of the frame before, which needs fewer iterations; "
        "anew where the scene cuts.",
    )
    follow_iterations: int = Field(
        default=1,
        ge=1,
        le=MAX_ITERATIONS,
        title="Iterations going on",
        description="How many iterations a frame gets that goes on from the frame before.",
    )


class FineTuningSettings(BaseModel):
    """How a model is fine-tuned on corrections; every default is that of one button."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seconds: float = Field(
        default=60.0,
        ge=1,
        le=86_400,
        title="Time budget (s)",
        description="How long to train; the best so far is kept at the end.",
    )
    training_steps: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        title="Training steps",
        description="Train for this many steps instead of a time, so that a run can be repeated exactly.",
    )
    strength: float = Field(
        default=0.5,
        ge=0.05,
        le=1.0,
        title="Strength",
        description="How far the model may move from its old answers where nobody corrected it.",
    )
    held_out: float = Field(
        default=0.2,
        ge=0.0,
        le=0.5,
        title="Held out",
        description="Share of the corrections that is never trained on and tells whether the model became better.",
    )
    thin_structures: bool = Field(
        default=False,
        title="Thin structures",
        description="Add a term that keeps lines connected (soft clDice); it counts where regions were reviewed.",
    )
    seed: int = Field(default=0, ge=0, le=2**31 - 1, title="Seed", description="Decides crops and what is held out.")
    device: DeviceName = Field(
        default="auto",
        title="Device",
        description="Where the network trains; auto takes a GPU when there is a usable one.",
    )
    precision: Precision = Field(
        default="auto",
        title="Precision",
        description="Numbers that a CPU trains in; weights and loss are float32. Automatic takes bfloat16 where the "
        "processor is faster in it (AMX, AVX512-BF16): a training step then takes about three quarters of the time.",
    )
    name: str = Field(
        default="",
        max_length=80,
        title="Name",
        description="What the new version is called; by default after the model that it starts from.",
    )

"""The parameters of segmentation, each defined once for the panel, the command line and the Python API."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

DeviceName = Literal["auto", "cpu", "cuda", "mps"]

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
    tile_size: int | None = Field(
        default=None,
        ge=64,
        le=8192,
        title="Tile size",
        description="Larger images are cut into overlapping tiles of this many pixels; by default the card's.",
    )

"""Checkpoints: all of a training's state in one safetensors file."""

from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save as save_tensors

from napari_runet.io.atomic import write_atomically
from napari_runet.io.masks import why_not_written
from napari_runet.training.trainer import Trainer, TrainingError

CHECKPOINT_FILE = "checkpoint.safetensors"


def save_checkpoint(path: Path, trainer: Trainer) -> None:
    """Write a checkpoint, whole or not at all.

    Raises
    ------
    TrainingError
        When it cannot be written; the one before stays.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in trainer.tensors().items()}
    try:
        write_atomically(path, save_tensors(tensors, metadata=trainer.numbers()))
    except OSError as error:
        raise not_written(path, error) from error


def not_written(path: Path, error: OSError) -> TrainingError:
    """Why a file of a training's folder, or the folder, could not be written, and whether there is something left."""
    resumable = (path.parent / CHECKPOINT_FILE).exists()
    kept = " What was saved before stays; go on by --resume." if resumable else ""
    return TrainingError(why_not_written(path, error) + kept)


def read_checkpoint(path: Path, trainer: Trainer) -> None:
    """Have a trainer go on from a checkpoint.

    Raises
    ------
    TrainingError
        When the file is damaged, or of another recipe.
    """
    try:
        with safe_open(path, framework="pt") as checkpoint:
            numbers = checkpoint.metadata() or {}
            tensors = {name: checkpoint.get_tensor(name) for name in checkpoint.keys()}
    except (SafetensorError, OSError) as error:
        raise TrainingError(f"The checkpoint {path} cannot be read: {error}. Train again without --resume.") from error
    try:
        trainer.go_on(tensors, numbers)
    except TrainingError:
        raise
    except (KeyError, ValueError, RuntimeError) as error:
        raise TrainingError(
            f"{path} is no checkpoint of this training: {error}. Train again without --resume."
        ) from error

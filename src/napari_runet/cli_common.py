"""What several commands share."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

Model = Annotated[str, typer.Option("--model", help="Id, or folder (with a path separator).")]
Iterations = Annotated[int | None, typer.Option("--iterations", help="1 to 10; by default what the card says.")]
Threshold = Annotated[float | None, typer.Option("--threshold", help="Between 0 and 1; by default the card's.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")]
Precision = Annotated[
    str, typer.Option("--precision", help="auto, float32 or bfloat16; auto: bfloat16 on CPUs with AMX or AVX512-BF16.")
]
Rescale = Annotated[
    bool, typer.Option("--rescale/--no-rescale", help="Rescale images whose structures are far too thin or wide.")
]
Flips = Annotated[bool, typer.Option("--flips", help="Average over mirrored images: four times the work.")]
Scales = Annotated[bool, typer.Option("--scales", help="Average over 0.75, 1 and 1.33 times the size.")]
LARGEST_SEED = 2**31 - 1
Json = Annotated[Path | None, typer.Option("--json", help="Also write the figures into this file.")]


@contextmanager
def sentences(*kinds: type[Exception]) -> Iterator[None]:
    """Turn an error that has a sentence for people into that sentence on stderr and exit status 1.

    Parameters
    ----------
    kinds
        Further kinds of errors, besides ValueError and OSError.
    """
    from pydantic import ValidationError

    expected: tuple[type[Exception], ...] = (ValueError, OSError, *kinds)
    try:
        yield
    except ValidationError as error:
        problem = error.errors()[0]
        typer.echo(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}.", err=True)
        raise typer.Exit(1) from error
    except expected as error:
        typer.echo(_said(error), err=True)
        raise typer.Exit(1) from error


def _said(error: Exception) -> str:
    """The error's own sentence; one about the file where it comes straight from the system."""
    import errno

    if not isinstance(error, OSError) or error.errno is None:
        return str(error)
    what = error.filename2 or error.filename
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"The disk{f' of {what}' if what else ''} is full; make room, and run the command again."
    reason = (error.strerror or str(error)).lower()
    return f"{what} cannot be read or written: {reason}." if what else f"It did not work: {reason}."


def check_json(path: Path | None) -> None:
    """See that figures can be written into a file, as far as can be told before they are computed.

    Raises
    ------
    FileError
        When they cannot.
    """
    import os
    import tempfile

    from napari_runet.io.images import FileError
    from napari_runet.io.masks import why_not_written

    if path is None:
        return
    try:
        if path.exists() and not path.is_file():
            raise FileError(f"{path} cannot be written: there is something of that name already that is no file.")
        with tempfile.TemporaryFile(dir=os.path.dirname(os.path.realpath(path))):
            return
    except OSError as error:
        raise FileError(why_not_written(path, error)) from error


def write_json(path: Path, content: object) -> None:
    """Write figures as JSON, whole or not at all; a value that is no number would be an error, not NaN."""
    import json
    import os

    from napari_runet.io.atomic import write_atomically
    from napari_runet.io.images import FileError
    from napari_runet.io.masks import why_not_written

    try:
        write_atomically(Path(os.path.realpath(path)), (json.dumps(content, indent=2, allow_nan=False) + "\n").encode())
    except OSError as error:
        raise FileError(why_not_written(path, error)) from error

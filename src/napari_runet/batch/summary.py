"""The summary of a batch as a table for people and spreadsheets."""

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from napari_runet.batch.record import Entry, FinishedImage
from napari_runet.io.atomic import write_atomically

SUMMARY_FILE = "summary.csv"
COLUMNS = ("file", "mask", "model", "version", "planes", "pixels", "foreground_pixels", "foreground_share", "doubt",
           "seconds", "error")  # fmt: skip


def write_summary(folder: Path, entries: Iterable[Entry]) -> None:
    """Write ``summary.csv``: a row for each image, in the order of `entries`.

    With several foreground classes there is a column ``<class>_pixels`` for each.

    Raises
    ------
    OSError
        When it cannot be written; what was there before stays.
    """
    rows = [_row(folder, entry) for entry in entries]
    further = list(dict.fromkeys(name for row in rows for name in row if name not in COLUMNS))
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, [*COLUMNS[:-2], *further, *COLUMNS[-2:]], restval="")
    table.writeheader()
    table.writerows(rows)
    # the mark at the start has spreadsheets read the names of files as UTF-8
    write_atomically(folder / SUMMARY_FILE, text.getvalue().encode("utf-8-sig"))


def _row(folder: Path, entry: Entry) -> dict[str, object]:
    if not isinstance(entry, FinishedImage):
        return {"file": entry.image, "model": entry.model_id, "error": entry.error}
    foreground = sum(entry.foreground)
    row: dict[str, object] = {
        "file": entry.image,
        "mask": str(folder / next(iter(entry.files))),
        "model": entry.how.model_id,
        "version": entry.how.model_sha256[:16],
        "planes": entry.planes,
        "pixels": entry.pixels,
        "foreground_pixels": foreground,
        "foreground_share": f"{foreground / entry.pixels:.6f}",
        "doubt": "" if entry.doubt is None else f"{entry.doubt:.4f}",
        "seconds": f"{entry.seconds:.2f}",
    }
    if len(entry.classes) > 1:
        row |= {_column(name): count for name, count in zip(entry.classes, entry.foreground, strict=True)}
    return row


def _column(name: str) -> str:
    """Where a class is counted: beside ``foreground_pixels``, the sum, also where it is called so itself."""
    column = f"{name}_pixels"
    return f"class_{column}" if column in COLUMNS else column

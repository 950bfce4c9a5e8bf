"""Write the page of each shipped model from its card and docs/results: ``python docs/make_model_pages.py``.

With ``--pictures`` also the pictures: the model's mask on an image that `napari_runet.images.drawn` made, beside the
truth of the drawing, which shows what the model misses and invents. No photograph of a data set is shown.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from napari_runet.images.drawn import draw_aerial, draw_fundus, draw_hand
from napari_runet.models.card import ModelCard
from napari_runet.models.store import read_card, shipped_folder

DOCS = Path(__file__).parent
FOLDER = DOCS / "models"
DRAWN = {"retina": draw_fundus, "roads": draw_aerial, "hands": draw_hand}
SEEDS = (1, 2, 3)
SIDE = 768
SHOWN = 420
RIGHT, INVENTED, MISSED = (0, 200, 90), (255, 60, 200), (60, 140, 255)
FIGURES = {
    "dice": "Dice", "iou": "IoU", "precision": "precision", "recall": "recall", "miou": "mIoU",
    "relaxed_f1": "relaxed F1 (3 px)", "cldice": "clDice", "ece": "ECE",
}  # fmt: skip


def page(
    card: ModelCard,
    figures: dict[str, Any],
    drawn: list[dict[str, float]],
    sizes: dict[str, Any],
    changed: dict[str, Any],
    test_time: dict[str, Any],
) -> Iterator[str]:
    """The lines of a model's page.

    Parameters
    ----------
    card, figures
        As they are kept; the figures are those of `napari-runet evaluate --json`.
    drawn
        Dice on each drawn image, empty where no picture was made.
    sizes, changed
        What benchmarks/pixel_size.py and benchmarks/changed_images.py found, empty where they were not run.
    test_time
        What benchmarks/test_time.py found, empty where it was not run.
    """
    yield f"# {card.title}"
    yield ""
    yield f"`{card.id}`: {card.sentence}"
    yield ""
    yield f"**What it is bad at.** {card.limits}"
    yield ""
    yield from _about(card)
    yield from _figures(card, figures)
    if test_time.get("sha256") == card.sha256:
        yield from _test_time(test_time)
    yield from _pixel_sizes(card, sizes)
    if changed.get("sha256") == card.sha256:
        yield from _changed(changed)
    if drawn:
        yield from _pictures(card, drawn)
    yield ""
    yield "Written by `python docs/make_model_pages.py` from the model's card and `docs/results`."


def _about(card: ModelCard) -> Iterator[str]:
    training, network = card.training, card.network
    yield "## What it is"
    yield ""
    classes = ", ".join(f"{number} {info.name}" for number, info in enumerate(card.classes))
    yield (
        f"{network.name.upper()} with {network.base_channels} base channels and a hidden state of "
        f"{network.hidden_channels}; it reads {network.in_channels} channels and tells apart: {classes}. "
        f"One click runs {card.iterations} iterations. What is fed back: {network.feedback}."
    )
    yield ""
    yield (
        f"Trained by [its recipe](../../src/napari_runet/weights/{card.id}/recipe.toml) with seed {training['seed']}; "
        f"the weights are those of training step {training['training_steps']}. {training.get('note', '')}".rstrip()
    )
    yield ""
    yield "| trained on | images | licence | remarks |"
    yield "|---|---:|---|---|"
    for source in card.training_data:
        yield f"| {source.name} | {source.images} | {source.licence} | {source.note} |"
    yield ""
    if card.open_questions:
        yield f"**Open questions.** {card.open_questions}"
        yield ""
    yield f"The weights are under {card.licence}. sha256 `{card.sha256}`, {card.created}."


def _figures(card: ModelCard, figures: dict[str, Any]) -> Iterator[str]:
    yield ""
    yield "## How good it is"
    yield ""
    yield (
        f"Measured once on test images that neither trained nor chose it, as one click would segment them, by "
        f"`{card.metrics['test']['command']}`. Means over images with 95 % bootstrap intervals; mIoU over both classes "
        "of all pixels together."
    )
    groups = figures.get("groups") or {}
    parts = groups if len(groups) > 1 else {"": figures}
    for name, part in parts.items():
        yield ""
        yield f"{name or 'All'}: {part['n']} images"
        yield ""
        rows = part["iterations"]
        yield "| | " + " | ".join(f"iteration {row['iteration']}" for row in rows) + " |"
        yield "|---|" + "---:|" * len(rows)
        for figure, title in FIGURES.items():
            if rows[-1].get(figure) is not None:
                yield f"| {title} | " + " | ".join(_value(row, figure) for row in rows) + " |"


def _value(row: dict[str, Any], figure: str) -> str:
    interval = (row.get("intervals") or {}).get(figure)
    return f"{row[figure]:.3f}" + (f" ({interval[0]:.3f} to {interval[1]:.3f})" if interval else "")


def _test_time(found: dict[str, Any]) -> Iterator[str]:
    yield ""
    yield "## More iterations, flips and scales"
    yield ""
    dice = found["dice_by_iteration"]
    yield (
        f"Dice on {found['images']} images of val at iteration 1 to {len(dice)}, of which it was trained for "
        f"{found['trained_iterations']}: {', '.join(f'{value:.3f}' for value in dice)} (`{found['command']}`)."
    )
    if not found["options"]:
        return
    plain, *options = found["options"]
    parts = [f"{row['option']} {row['dice'] - plain['dice']:+.4f} for {row['cost']:.1f} times" for row in options]
    yield (
        f"Averages at test time, at the last iteration: {', '.join(parts)} the time "
        "([with standard errors](../table.md))."
    )


def _pixel_sizes(card: ModelCard, sizes: dict[str, Any]) -> Iterator[str]:
    widths = card.structure_width
    yield ""
    yield "## At other pixel sizes"
    yield ""
    yield (
        "No width of structures is kept for this model, and images are segmented at the size that they have."
        if widths is None
        else f"The model sees structures best that are about {widths.best:g} pixels wide, and well from "
        f"{widths.low:g} to {widths.high:g}. Where it estimates that an image's are not, the image is rescaled for "
        "it, unless you say not to."
    )
    if not sizes:
        return
    yield ""
    yield f"Dice on {sizes['images']} images of val, enlarged or reduced, by `{sizes['command']}`:"
    yield ""
    if widths is None:
        yield "| enlarged | Dice |"
        yield "|---:|---:|"
        yield from (f"| {row['factor']:g} | {row['plain']:.3f} |" for row in sizes["rows"])
        return
    yield "| enlarged | as it is | rescaled | by |"
    yield "|---:|---:|---:|---:|"
    for row in sizes["rows"]:
        yield f"| {row['factor']:g} | {row['plain']:.3f} | {row['rescaled']:.3f} | {row['scale']:.2f} |"


def _changed(found: dict[str, Any]) -> Iterator[str]:
    yield ""
    yield "## In other light, from other files"
    yield ""
    yield f"Dice on {found['images']} images of val, each changed in one way, by `{found['command']}`:"
    yield ""
    yield "| changed | Dice |"
    yield "|---|---:|"
    yield from (f"| {row['change']} | {row['dice']:.3f} |" for row in found["rows"])


def _pictures(card: ModelCard, drawn: list[dict[str, float]]) -> Iterator[str]:
    yield ""
    yield "## Where it fails"
    yield ""
    yield (
        f"On drawings of {SIDE} x {SIDE} pixels, which are unlike its training images: green is found, blue is missed, "
        "magenta is invented. A line drawn a pixel too wide shows as a seam of magenta."
    )
    yield ""
    yield f"![Drawings, and what the model found in them]({card.id}.png)"
    yield ""
    dice = "; ".join(f"seed {row['seed']}: {row['dice']:.3f}" for row in drawn)
    yield f"Dice at the last iteration, {dice}."


def make_picture(card: ModelCard) -> list[dict[str, float]]:
    """Save drawings above, what was found in them below; returns the Dice of each."""
    from napari_runet.inference.segmenter import load_model, segment

    model, columns, rows = load_model(card.id, device="cpu"), [], []
    for seed in SEEDS:
        image, truth = DRAWN[card.id](seed=seed, size=SIDE)
        found = segment(image, model).labels[-1] > 0
        real = truth > 0
        seen = image // 2
        for where, colour in ((found & real, RIGHT), (found & ~real, INVENTED), (~found & real, MISSED)):
            seen[where] = colour
        both = np.concatenate([image, seen])
        columns.append(np.asarray(Image.fromarray(both).resize((SHOWN, 2 * SHOWN), Image.Resampling.LANCZOS)))
        rows.append({"seed": seed, "dice": 2 * int((found & real).sum()) / int(found.sum() + real.sum())})
    picture = Image.fromarray(np.concatenate(columns, axis=1)).quantize(256, dither=Image.Dither.NONE)
    picture.save(FOLDER / f"{card.id}.png", optimize=True)
    return rows


def lines_of(name: str) -> list[str]:
    """The page of a shipped model, from its card and from what was measured with these weights.

    Raises
    ------
    ValueError
        When the figures on test are those of other weights.
    """
    card = read_card(shipped_folder() / name)
    figures = _kept(f"results/{name}-test.json")
    if figures["sha256"] != card.sha256:
        raise ValueError(f"docs/results/{name}-test.json was measured with other weights; run evaluate again.")
    sizes, changed = _kept(f"results/{name}-pixel-size-val.json"), _kept(f"results/{name}-changed-val.json")
    test_time = _kept("results/test-time-val.json")["models"].get(name, {})
    return list(page(card, figures, _kept(f"models/{name}-drawn.json"), sizes, changed, test_time))


def _kept(name: str) -> Any:
    """Figures that are kept in docs; empty where they were not measured."""
    file = DOCS / name
    return json.loads(file.read_text()) if file.exists() else {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", action="store_true", help="draw the pictures anew; needs the models to run")
    parser.add_argument("--models", nargs="+", default=list(DRAWN), choices=list(DRAWN))
    options = parser.parse_args()
    FOLDER.mkdir(exist_ok=True)
    for name in options.models:
        if options.pictures:
            drawn = make_picture(read_card(shipped_folder() / name))
            (FOLDER / f"{name}-drawn.json").write_text(json.dumps(drawn) + "\n")
        (FOLDER / f"{name}.md").write_text("\n".join(lines_of(name)) + "\n")


if __name__ == "__main__":
    main()

"""The page of the paper's table, docs/table.md, from what `paper_table.py` and `test_time.py` measured."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "results" / "table"
TEST_TIME = ROOT / "docs" / "results" / "test-time-val.json"
PAGE = ROOT / "docs" / "table.md"
SETS = ("retina", "roads", "hands")
LIGHT = ("unet-g", "dru-4", "rec-simple", "sru-4", "sru-0", "dru-0", "unet-b", "rec-last", "rec-middle")
HEAVY = ("unet-vgg16", "dru-vgg16", "unet-resnet50", "dru-resnet50", "deeplabv3plus-resnet50", "refinenet-resnet50")
REPEATS = 3
FIGURES = ("miou", "dice", "relaxed_f1", "cldice")
LEARNED = 0.1
"""A network whose Dice is below this has not begun to learn, and no claim is answered from it."""


def cells() -> list[dict[str, Any]]:
    """All cells that were measured."""
    files = sorted(RESULTS.glob("*-seed*.json")) if RESULTS.is_dir() else []
    return [json.loads(file.read_text()) for file in files]


def page() -> Iterator[str]:
    """The table as Markdown, line by line."""
    yield "# The paper's table, measured here"
    yield ""
    yield "Drawn from `docs/results/table` by `python benchmarks/paper_table.py show`; `--help` tells what a cell is."
    costs = RESULTS / "costs.json"
    if costs.exists():
        yield from _cost_lines(json.loads(costs.read_text()))
    measured = cells()
    for training_steps in sorted({cell["training_steps"] for cell in measured}, reverse=True):
        chosen = [cell for cell in measured if cell["training_steps"] == training_steps]
        yield from _accuracy_lines(training_steps, chosen)
    yield from _claim_lines(measured)
    if TEST_TIME.exists():
        yield from _test_time_lines(json.loads(TEST_TIME.read_text())["models"])


def _cost_lines(content: dict[str, Any]) -> Iterator[str]:
    yield ""
    yield "## Cost"
    yield ""
    yield (
        f"One RGB image of {content['side']} x {content['side']}, fp32, all the iterations of the recipe; "
        f"{content['machine']}, {content['date']}; the least of {REPEATS} runs, beside other work."
    )
    yield ""
    yield "| network | iterations | parameters | GFLOP | ms |"
    yield "|---|---:|---:|---:|---:|"
    for row in content["rows"]:
        counts = f"{row['iterations']} | {row['parameters']:,}"
        yield f"| {row['network']} | {counts} | {row['gflop']:.1f} | {row['ms']:.0f} |"


def _accuracy_lines(training_steps: int, measured: list[dict[str, Any]]) -> Iterator[str]:
    dates = sorted({cell["date"] for cell in measured})
    machines = sorted({cell["machine"] for cell in measured})
    minutes = [cell["training_seconds"] / 60 for cell in measured]
    yield ""
    yield f"## Accuracy after {training_steps} training steps"
    yield ""
    yield (
        f"On test, at the iteration that counts (the last), the mean over seeds; {dates[0]} to {dates[-1]}; "
        f"{'; '.join(machines)}. mIoU is over both classes, Dice of the foreground. A cell took "
        f"{min(minutes):.0f} to {max(minutes):.0f} minutes beside other work; so few training steps rank how fast "
        "networks learn, not how good they become. On roads the loss of all has a Dice term of weight 1: by "
        "cross-entropy alone U-Net-G finds no road in 1500 training steps."
    )
    for name in SETS:
        yield ""
        yield f"### {name}"
        yield ""
        yield "| network | seeds | mIoU | Dice by iteration | relaxed F1 (3 px) | clDice |"
        yield "|---|---:|---:|---|---:|---:|"
        for network in (*LIGHT, *HEAVY):
            yield _row(network, [cell for cell in measured if (cell["network"], cell["set"]) == (network, name)])


def _row(network: str, chosen: list[dict[str, Any]]) -> str:
    if not chosen:
        return f"| {network} | | not run | | | |"
    by_seed = [cell["test"]["iterations"] for cell in chosen]
    last = {figure: _mean([rows[-1][figure] for rows in by_seed]) for figure in FIGURES}
    dice = ", ".join(_mean([rows[k]["dice"] for rows in by_seed]) for k in range(min(map(len, by_seed))))
    return f"| {network} | {len(chosen)} | {last['miou']} | {dice} | {last['relaxed_f1']} | {last['cldice']} |"


def _mean(values: list[float | None]) -> str:
    defined = [value for value in values if value is not None]
    return f"{sum(defined) / len(defined):.3f}" if defined else ""


def _claim_lines(measured: list[dict[str, Any]]) -> Iterator[str]:
    """The paper's claims, answered set by set from the cells of the most training steps that both networks have."""
    yield ""
    yield "## The paper's claims"
    for title, better, other in (
        ("DRU(4) beats U-Net-G (on roads by 8 points of mIoU)", "dru-4", "unet-g"),
        ("The hidden state is worth more than the mask alone: DRU(4) beats Rec-Simple", "dru-4", "rec-simple"),
        ("SRU(0) is close behind DRU(4)", "dru-4", "sru-0"),
    ):
        yield ""
        yield f"**{title}.** " + " ".join(_compared(better, other, name, measured) for name in SETS)
    yield ""
    yield "**DRU(4) gains from iteration to iteration.** " + " ".join(_gained(name, measured) for name in SETS)


def _compared(better: str, other: str, name: str, measured: list[dict[str, Any]]) -> str:
    by_steps = [
        (steps, [[cell for cell in of if cell["network"] == network] for network in (better, other)])
        for steps in {cell["training_steps"] for cell in measured}
        for of in [[cell for cell in measured if (cell["set"], cell["training_steps"]) == (name, steps)]]
    ]
    both = [(steps, cells) for steps, cells in by_steps if all(cells)]
    if not both:
        return f"{name}: not run."
    steps, found = max(both, key=lambda pair: pair[0])
    last = [[cell["test"]["iterations"][-1] for cell in cells] for cells in found]
    if min(row["dice"] or 0 for rows in last for row in rows) < LEARNED:
        return f"{name}: not answered, since after {steps} training steps a network has hardly begun to learn."
    points = [100 * sum(row["miou"] for row in rows) / len(rows) for rows in last]
    seeds = min(len(rows) for rows in last)
    counted = f"{steps} training steps, {seeds} seed{'s' * (seeds > 1)}"
    return f"{name}: {points[0] - points[1]:+.1f} points of mIoU ({counted})."


def _gained(name: str, measured: list[dict[str, Any]]) -> str:
    shipped = json.loads((ROOT / "docs" / "results" / f"{name}-test.json").read_text())["iterations"]
    told = ["the shipped model " + ", ".join(f"{row['dice']:.3f}" for row in shipped)]
    for cell in measured:
        if (cell["set"], cell["network"]) == (name, "dru-4"):
            dice = ", ".join(f"{row['dice']:.3f}" for row in cell["test"]["iterations"])
            told.append(f"{dice} after {cell['training_steps']} training steps")
    return f"{name}: Dice on test at iteration 1, 2, 3: {'; '.join(told)}."


def _test_time_lines(models: dict[str, dict[str, Any]]) -> Iterator[str]:
    yield ""
    yield "## More iterations than were trained"
    yield ""
    yield (
        "Dice of the shipped models on images of val, by `python benchmarks/test_time.py run`; they were trained with "
        "three iterations."
    )
    yield ""
    iterations = range(1, 1 + max(len(each["dice_by_iteration"]) for each in models.values()))
    yield "| model | images | " + " | ".join(map(str, iterations)) + " |"
    yield "|---|---:|" + "---:|" * len(iterations)
    yield from (f"| {name} | not run |" + " |" * len(iterations) for name in SETS if name not in models)
    for name, each in models.items():
        yield f"| {name} | {each['images']} | " + " | ".join(f"{v:.3f}" for v in each["dice_by_iteration"]) + " |"
    yield ""
    yield "![Dice from iteration 1 to 10, less that of iteration 3](images/iterations.png)"
    yield ""
    falls = {name: each["dice_by_iteration"][-1] - each["dice_by_iteration"][2] for name, each in models.items()}
    yield "From iteration 3 to 10 Dice changes by " + ", ".join(f"{v:+.3f} ({name})" for name, v in falls.items()) + "."
    yield ""
    yield "## Averages at test time"
    yield ""
    yield (
        "The options `--flips` (four mirrored images) and `--scales` (0.75, 1 and 1.33 times the size), off by "
        "default; Dice at the last iteration on the same images, its gain with the standard error, and time as a "
        "multiple."
    )
    yield ""
    yield "| model | option | Dice | gain | time |"
    yield "|---|---|---:|---:|---:|"
    yield from (f"| {name} | not run | | | |" for name in SETS if not models.get(name, {}).get("options"))
    for name, each in models.items():
        for row in each["options"]:
            plain = row["option"] == "plain"
            gain = "" if plain else f"{row['gain']:+.4f} ± {row['standard_error']:.4f}"
            yield f"| {name} | {row['option']} | {row['dice']:.4f} | {gain} | {row['cost']:.1f} |"

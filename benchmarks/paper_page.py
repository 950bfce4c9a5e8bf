"""The page of the paper's table, docs/table.md, from what `paper_table.py` and `test_time.py` measured."""

import json
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from statistics import fmean, stdev
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
"""A network whose Dice is below this has not begun to learn, and no claim is answered from it, which is said."""


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
    by_steps = {steps: [cell for cell in measured if _steps(cell) == steps] for steps in map(_steps, measured)}
    for training_steps, chosen in sorted(by_steps.items(), key=lambda pair: len(pair[1]), reverse=True):
        yield from _accuracy_lines(training_steps, chosen, whole=chosen is max(by_steps.values(), key=len))
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


def _accuracy_lines(training_steps: int, measured: list[dict[str, Any]], *, whole: bool) -> Iterator[str]:
    """The tables of some number of training steps; `whole` ones also say what was not run."""
    dates = sorted({cell["date"] for cell in measured})
    machines = sorted({cell["machine"] for cell in measured})
    minutes = sorted(f"{cell['training_seconds'] / 60:3.0f}" for cell in measured)
    yield ""
    yield f"## Accuracy after {training_steps} training steps"
    yield ""
    yield (
        "On test, at the iteration that counts (the last), the mean over seeds and the standard deviation of one; "
        f"{_span(dates)}; {'; '.join(machines)}. mIoU is over both classes, Dice of the foreground. A cell took "
        f"{_span(minutes)} minutes beside other work; a few hundred training steps rank "
        "how fast networks learn, not how good they become. On roads the loss of all has a Dice term of weight 1: by "
        "cross-entropy alone U-Net-G finds no road in 1500 training steps."
    )
    for name in SETS if whole else sorted({cell["set"] for cell in measured}, key=SETS.index):
        yield ""
        yield f"### {name}"
        yield ""
        yield "| network | seeds | mIoU | Dice by iteration | relaxed F1 (3 px) | clDice |"
        yield "|---|---:|---:|---|---:|---:|"
        for network in (*LIGHT, *HEAVY):
            chosen = [cell for cell in measured if (cell["network"], cell["set"]) == (network, name)]
            if chosen or whole:
                yield _row(network, chosen)


def _span(values: list[str]) -> str:
    first, last = values[0].strip(), values[-1].strip()
    return first if first == last else f"{first} to {last}"


def _row(network: str, chosen: list[dict[str, Any]]) -> str:
    if not chosen:
        return f"| {network} | | not run | | | |"
    by_seed = [cell["test"]["iterations"] for cell in chosen]
    last = {figure: _mean([rows[-1][figure] for rows in by_seed]) for figure in FIGURES}
    spread = f" ± {stdev(rows[-1]['miou'] for rows in by_seed):.3f}" if len(by_seed) > 1 else ""
    dice = _by_iteration(chosen)
    return f"| {network} | {len(chosen)} | {last['miou']}{spread} | {dice} | {last['relaxed_f1']} | {last['cldice']} |"


def _by_iteration(chosen: list[dict[str, Any]]) -> str:
    by_seed = [cell["test"]["iterations"] for cell in chosen]
    return ", ".join(_mean([row["dice"] for row in rows]) for rows in zip(*by_seed, strict=True))


def _mean(values: list[float | None]) -> str:
    defined = [value for value in values if value is not None]
    return f"{fmean(defined):.3f}" if defined else ""


def _claim_lines(measured: list[dict[str, Any]]) -> Iterator[str]:
    """The paper's claims, answered set by set from the seeds that both networks have."""
    yield ""
    yield "## The paper's claims"
    yield ""
    yield "Differences are the mean over the seeds that both have, with its standard error."
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
    last = {
        (cell["training_steps"], cell["seed"], cell["network"]): cell["test"]["iterations"][-1]
        for cell in measured
        if cell["set"] == name and cell["network"] in (better, other)
    }
    answers = []
    for steps in sorted({steps for steps, _, _ in last}, reverse=True):
        seeds = [seed for of, seed, network in last if (of, network) == (steps, better) and (of, seed, other) in last]
        pairs = [(last[steps, seed, better], last[steps, seed, other]) for seed in seeds]
        begun = [pair for pair in pairs if min(row["dice"] or 0 for row in pair) >= LEARNED]
        points = [100 * (ours["miou"] - theirs["miou"]) for ours, theirs in begun]
        error = f" ± {stdev(points) / len(points) ** 0.5:.1f}" if len(points) > 1 else ""
        counted = f"{steps} training steps, {len(points)} seed{'s' * (len(points) != 1)}"
        if len(begun) < len(pairs):
            counted += f"; in {len(pairs) - len(begun)} more a network has not begun to learn"
        if points:
            answers.append(f"{fmean(points):+.1f}{error} points of mIoU ({counted})")
        elif pairs:
            answers.append(f"not answered ({counted})")
    return f"{name}: {'; '.join(answers) or 'not run'}."


def _gained(name: str, measured: list[dict[str, Any]]) -> str:
    shipped = json.loads((ROOT / "docs" / "results" / f"{name}-test.json").read_text())["iterations"]
    told = ["the shipped model " + ", ".join(f"{row['dice']:.3f}" for row in shipped)]
    of = [cell for cell in measured if (cell["set"], cell["network"]) == (name, "dru-4") and _has_begun(cell)]
    for steps, cells in groupby(sorted(of, key=_steps), _steps):
        told.append(f"{_by_iteration(list(cells))} after {steps} training steps")
    return f"{name}: Dice on test at iteration 1, 2, 3: {'; '.join(told)}."


def _has_begun(cell: dict[str, Any]) -> bool:
    return (cell["test"]["iterations"][-1]["dice"] or 0) >= LEARNED


def _steps(cell: dict[str, Any]) -> int:
    return int(cell["training_steps"])


def _test_time_lines(models: dict[str, dict[str, Any]]) -> Iterator[str]:
    yield ""
    yield "## More iterations than were trained"
    yield ""
    yield (
        "Dice of the shipped models on images of val, by `python benchmarks/test_time.py run --images 16`; they were "
        "trained with three iterations."
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

"""The paper's table, run cell by cell on this machine: what each network costs, and how good it becomes.

    python benchmarks/paper_table.py costs                                   # parameters, GFLOP and ms of every network
    python benchmarks/paper_table.py run --data ../shared/data --runs runs   # train and measure what is missing
    python benchmarks/paper_table.py run --networks unet-g dru-4 --sets roads --data ../shared/data --runs runs
    python benchmarks/paper_table.py show                                    # docs/table.md, from what was measured

A cell is one network trained on one set with one seed, by `src/napari_runet/training/recipes/<network>.toml` with the
same number of training steps for all (and a Dice term on roads, without which none of them finds a road). It is trained
in a folder of `--runs`, where it goes on when it is started again, chosen by val, measured once on test, and then kept
as a small file in docs/results/table. The heavy networks are trained where there is a GPU, and only costed elsewhere. A
cell that was not run says so.
"""

import argparse
import json
import platform
import time
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from napari_runet.inference.segmenter import load_model, place
from napari_runet.networks import build
from napari_runet.training.checkpoint import CHECKPOINT_FILE
from napari_runet.training.evaluation import evaluate
from napari_runet.training.loop import train
from napari_runet.training.pairs import read_pairs
from napari_runet.training.recipe import Recipe, read_recipe, table_recipes
from napari_runet.training.summary import summary
from paper_page import HEAVY, LIGHT, PAGE, REPEATS, RESULTS, ROOT, SETS, page

SIDE = 512
OF_A_SET = {"roads": {"dice_weight": 1.0}}
"""What all networks have otherwise on a set. Roads are a twentieth of the pixels: by cross-entropy alone U-Net-G takes
everything for background even after 1500 training steps, and with this finds roads within 400."""


def recipe_of(network: str, name: str, training_steps: int) -> Recipe:
    """The row's recipe with the number of training steps that all rows share, and what all have alike on this set."""
    recipe = read_recipe(table_recipes()[network])
    steps = {"training_steps": training_steps, "validate_every": min(recipe.validate_every, training_steps)}
    return recipe.model_copy(update=steps | OF_A_SET.get(name, {}))


def cell_file(network: str, name: str, seed: int, training_steps: int) -> Path:
    """Where a cell's figures are kept."""
    return RESULTS / f"{name}-{network}-{training_steps}-seed{seed}.json"


def run_cell(network: str, name: str, seed: int, options: argparse.Namespace) -> None:
    """Train a network on a set, or go on with it, and keep its figures."""
    file = cell_file(network, name, seed, options.training_steps)
    if file.exists():
        return
    recipe = recipe_of(network, name, options.training_steps)
    folder = options.runs / file.stem
    begun = (folder / CHECKPOINT_FILE).exists()
    print(f"{file.stem}: {'going on' if begun else 'training'}", flush=True)
    for report in train(recipe, options.data / name, folder, seed=seed, device=options.device, resume=begun):
        if report.dice is not None:
            dice = ", ".join(f"{value:.3f}" for value in report.dice)
            print(f"  step {report.training_step}: loss {report.loss:.3f}, Dice on val {dice}", flush=True)
    model = load_model(folder, device=options.device)
    figures = summary(evaluate(model, read_pairs(options.data / name / "test")), by_prefix=True)
    content = {
        "network": network,
        "set": name,
        "seed": seed,
        "training_steps": options.training_steps,
        "kept_step": model.card.training["training_steps"],
        "training_seconds": model.card.training["seconds"],
        "recipe": recipe.model_dump(mode="json"),
        "val": model.card.metrics["val"],
        "test": {key: value for key, value in figures.items() if key != "per_image"},
        "machine": machine(options.device),
        "date": time.strftime("%Y-%m-%d"),
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content, indent=1) + "\n")
    last = figures["iterations"][-1]
    print(f"  test: mIoU {last['miou']:.3f}, Dice {last['dice']:.3f}", flush=True)


def machine(device: str) -> str:
    """What it ran on, in words."""
    chip = torch.cuda.get_device_name() if device == "cuda" else f"{torch.get_num_threads()} threads of a CPU"
    return f"{chip}, {platform.system()} {platform.machine()}, torch {torch.__version__}"


def costs_of(network: str) -> dict[str, Any]:
    """Parameters, GFLOP (a multiplication and an addition count as two) and ms for one RGB image of 512 x 512."""
    recipe = read_recipe(table_recipes()[network])
    module = place(build(recipe.network), "cpu")
    image = torch.rand(1, 3, SIDE, SIDE).contiguous(memory_format=torch.channels_last)
    iterations = recipe.iterations
    with torch.inference_mode():
        with FlopCounterMode(display=False) as counter:
            module(image, iterations)
        times = []
        for _ in range(REPEATS):
            started = time.perf_counter()
            module(image, iterations)
            times.append(time.perf_counter() - started)
    return {
        "network": network,
        "iterations": iterations,
        "parameters": sum(tensor.numel() for tensor in module.parameters()),
        "gflop": counter.get_total_flops() / 1e9,
        "ms": 1000 * min(times),
    }


def write_costs() -> None:
    """Cost every network, in one run, so that their times can be compared."""
    rows = []
    for network in (*LIGHT, *HEAVY):
        row = costs_of(network)
        rows.append(row)
        print(f"{network:24} {row['parameters']:>12,} {row['gflop']:8.1f} GFLOP {row['ms']:8.0f} ms", flush=True)
    RESULTS.mkdir(parents=True, exist_ok=True)
    content = {"side": SIDE, "machine": machine("cpu"), "date": time.strftime("%Y-%m-%d"), "rows": rows}
    (RESULTS / "costs.json").write_text(json.dumps(content, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("costs", "run", "show"))
    parser.add_argument("--networks", nargs="+", default=list(LIGHT), choices=(*LIGHT, *HEAVY))
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=SETS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--training-steps", type=int, default=1500)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    if options.what == "costs":
        write_costs()
    if options.what == "run":
        if options.device == "cpu" and set(options.networks) & set(HEAVY):
            parser.error("the heavy networks are trained where there is a GPU; without one, `costs` has their rows")
        for seed, network, name in product(options.seeds, options.networks, options.sets):
            run_cell(network, name, seed, options)
    PAGE.write_text("\n".join(page()) + "\n")
    print(f"Written: {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()

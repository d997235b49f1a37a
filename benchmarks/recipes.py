"""Keeps training runs under version control, and writes the table of runs in reports/recipes.md.

    python benchmarks/recipes.py --keep NAME --run STORE/run/… --evaluation STORE/evaluation/… [--weights]
    python benchmarks/recipes.py

The first form copies the manifest, log and curves of a run, and the results of its evaluations, to reports/runs/NAME.
With --weights it also copies the weights, for the next warm start. Both forms then rewrite the table from all runs in
reports/runs/.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from iodine_kit.stages.package_model import LARGEST
from iodine_kit.store import Reference

FOLDER = Path(__file__).parent.parent / "reports"
RUNS, PAGE = FOLDER / "runs", FOLDER / "recipes.md"
BEGIN, END = "<!-- runs: written by benchmarks/recipes.py -->", "<!-- end of runs -->"
COPIED = ("manifest.json", "metrics.jsonl", "curves.svg")
HEAD = (
    "| run | images | time | seed | β | T, inferences per scene | FG-ARI | FG-mIoU | MSE | scenes |\n"
    "|---|---|---|---|---|---|---|---|---|---|"
)


def keep(name: str, run: Path, evaluations: list[Path], weights: bool) -> None:
    """Copy the files that describe a run to ``reports/runs/name``; existing files are replaced."""
    source = run / "weights.safetensors"
    if weights and source.stat().st_size > LARGEST:
        raise SystemExit(f"{source}: more than {LARGEST / 1e6:.0f} MB, which is too large to keep")
    place, temporary = RUNS / name, RUNS / f".{name}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    (temporary / "evaluations").mkdir(parents=True)
    for file in [*COPIED, *(["weights.safetensors"] if weights else [])]:
        shutil.copyfile(run / file, temporary / file)
    for evaluation in evaluations:
        kept = temporary / "evaluations" / f"{evaluation.name}.json"
        kept.write_text(json.dumps(_evaluation(evaluation), indent=2, ensure_ascii=False) + "\n", "utf-8")
    shutil.rmtree(place, ignore_errors=True)
    temporary.rename(place)


def _evaluation(place: Path) -> dict[str, Any]:
    """An evaluation's key, identity and facts, and the configuration of its data, without paths of this machine."""
    manifest = json.loads((place / "manifest.json").read_text("utf-8"))
    folder = place.parent.parent / Reference(**manifest["identity"]["inputs"]["dataset"]).directory
    data = json.loads((folder / "manifest.json").read_text("utf-8"))["identity"]["config"]
    return {name: manifest[name] for name in ("key", "identity", "facts")} | {"data": data}


def rows(name: str) -> list[str]:
    """A line of the table for every evaluation of a run."""
    place = RUNS / name
    run = json.loads((place / "manifest.json").read_text())
    found = [json.loads(path.read_text("utf-8")) for path in (place / "evaluations").glob("*.json")]
    found.sort(key=lambda one: (_scenes(one), one["facts"]["restarts"], one["facts"]["steps"]))
    lines = [_row("" if number else name, None if number else run, one) for number, one in enumerate(found)]
    return lines or [_row(name, run, None)]


def _scenes(evaluation: dict[str, Any]) -> str:
    """Number of scenes, split and seed of the data; a generated data set can be made again from its seed."""
    facts, seed = evaluation["facts"], evaluation["data"].get("seed")
    return f"{facts['scenes']} of '{facts['split']}', {'published' if seed is None else f'seed {seed}'}"


def _row(name: str, run: dict[str, Any] | None, evaluation: dict[str, Any] | None) -> str:
    first = [name, "", "", "", ""]
    if run:
        train, model = run["identity"]["config"]["train"], run["identity"]["config"]["model"]
        images, minutes = run["facts"]["steps"] * train["batch_size"], (run["facts"]["seconds_per_step"] or 0) / 60
        rising = train["kl_schedule"] != "constant"
        beta = f"{train['kl_from']:g} → {model['beta']:g}" if rising else f"{model['beta']:g}"
        first = [f"[{name}](runs/{name})", f"{images:,}", f"{run['facts']['steps'] * minutes:.0f} min"]
        first += [str(train["seed"]), beta]
    if not evaluation:
        return "| " + " | ".join([*first, "", "", "", "", ""]) + " |"
    facts = evaluation["facts"]
    scores = [_score(facts["metrics"].get(metric)) for metric in ("ari", "miou-fg", "mse")]
    rest = [f"T = {facts['steps']}, {facts['restarts']}", *scores, _scenes(evaluation)]
    return "| " + " | ".join([*first, *rest]) + " |"


def _score(metric: dict[str, Any] | None) -> str:
    if not metric or metric["mean"] is None:
        return "undefined" if metric else ""
    digits = 4 if metric["mean"] > 0.01 else 5
    low, high = metric["interval"] or (float("nan"), float("nan"))
    return f"{metric['mean']:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def write() -> None:
    """Replace the table between the marks of the page."""
    names = sorted(path.parent.name for path in RUNS.glob("*/manifest.json"))
    table = "\n".join([HEAD, *(line for name in names for line in rows(name))])
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        raise SystemExit(f"{PAGE}: the marks around the table are missing")
    PAGE.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}", "utf-8")


def main() -> None:
    """Read the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", metavar="NAME")
    parser.add_argument("--run", type=Path)
    parser.add_argument("--evaluation", type=Path, action="append", default=[])
    parser.add_argument("--weights", action="store_true")
    options = parser.parse_args()
    if (options.keep is None) != (options.run is None):
        parser.error("--keep and --run belong together")
    if options.keep:
        keep(options.keep, options.run, options.evaluation, options.weights)
    write()


if __name__ == "__main__":
    main()

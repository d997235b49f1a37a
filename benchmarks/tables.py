"""Makes reports/benchmarks/README.md of the results that lie there as JSON; no figure is written by hand."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any

from _measure import markdown_table, spread, verdict

_RESULTS = Path(__file__).parents[1] / "reports" / "benchmarks"
PORT = "port"
"""Name of the port among the variants."""
_HEAD = (
    "variant", "s/step, median (best)", "first step, s", "CPU s", "images/s", "GFLOP", "GFLOP/s", "of bare convolution",
    "MB, usual", "MB, returned", "MB, estimated", "MB, process",
)  # fmt: skip
_BESIDE = ("variant", "times as fast", "at a bare convolution's rate", "× FLOPs", "× MB, usual", "× MB, returned")
_ARI_HEAD = ("masks", "scenes", "ms", "ms, scikit-learn", "times as fast", "largest difference")
_WANTED = (
    ("closed form", "times as fast as the port", 3.0, False),
    ("inputs stopped", "times as fast as the port", 4.0, False),
    ("closed form", "× the port's FLOPs", 0.65, True),
    ("closed form", "× the port's MB, usual", 0.5, True),
    ("closed form", "of a bare convolution", 0.85, False),
)
"""What training was to reach beside the port: variant, figure, aim, and whether that is the most or the least."""
_TITLES = {
    "train_step": "Training",
    "infer": "Inference",
    "profile_step": "Where a training step spends its time",
    "metrics": "Metrics",
    "report": "Report",
}
_EXPLAINED = """# Benchmarks of training and inference

Made by `python benchmarks/tables.py` of the JSON files beside it, which hold every single measurement; how to measure
stands in [benchmarks/README.md](../../benchmarks/README.md).

- s/step: wall clock, variants in turn; a step is forward, all backward passes, clip and Adam (training), or the whole
  of `infer` on a batch. First step: with compilation, where there is one. CPU s: median of all threads together.
- GFLOP: by torch's counter. GFLOP/s: that over the median. Of bare convolution: GFLOP/s over those of a single hidden
  layer of the decoder, channels last, forward and both backward passes, measured in the same turns, whose rate stands
  above the table.
- Every variant has a process of its own. MB: the most it took, over what it had after a minute step; powers of ten.
  Usual: as it is. Returned: glibc told to give free memory back at once (`MALLOC_MMAP_THRESHOLD_=65536`), which is what
  `--estimate` foretells. Process: its largest resident memory, Python and torch included. On a GPU: torch's allocator.
- Where time goes: every operation by the clock on the wall, median; what is left of the step is outside operations.
- At a bare convolution's rate: times as fast as the other if all operations of a variant ran at the rate of that layer,
  which is as fast as it can be made without fewer operations.
- Metrics: CPU time; what several metrics share is shown by itself, "decodes" are those of masks after every decode.
- port: zhixuan-lin/IODINE on the same shape, as it is, its logging included.
"""


def page(results: list[Mapping[str, Any]]) -> str:
    """The whole page, for results in the order of their files."""
    return _EXPLAINED + "".join(f"\n{part}" for result in results for part in _sections(result))


def show(result: Mapping[str, Any]) -> None:
    """Print a result as it will stand on the page."""
    print("\n".join(_sections(result)), flush=True)


def _sections(result: Mapping[str, Any]) -> Iterator[str]:
    machine = result["machine"]
    yield f"## {_TITLES[result['program']]}: {machine['device']}, {machine['threads']} threads\n"
    yield f"{', '.join(machine['software'])}; {machine['processor']}, {machine['cores']} cores.\n"
    for name, shape in result["shapes"].items():
        yield f"### {name}: {shape['size']}², K={shape['slots']}, T={shape['steps']}, batch {shape['batch']}\n"
        yield f"{shape['date']}, commit {shape['commit']}: `{shape['command']}`\n"
        if result["program"] in _OTHERS:
            yield from _OTHERS[result["program"]](shape)
            continue
        rates = [
            f"{precision} {_rate(bare) / 1e9:,.0f} GFLOP/s" for precision, bare in shape["bare convolution"].items()
        ]
        yield f"Bare convolution: {', '.join(rates)}.\n"
        rows = [[name, *_figures(one, shape)] for name, one in shape["variants"].items()]
        yield markdown_table(_HEAD, rows)
        if result["program"] == "train_step" and PORT in shape["variants"]:
            yield "Wanted, and what came of it (at a bare convolution's rate nothing could be faster):\n"
            yield markdown_table(("variant", "figure", "reached", "", "at a bare rate"), list(_verdicts(shape)))
        for other in ("plain", PORT):
            if other in shape["variants"]:
                yield f"Beside {other}:\n"
                yield markdown_table(_BESIDE, list(_beside(shape, other)))


def _profile(shape: Mapping[str, Any]) -> Iterator[str]:
    whole = median(shape["clocked"])
    yield f"A step took {median(shape['wall']):.3f} s, and with a clock on every operation {whole:.3f} s.\n"
    kinds = [(kind, median(values)) for kind, values in shape["kinds"].items()]
    yield markdown_table(("what for", "s", "share"), [[kind, f"{s:.3f}", f"{s / whole:.0%}"] for kind, s in kinds])


def _metrics(shape: Mapping[str, Any]) -> Iterator[str]:
    yield "Foreground ARI beside a loop over scikit-learn's:\n"
    yield markdown_table(_ARI_HEAD, [_ari(name, one) for name, one in shape["ari"].items()])
    whole = shape["all"]
    before, first, last = (f"{whole['memory'][when] / 1e6:,.0f} MB" for when in ("before", "first", "last"))
    yield (
        f"All metrics over {whole['scenes']:,} scenes: {whole['wall']:.1f} s by the clock, "
        f"{verdict(whole['wall'], 60, most=True)}, {whole['cpu']:.1f} s of CPU. Largest memory: {before} at the start, "
        f"{first} after the first batch, {last} after the last.\n"
    )
    parts = sorted(whole["parts"].items(), key=lambda part: -part[1])
    rows = [[name, f"{seconds:.2f}", f"{1e6 * seconds / whole['scenes']:.1f}"] for name, seconds in parts]
    yield markdown_table(("what", "CPU s", "µs/scene"), rows)


def _ari(name: str, one: Mapping[str, Any]) -> list[str]:
    ours, theirs = (one["cpu"][whose] for whose in ("iodine-kit", "scikit-learn"))
    ratio = median(theirs) / median(ours)
    times = [spread([1000 * seconds for seconds in values], 1) for values in (ours, theirs)]
    return [name, str(one["scenes"]), *times, f"{ratio:.0f}, {verdict(ratio, 50)}", f"{one['difference']:.0e}"]


def _report(shape: Mapping[str, Any]) -> Iterator[str]:
    page, figures, megabytes = median(shape["page"]), median(shape["figures"]), shape["bytes"] / 1e6
    yield (
        f"{shape['scenes']:,} scenes, of which {shape['shown']:,} are on the page. Written in {page:.1f} s, its "
        f"figures in {figures:.1f} s: {verdict(page + figures, 20, most=True)}. {megabytes:.1f} MB: "
        f"{verdict(megabytes, 15, most=True)}."
    )
    if shape["opened"]:
        seconds = spread(shape["opened"], 2)
        yield f"Opened in {seconds} s: {verdict(median(shape['opened']), 2, most=True)}."
    yield ""


_OTHERS: Mapping[str, Callable[[Mapping[str, Any]], Iterator[str]]] = {
    "profile_step": _profile, "metrics": _metrics, "report": _report,
}  # fmt: skip
"""Programs whose figures are not those of variants of a step."""


def _figures(one: Mapping[str, Any], shape: Mapping[str, Any]) -> list[str]:
    wall, bare = median(one["wall"]), shape["bare convolution"][one["precision"]]
    usual = one["memory"]["usual"]
    return [
        f"{wall:.3f} ({min(one['wall']):.3f})",
        f"{one['first']:.1f}",
        f"{median(one['cpu']):.3f}",
        f"{shape['batch'] / wall:,.2f}",
        f"{one['flops'] / 1e9:,.1f}",
        f"{_rate(one) / 1e9:,.0f}",
        f"{_rate(one) / _rate(bare):.0%}",
        _megabytes(usual["peak"] - usual["before"]),
        _megabytes(_above(one, "returned")),
        _megabytes(one["estimate"]),
        _megabytes(usual["peak"]),
    ]


def _beside(shape: Mapping[str, Any], name: str) -> Iterator[list[str]]:
    """How the variants compare with one of them."""
    other = shape["variants"][name]
    for variant, one in shape["variants"].items():
        if variant == name:
            continue
        least = one["flops"] / _rate(shape["bare convolution"][one["precision"]])
        yield [
            variant,
            f"{median(other['wall']) / median(one['wall']):.2f}",
            f"{median(other['wall']) / least:.2f}",
            f"{one['flops'] / other['flops']:.2f}",
            *(_ratio(_above(one, way), _above(other, way)) for way in ("usual", "returned")),
        ]


def _verdicts(shape: Mapping[str, Any]) -> Iterator[list[str]]:
    variants, port = shape["variants"], shape["variants"][PORT]
    for name, figure, aim, most in _WANTED:
        if name not in variants:
            continue
        one, bare = variants[name], _rate(shape["bare convolution"]["float32"])
        reached = {
            "times as fast as the port": median(port["wall"]) / median(one["wall"]),
            "× the port's FLOPs": one["flops"] / port["flops"],
            "× the port's MB, usual": (_above(one, "usual") or 0) / (_above(port, "usual") or 1),
            "of a bare convolution": _rate(one) / bare,
        }[figure]
        limit = f"{median(port['wall']) * bare / one['flops']:.2f}" if figure.startswith("times") else ""
        yield [name, figure, f"{reached:.2f}", verdict(round(reached, 2), aim, most=most), limit]


def _rate(one: Mapping[str, Any]) -> float:
    return float(one["flops"] / median(one["wall"]))


def _above(one: Mapping[str, Any], way: str) -> int | None:
    memory = one["memory"].get(way)
    return memory["peak"] - memory["before"] if memory else None


def _ratio(one: int | None, other: int | None) -> str:
    return f"{one / other:.2f}" if one is not None and other else ""


def _megabytes(count: int | None) -> str:
    return "" if count is None else f"{count / 1e6:,.0f}"


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("folder", nargs="?", type=Path, default=_RESULTS, help="of the JSON files")
    folder = options.parse_args().folder
    files = sorted(folder.glob("*.json"))
    (folder / "README.md").write_text(page([json.loads(file.read_text("utf-8")) for file in files]), "utf-8")

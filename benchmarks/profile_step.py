"""Where a step of training spends its time: every operation is timed as it is called, and counted by what it is for.

What is left over the operations is Python, dispatch and autograd's own work. The clocks cost a little themselves; how
much, the two times of a step tell. Results go to reports/benchmarks/ as JSON, like those of ``train_step.py``.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from _engine import RESULTS
from _measure import machine_facts, origin, parser, write_result
from _shapes import CLOSED, SHAPES, TRAINING, Shape, Variant
from _steps import training_step
from tables import show
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from iodine_kit.system import keep_freed_memory

_ACTIVATIONS = ("elu", "exp2", "clamp", "maximum", "mul_", "sub_")
_PRODUCTS = ("mm", "bmm", "addmm", "baddbmm")


class Clocks(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Seconds of operations by what they are for."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seconds: defaultdict[str, float] = defaultdict(float)
        patch = shape.config.decoder.patch
        self._grid, self._last, self._hidden = -(-shape.size // patch), 4 * patch**2, shape.config.decoder.channels[-1]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        started = perf_counter()
        result = func(*args, **(kwargs or {}))
        self.seconds[self._kind(func.overloadpacket.__name__, args, result)] += perf_counter() - started
        return result

    def _kind(self, name: str, args: Any, result: Any) -> str:
        shapes = [value.shape for value in tree_leaves((args, result)) if isinstance(value, Tensor)]
        images = [shape for shape in shapes if len(shape) == 4 and shape[2] == shape[3] == self._grid]
        wide = [shape for shape in images if shape[1] == self._hidden]
        if name.startswith("convolution"):
            return self._convolution(shapes, len(wide) > 1)
        if name.startswith(_ACTIVATIONS) and (wide or name.startswith("elu")):
            return "ELU and its slope"
        return "matrix products" if name in _PRODUCTS else "likelihood, inputs, Adam and all else"

    def _convolution(self, shapes: list[torch.Size], hidden: bool) -> str:
        if any(len(shape) == 4 and shape[0] == self._last for shape in shapes):  # the weight of the last layer
            return "decoder's last convolution"
        return "decoder's hidden convolutions" if hidden else "refinement network's convolutions"


def main() -> None:
    """Print a table for each shape and leave the results in a file."""
    options = parser(__doc__, repetitions=5)
    options.add_argument("--shapes", nargs="+", choices=SHAPES, default=["35", "64", "128"], help="default: 35 64 128")
    options.add_argument("--threads", type=int, default=torch.get_num_threads(), help="default: one per core")
    options.add_argument("--variant", choices=TRAINING, default=CLOSED.name, help=f"default: {CLOSED.name}")
    given = options.parse_args()
    torch.set_num_threads(given.threads)
    keep_freed_memory()
    come_by = origin()
    result: dict[str, Any] = {"program": "profile_step", "machine": machine_facts("cpu", given.threads), "shapes": {}}
    for name in ["minute"] if given.quick else given.shapes:
        repetitions = 1 if given.quick else given.repetitions
        label = name if given.variant == CLOSED.name else f"{name}, {given.variant}"
        result["shapes"][label] = {**come_by, **profile(SHAPES[name], TRAINING[given.variant], repetitions)}
    show(result)
    if not given.quick:
        print(write_result(RESULTS, result))


def profile(shape: Shape, variant: Variant, repetitions: int) -> dict[str, Any]:
    """Seconds of whole steps without and with the clocks, and of operations by kind, a number for every repetition."""
    step = training_step(shape, variant, torch.device("cpu"))
    step(), step()
    bare, clocked, kinds = [], [], defaultdict(list)
    for _ in range(repetitions):
        bare.append(seconds(step))
        clocks = Clocks(shape)
        with clocks:
            clocked.append(seconds(step))
        for kind, value in clocks.seconds.items():
            kinds[kind].append(round(value, 6))
    kinds["outside operations"] = [
        round(whole - sum(values[turn] for values in kinds.values()), 6) for turn, whole in enumerate(clocked)
    ]
    order = sorted(kinds, key=lambda kind: -median(kinds[kind]))
    facts = {"size": shape.size, "batch": shape.batch, "slots": shape.config.slots, "steps": shape.config.steps}
    return {**facts, "wall": bare, "clocked": clocked, "kinds": {kind: kinds[kind] for kind in order}}


def seconds(step: Any) -> float:
    """Of one call, on the wall's clock."""
    started = perf_counter()
    step()
    return round(perf_counter() - started, 6)


if __name__ == "__main__":
    main()

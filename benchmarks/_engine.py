"""What ``train_step.py`` and ``infer.py`` share: options, measuring a shape in all its variants, results as JSON."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import _steps
import torch
from _measure import machine_facts, origin, parser, write_result
from _shapes import INFERENCE, ON_CPU, SHAPES, TRAINING, USUAL, Shape, Variant
from _steps import Step
from tables import PORT, show

RESULTS = Path(__file__).parents[1] / "reports" / "benchmarks"
_BARE = "bare "
"""With a precision after it, the variant that is nothing but a convolution."""
AT_ONCE = {"MALLOC_MMAP_THRESHOLD_": "65536"}
"""Makes glibc give memory back as soon as it is free, instead of keeping it for later."""


@dataclass(frozen=True)
class Kind:
    """Training or inference: its variants, and what makes their steps and the port's."""

    variants: Mapping[str, Variant]
    ours: Callable[[Shape, Variant, torch.device], Step]
    port: Callable[[Shape, Path, torch.device], Step]


KINDS = {
    "train": Kind(TRAINING, _steps.training_step, _steps.port_training_step),
    "infer": Kind(INFERENCE, _steps.inference_step, _steps.port_inference_step),
}


@dataclass(frozen=True)
class Case:
    """One variant of one shape, and where it runs; ``batch`` 0 is the shape's own."""

    kind: str
    name: str
    variant: str
    device: str
    threads: int
    batch: int
    port: str

    @property
    def shape(self) -> Shape:
        """The shape, with the number of images that was asked for."""
        shape = SHAPES[self.name]
        return replace(shape, batch=self.batch or shape.batch)

    @property
    def precision(self) -> str:
        """Of products and convolutions."""
        if self.variant.startswith(_BARE):
            return self.variant.removeprefix(_BARE)
        return "float32" if self.variant == PORT else KINDS[self.kind].variants[self.variant].precision

    @property
    def compiled(self) -> bool:
        """Whether ``torch.compile`` makes the step."""
        variant = KINDS[self.kind].variants.get(self.variant)
        return variant is not None and variant.compiled

    def step(self, *, eager: bool = False) -> Step:
        """A newly built step; ``eager`` leaves compilation out."""
        kind, device = KINDS[self.kind], torch.device(self.device)
        if self.variant.startswith(_BARE):
            return _steps.bare_convolution(self.shape, self.precision, device)
        if self.variant == PORT:
            return kind.port(self.shape, Path(self.port), device)
        variant = kind.variants[self.variant]
        return kind.ours(self.shape, replace(variant, compiled=variant.compiled and not eager), device)

    def estimate(self) -> int | None:
        """Peak memory that the estimate foretells, for our training."""
        if self.kind != "train" or self.variant == PORT:
            return None
        from iodine_kit.training.estimate import estimate_step

        shape = self.shape
        model = _steps.build(shape, TRAINING[self.variant])
        return estimate_step(model, shape.batch, shape.size, shape.size).peak_bytes


class Worker:
    """A process that takes a case's step whenever it is asked to; see ``_worker.py``.

    Attributes:
        flops: of a step.
        first: seconds of the first step, compilation included.
        wall, cpu: seconds of every step so far.
        memory: of the process, ``before`` and at its ``peak``, bytes.
    """

    def __init__(self, case: Case, environment: Mapping[str, str] | None = None) -> None:
        self._case = case
        command = [sys.executable, str(Path(__file__).with_name("_worker.py")), json.dumps(asdict(case))]
        self._process = subprocess.Popen(
            command, env={**os.environ, **(environment or {})}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        first = self._answer()
        self.flops: int = first["flops"]
        self.first: float = round(first["first"], 3)
        self.memory: dict[str, int] = {"before": first["before"], "peak": first["before"]}
        self.wall: list[float] = []
        self.cpu: list[float] = []

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.communicate()

    def step(self) -> None:
        """Have one step taken and measured."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        answer = self._answer()
        self.wall.append(round(answer["wall"], 6))
        self.cpu.append(round(answer["cpu"], 6))
        self.memory["peak"] = answer["peak"]

    def result(self) -> dict[str, Any]:
        """All measurements."""
        return {"wall": self.wall, "cpu": self.cpu, "flops": self.flops, "first": self.first}

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._case.name}, {self._case.variant}: the process ended in {self._process.wait()}")
        return json.loads(line)  # type: ignore[no-any-return]


def measure(program: str, kind: str, doc: str | None) -> None:
    """Measure as the command line says, print a table for each shape, and leave the results in a file."""
    given = _options(kind, doc)
    machine, come_by = machine_facts(given.device, given.threads), origin()
    result: dict[str, Any] = {"program": program, "machine": machine, "shapes": {}}
    for name in given.shapes:
        variants = [*given.variants, *[PORT] * bool(given.port)]
        common = (given.device, given.threads, given.batch_size, given.port)
        cases = [Case(kind, name, variant, *common) for variant in variants]
        result["shapes"][name] = {**come_by, **_shape(cases, given.repetitions, given.seconds)}
        show({**result, "shapes": {name: result["shapes"][name]}})
    if given.output:
        print(write_result(given.output, result))


def _options(kind: str, doc: str | None) -> argparse.Namespace:
    options = parser(doc, repetitions=7)
    variants = KINDS[kind].variants
    options.add_argument("--shapes", nargs="+", choices=SHAPES, help=f"default: {', '.join(USUAL)}")
    options.add_argument("--variants", nargs="+", choices=variants, help="default: those that the device is good for")
    options.add_argument("--port", metavar="DIR", default="", help="a checkout of zhixuan-lin/IODINE, to compare with")
    options.add_argument("--device", default="cpu", help="cpu (default), cuda, cuda:1 …")
    options.add_argument("--threads", type=int, default=os.cpu_count(), help="default: one per core")
    options.add_argument("--batch-size", type=int, default=0, help="images of a step, instead of each shape's own")
    options.add_argument("--seconds", type=float, default=60, help="no new turn of a shape after so long (60)")
    options.add_argument(
        "--output", metavar="DIR", type=Path, help="of the results (reports/benchmarks; with --quick none)"
    )
    given = options.parse_args()
    usual = [name for name in variants if name in ON_CPU or not given.device.startswith("cpu")]
    given.variants = given.variants or usual
    given.shapes = given.shapes or (["minute"] if given.quick else USUAL)
    given.repetitions = 1 if given.quick else given.repetitions
    given.output = given.output or (None if given.quick else RESULTS)
    return given


def _shape(cases: Sequence[Case], repetitions: int, seconds: float) -> dict[str, Any]:
    """All variants of a shape, in turn, with the bare convolution among them; one turn goes before, unmeasured."""
    precisions = sorted({case.precision for case in cases})
    bare_cases = [replace(cases[0], variant=_BARE + precision) for precision in precisions]
    with ExitStack() as stack:
        workers = [stack.enter_context(Worker(case)) for case in cases]
        bare = [stack.enter_context(Worker(case)) for case in bare_cases]
        started = perf_counter()
        for turn in range(repetitions):
            if turn and perf_counter() - started > seconds:
                break
            for worker in [*workers, *bare, *bare, *bare]:
                worker.step()
    shape = cases[0].shape
    return {
        "size": shape.size,
        "batch": shape.batch,
        "slots": shape.config.slots,
        "steps": shape.config.steps,
        "bare convolution": {name: worker.result() for name, worker in zip(precisions, bare, strict=True)},
        "variants": {
            case.variant: {
                **worker.result(),
                "precision": case.precision,
                "memory": {"usual": worker.memory, **_returned(case)},
                "estimate": case.estimate(),
            }
            for case, worker in zip(cases, workers, strict=True)
        },
    }


def _returned(case: Case) -> dict[str, dict[str, int]]:
    """Memory on a CPU where what is free is given back at once."""
    if case.device != "cpu":
        return {}
    with Worker(case, AT_ONCE) as worker:
        worker.step()
    return {"returned": worker.memory}

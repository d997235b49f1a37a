"""One variant of one shape in a process of its own, for ``train_step.py`` and ``infer.py``: a step per line of input.

Answers in JSON, a line each: first the memory it had before and a step's operations, then the time of every step and
the most memory so far, in seconds and bytes. A minute step goes before all, so that torch's libraries are there by
then. On a GPU memory is that of torch's allocator.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from _engine import AT_ONCE, KINDS, PORT, Case
from _shapes import PLAIN, SHAPES
from _steps import count_flops, timed

from iodine_kit.system import keep_freed_memory
from iodine_kit.training.memory import resident_bytes
from iodine_kit.training.resources import peak_bytes


def main() -> None:
    """Answer until the input ends."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("case", help="as JSON")
    case = Case(**json.loads(options.parse_args().case))
    torch.set_num_threads(case.threads)
    if case.variant != PORT and not AT_ONCE.keys() & os.environ.keys():
        keep_freed_memory()  # as training and inference do
    device = torch.device(case.device)
    KINDS[case.kind].ours(SHAPES["minute"], PLAIN, device)()
    before = _memory_now(device)
    step = case.step()
    started = perf_counter()
    flops = count_flops(case.step(eager=True) if case.compiled else step)  # what is compiled hides from the counter
    if case.compiled:
        started = perf_counter()
        step()
    _answer(before=before, flops=flops, first=perf_counter() - started)
    for _ in sys.stdin:
        time = timed(step, device, case.precision)
        _answer(wall=time.wall, cpu=time.cpu, peak=peak_bytes(device))


def _answer(**values: Any) -> None:
    print(json.dumps(values), flush=True)


def _memory_now(device: torch.device) -> int:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    return resident_bytes()


if __name__ == "__main__":
    main()

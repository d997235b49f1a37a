"""A training step of every released network equals what the released code computed (float64; see release/README.md).

Tolerance: 1e-10, relative to the largest value of an array, a variable's gradient norm, or a sum's sum of magnitudes.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from golden.recipe import Numbers, numbers, variables
from golden.step import loaded, step

TOLERANCE = 1e-10
FIRST, LAST = 0, 4
NETS = [
    "tetrominoes",
    pytest.param("multi_dsprites", marks=pytest.mark.slow),
    pytest.param("clevr6", marks=pytest.mark.slow),
]


@pytest.fixture(scope="module", params=NETS)
def both(request: pytest.FixtureRequest) -> Iterator[tuple[Numbers, dict[str, np.ndarray], list[str]]]:
    """The released code's values, ours, and the names of the variables."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    theirs = numbers(request.param)
    weights = variables(theirs)
    ours = step(loaded(f"release-{request.param.replace('_', '-')}", weights), theirs)
    yield theirs, ours, list(weights)
    torch.set_num_threads(threads)


def error(ours: np.ndarray, theirs: np.ndarray, scale: float | None = None) -> float:
    """The largest difference, relative to ``scale`` or the largest value."""
    assert ours.shape == theirs.shape
    return float(np.abs(ours - theirs).max() / (np.abs(theirs).max() if scale is None else scale))


@pytest.mark.parametrize("what", ["zp", "nll", "kl"])
def test_every_decode(what: str, both: tuple[Numbers, dict[str, np.ndarray], list[str]]) -> None:
    theirs, ours, _ = both
    assert max(error(ours[f"{what}/{t}"], theirs[f"{what}/{t}"]) for t in range(6)) < TOLERANCE


def test_the_slot_of_every_pixel(both: tuple[Numbers, dict[str, np.ndarray], list[str]]) -> None:
    theirs, ours, _ = both
    for t in range(6):
        assert np.array_equal(ours[f"slot/{t}"], theirs[f"slot/{t}"])
        assert len(np.unique(theirs[f"slot/{t}"])) > 1


def test_loss_and_its_terms(both: tuple[Numbers, dict[str, np.ndarray], list[str]]) -> None:
    theirs, ours, _ = both
    assert max(error(ours[name], theirs[name]) for name in ("loss", "recons", "kl_sum")) < TOLERANCE


def test_every_refinement_input(both: tuple[Numbers, dict[str, np.ndarray], list[str]]) -> None:
    theirs, ours, _ = both
    names = [name.partition("/")[2] for name in theirs if name.startswith("in_first/")]
    assert len(names) == 14
    slots = ours["zp/0"].shape[1]
    for name in names:
        first, last = (_as_theirs(name, ours[f"in/{t}/{name}"], slots) for t in (FIRST, LAST))
        stated = theirs[f"in_first/{name}"]
        assert error(first.ravel()[: len(stated)], stated, np.abs(first).max()) < TOLERANCE, name
        for values, key in ((first, f"in_sum/{name}"), (last, f"in_last_sum/{name}")):
            total, magnitude, square = theirs[key]
            assert error(values.sum(), total, magnitude) < TOLERANCE, key
            assert error(np.abs(values).sum(), magnitude) < TOLERANCE, key
            assert error((values**2).sum(), square) < TOLERANCE, key


def test_every_gradient(both: tuple[Numbers, dict[str, np.ndarray], list[str]]) -> None:
    theirs, ours, names = both
    for name, norm, first in zip(names, theirs["grad_norm"], theirs["grad_first"], strict=True):
        gradient = ours[f"grad/{name}"]
        assert error(np.linalg.norm(gradient.ravel()), norm) < TOLERANCE, name
        assert error(gradient.ravel()[0], first, norm) < TOLERANCE, name


def _as_theirs(name: str, values: np.ndarray, slots: int) -> np.ndarray:
    """Repeat the constant for every slot and keep one log-likelihood for all slots, as in the files."""
    if name == "capacity":
        return np.repeat(values, slots, 1)
    return values[:, :1] if name == "log_prob" else values

"""The versions in pyproject.toml, constraints.txt and constraints-lowest.txt belong together."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = {name: lines for name, lines in PROJECT["optional-dependencies"].items() if name != "blender"}
"""Without Blender's module, which is best kept in an environment of its own."""
REQUIREMENTS = [Requirement(line) for lines in (PROJECT["dependencies"], *EXTRAS.values()) for line in lines]


def pins(name: str) -> dict[str, Version]:
    lines = (ROOT / name).read_text("utf-8").splitlines()
    pinned = (line.split("==") for line in lines if line and not line.lstrip().startswith("#"))
    return {canonicalize_name(name): Version(version) for name, version in pinned}


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=lambda requirement: requirement.name)
def test_each_requirement_is_one_lower_bound_and_the_pinned_version_meets_it(requirement: Requirement) -> None:
    assert [bound.operator for bound in requirement.specifier] == [">="]
    assert pins("constraints.txt")[canonicalize_name(requirement.name)] in requirement.specifier


def test_the_lowest_versions_are_those_of_pyproject() -> None:
    lowest = {canonicalize_name(r.name): Version(bound.version) for r in REQUIREMENTS for bound in r.specifier}
    del lowest["torch"]  # make test-lowest reads it from pyproject.toml, so that TORCH= can replace it
    pinned = pins("constraints-lowest.txt")
    differing = {name: f"{pinned.get(name)}, not {low}" for name, low in lowest.items() if pinned.get(name) != low}
    assert not differing, "write constraints-lowest.txt again with the command in its first lines"


def test_the_lowest_versions_leave_the_choice_of_torch_to_make() -> None:
    assert not {"torch", "sympy", "triton"} & pins("constraints-lowest.txt").keys()

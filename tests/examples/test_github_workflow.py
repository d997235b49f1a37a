"""The workflow to copy: its structure is what GitHub Actions expects, and its commands run from an empty folder."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import WARM
from support import TINY

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "examples" / "github-workflow.yml").read_text("utf-8")
WORKFLOW: dict[Any, Any] = yaml.safe_load(TEXT)
STEPS: list[dict[str, Any]] = WORKFLOW["jobs"]["experiment"]["steps"]
INSTALL = next(step["run"] for step in STEPS if step.get("name") == "Install")
CONTEXTS = {"github.run_id", "github.run_attempt"}


def test_the_structure_is_that_of_a_workflow() -> None:
    assert set(WORKFLOW) == {
        "name",
        True,
        "concurrency",
        "env",
        "jobs",
    }  # YAML 1.1 reads the key "on" as true, and so does GitHub
    outputs = {f"steps.{step['id']}.outputs.key" for step in STEPS if "id" in step}
    for step in STEPS:
        assert ("uses" in step) != ("run" in step) and set(step) <= {"name", "id", "if", "uses", "run", "with"}
        assert "run" not in step or "${{" not in step["run"]  # values reach the shell as variables only
        assert re.fullmatch(r"actions/[a-z/-]+@v\d+", step.get("uses", "actions/x@v1"))
        named = set(re.findall(r"\$\{\{ (\S+) \}\}", str(step.get("with", ""))))
        assert named <= outputs | CONTEXTS | {f"env.{name}" for name in WORKFLOW["env"]}
    restore, save = (step for step in STEPS if "actions/cache" in step.get("uses", ""))
    assert restore["with"]["key"] == save["with"]["key"] and "always()" in save["if"]
    assert restore["with"]["path"] == save["with"]["path"] == "${{ env.IODINE_KIT_STORE }}"
    (python,) = (step["with"] for step in STEPS if "setup-python" in step.get("uses", ""))
    assert python["cache"] == "pip" and "copy it to " + python["cache-dependency-path"] in TEXT
    names = [step.get("name", step.get("uses")) for step in STEPS]
    assert names.index("actions/cache/save@v4") - 1 == next(n for n, name in enumerate(names) if "Remove" in name)


def program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def bash(command: str, folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a step as GitHub does."""
    return subprocess.run(
        ["bash", "-e", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_the_commit_is_installed_with_its_constraints_once_it_is_named(tmp_path: Path) -> None:
    for name in ("git", "pip"):  # nobody has published a package of this name, so it is cloned
        program(tmp_path / name, f'echo {name} "$@"')
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    environment = {**WORKFLOW["env"], "RUNNER_TEMP": "/runner", "PATH": path}
    named = {"IODINE_KIT": "https://example.org/kit", "COMMIT": "04fdc35"}
    for wrong in ({}, {"COMMIT": named["COMMIT"]}, {"IODINE_KIT": named["IODINE_KIT"]}):
        refused = bash(INSTALL, tmp_path, environment | wrong)
        assert refused.returncode == 1 and refused.stdout.startswith("::error::replace IODINE_KIT and COMMIT")
        assert "git" not in refused.stdout
    assert bash(INSTALL, tmp_path, environment | named).stdout.splitlines() == [
        "git clone --quiet https://example.org/kit /runner/iodine-kit",
        "git -C /runner/iodine-kit checkout --quiet 04fdc35",
        "pip install --constraint /runner/iodine-kit/constraints.txt /runner/iodine-kit",
    ]


@pytest.mark.parametrize(("status", "told"), [(75, True), (11, False)])
def test_a_run_that_stopped_in_time_is_to_be_continued(tmp_path: Path, status: int, told: bool) -> None:
    (step,) = (step["run"] for step in STEPS if step.get("name") == "Prepare, train and infer")
    program(tmp_path / "iodine-kit", f'[ "$1" != train ] || exit {status}')
    done = bash(step, tmp_path, {**WORKFLOW["env"], "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"})
    assert done.returncode == status and ("Re-run jobs" in done.stdout) == told


@pytest.mark.slow
def test_its_commands_run_from_an_empty_folder_and_fail_below_the_threshold(tmp_path: Path) -> None:
    folder, bin_ = tmp_path / "repository", tmp_path / "bin"
    folder.mkdir()
    model = "".join(f"{setting}\n".removeprefix("model.") for setting in TINY if setting.startswith("model."))
    text = (
        f"[prepare]\ndataset = 'tetrominoes'\ngenerate = 20\n[dataset]\ncell = 2\n[train]\nsteps = 2\n[model]\n{model}"
    )
    (folder / WORKFLOW["env"]["PIPELINE"]).write_text(text)
    files = {name: tmp_path / name for name in ("GITHUB_ENV", "GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    environment = {
        **os.environ, **WORKFLOW["env"], **{name: str(path) for name, path in files.items()},
        "PATH": f"{bin_}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    statuses = {}
    with WARM.program(bin_):
        for step in STEPS:
            if "run" not in step or step["run"] == INSTALL:
                continue
            done = bash(step["run"], folder, environment)
            statuses[step["name"]] = done.returncode
            assert done.returncode in (0, 17), f"{step['name']}: {done.stderr}"
            if files["GITHUB_ENV"].exists():
                lines = files["GITHUB_ENV"].read_text().splitlines()
                environment |= dict(line.split("=", 1) for line in lines)
    gate = STEPS[-1]["name"]
    assert {name for name, status in statuses.items() if status} == {gate}  # two steps do not train a model
    assert files["GITHUB_OUTPUT"].read_text().startswith("key=iodine-kit-")
    assert "<html" in (folder / "report.html").read_text("utf-8") and "ARI" in files["GITHUB_STEP_SUMMARY"].read_text()
    assert len(files["GITHUB_STEP_SUMMARY"].read_text().splitlines()) < 30
    assert (folder / WORKFLOW["env"]["IODINE_KIT_STORE"] / "evaluation").is_dir()

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
WORKFLOW: dict[Any, Any] = yaml.safe_load((ROOT / "examples" / "github-workflow.yml").read_text("utf-8"))
STEPS: list[dict[str, Any]] = WORKFLOW["jobs"]["experiment"]["steps"]
INSTALL = 'pip install "$IODINE_KIT"'
CONTEXTS = {"github.run_id", "github.run_attempt"}


def test_the_structure_is_that_of_a_workflow() -> None:
    assert set(WORKFLOW) == {"name", True, "env", "jobs"}  # YAML 1.1 reads the key "on" as true, and so does GitHub
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
    assert [step["run"] for step in STEPS if step.get("name") == "Install"] == [INSTALL]
    assert WORKFLOW["env"]["IODINE_KIT"].startswith("git+https://")  # nobody has published a package of this name


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
            command = ["bash", "-e", "-c", step["run"]]
            done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
            statuses[step["name"]] = done.returncode
            assert done.returncode in (0, 17), f"{step['name']}: {done.stderr}"
            if files["GITHUB_ENV"].exists():
                lines = files["GITHUB_ENV"].read_text().splitlines()
                environment |= dict(line.split("=", 1) for line in lines)
    gate = STEPS[-1]["name"]
    assert {name for name, status in statuses.items() if status} == {gate}  # two steps do not train a model
    assert files["GITHUB_OUTPUT"].read_text().startswith("key=iodine-kit-")
    assert "<html" in (folder / "report.html").read_text("utf-8") and "ARI" in files["GITHUB_STEP_SUMMARY"].read_text()
    assert (folder / WORKFLOW["env"]["IODINE_KIT_STORE"] / "evaluation").is_dir()

"""``import iodine_kit``: fast, lazy, and typed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import iodine_kit as ik

ROOT = Path(__file__).parents[3]

TYPED = """
import numpy as np
import torch
import iodine_kit as ik

masks = np.zeros((1, 4, 4), np.int64)
reveal_type(ik.score(masks, torch.from_numpy(masks)))
model = ik.load_model("pretrained:tetrominoes")
reveal_type(model.segment(masks).soft_mask)
reveal_type(ik.load_dataset("tetrominoes")[0])
reveal_type(ik.generate("tetrominoes", 2)[:1])
reveal_type(ik.evaluate(masks, masks).metrics["ari"].mean)
reveal_type(ik.run("quickstart")["run"].path)
ik.score(masks, "masks")
ik.load_model(1)
ik.scores
"""


def test_import_loads_nothing_heavy_and_names_load_on_use() -> None:
    script = (
        "import sys, iodine_kit as ik\n"
        "heavy = {'torch', 'numpy', 'scipy', 'pandas', 'h5py', 'pydantic', 'PIL'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
        "ik.score, ik.evaluate, ik.generate, ik.load_dataset, ik.load_model, ik.segmentation_figure\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "False"]


def test_every_public_name_is_listed_documented_and_there() -> None:
    assert dir(ik) == sorted([*ik.__all__, "__version__"])
    assert {"Artifact", "DatasetInfo", "Scene", "SceneBatch", "load_model", "score"} <= set(ik.__all__)
    for name in ik.__all__:
        assert getattr(ik, name).__doc__, name
    with pytest.raises(AttributeError, match="module 'iodine_kit' has no attribute 'scores'"):
        ik.scores  # noqa: B018


@pytest.mark.slow
def test_a_type_checker_sees_the_types_of_the_public_names(tmp_path: Path) -> None:
    script = tmp_path / "typed.py"
    script.write_text(TYPED)
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", str(script)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    lines = [line.partition("typed.py:")[2] for line in done.stdout.splitlines()]
    revealed = [line.partition("Revealed type is ")[2].replace("builtins.", "") for line in lines if "Revealed" in line]
    assert len(revealed) == 6, done.stdout + done.stderr
    assert "dict[str, numpy.ndarray[" in revealed[0] and "float64" in revealed[0]
    assert "numpy.ndarray" in revealed[1] and "floating" in revealed[1]
    assert [kind.strip('"') for kind in revealed[2:]] == [
        "iodine_kit.records.Scene", "iodine_kit.api.scenes.SceneBatch", "float | None", "pathlib.Path",
    ]  # fmt: skip
    errors = [line for line in lines if " error: " in line]
    assert len(errors) == 3 and "arg-type" in errors[0] and "arg-type" in errors[1] and "attr-defined" in errors[2]

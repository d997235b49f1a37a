"""A third-party metric is held to the contract before anything is scored."""

from __future__ import annotations

from pathlib import Path

import pytest

from iodine_kit.errors import UnknownNameError
from iodine_kit.stages import evaluate

METRIC = """
TITLE, CONVENTION, NEEDS, BETTER, BY_STEP = "Half", "0.5 for every scene.", None, "higher", False
VERSION = 1
def score(comparison): raise AssertionError("scored without a unit")
"""


def test_a_third_party_metric_without_a_unit_is_refused_with_one_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "unitless_lab").mkdir()
    (tmp_path / "unitless_lab" / "half.py").write_text(METRIC)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UnknownNameError, match=r"unitless_lab\.half.* UNIT$"):
        evaluate.configure({"eval": {"metrics": ["unitless_lab.half", "ari"]}})

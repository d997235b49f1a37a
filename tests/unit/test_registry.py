from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from iodine_kit.errors import UnknownNameError
from iodine_kit.registry import Registry


def _package(folder: Path) -> None:
    package = folder / "shop_of_metrics"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "mean_iou.py").write_text("VERSION = 3\n")
    (package / "_helper.py").write_text("raise RuntimeError('helpers are not plug-ins')\n")
    (package / "broken.py").write_text("raise RuntimeError('only loading this one may fail')\n")


def test_one_new_file_is_a_plugin_and_nothing_else_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _package(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    registry: Registry[ModuleType] = Registry("metric", "shop_of_metrics")
    assert registry.names() == ["broken", "mean-iou"]
    assert registry.load("mean-iou").VERSION == 3


@pytest.mark.parametrize(("name", "hint"), [("arri", "did you mean 'ari'?"), ("zzzz", "known: ap, ari, ari-all")])
def test_an_unknown_name_gets_a_hint(name: str, hint: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        Registry[ModuleType]("metric", "iodine_kit.metrics").load(name)
    assert str(caught.value).startswith(f"no metric is called '{name}'") and hint in str(caught.value)


def test_a_helper_cannot_be_loaded_as_a_plugin() -> None:
    with pytest.raises(UnknownNameError):
        Registry[ModuleType]("metric", "iodine_kit.metrics").load("_rand_index")

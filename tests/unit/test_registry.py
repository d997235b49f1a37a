from __future__ import annotations

import importlib.metadata
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Protocol

import pytest

from iodine_kit import registry
from iodine_kit.errors import UnknownNameError
from iodine_kit.registry import Registry


class Metric(Protocol):
    VERSION: int

    def score(self) -> float: ...


def _registry(package: str = "shop_of_metrics") -> Registry[ModuleType]:
    return Registry("metric", package, Metric)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    package = tmp_path / "shop_of_metrics"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "mean_iou.py").write_text("VERSION = 3\n")
    (package / "_third_party.py").touch()
    (package / "_helper.py").write_text("raise RuntimeError('helpers are not plug-ins')\n")
    (package / "broken.py").write_text("raise RuntimeError('only loading this one may fail')\n")
    monkeypatch.syspath_prepend(tmp_path)
    return package


def test_one_new_file_is_a_plugin_and_no_other_file_is_imported(shop: Path) -> None:
    registry = _registry()
    assert registry.names() == ["broken", "mean-iou"]
    assert registry.load("mean-iou").VERSION == 3


@pytest.mark.parametrize(("name", "hint"), [("arri", "did you mean 'ari'?"), ("zzzz", "known: ap, ari, ari-all")])
def test_the_error_for_an_unknown_name_suggests_a_known_one(name: str, hint: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        _registry("iodine_kit.metrics").load(name)
    assert str(caught.value).startswith(f"no metric is called '{name}'") and hint in str(caught.value)


def test_a_helper_cannot_be_loaded_as_a_plugin() -> None:
    with pytest.raises(UnknownNameError):
        _registry("iodine_kit.metrics").load("_contingency")


def test_one_error_names_everything_that_a_third_party_plugin_does_not_define(shop: Path) -> None:
    with pytest.raises(UnknownNameError) as caught:
        _registry().load("shop_of_metrics._third_party")
    expected = "'shop_of_metrics._third_party' is not a valid metric: it does not define VERSION, score"
    assert str(caught.value) == expected


def test_the_error_for_a_third_party_plugin_that_fails_on_import_gives_the_reason(shop: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"'shop_of_metrics.broken' cannot be imported: only loading this one"):
        _registry().load("shop_of_metrics.broken")


def test_installed_packages_are_searched_once_per_family(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every search reads a file of each installed package: for a matrix of 1000 members it took most of the time."""
    searches = Counter[str]()

    def search(**options: str) -> importlib.metadata.EntryPoints:
        searches[options["group"]] += 1
        return importlib.metadata.entry_points(**options)

    monkeypatch.setattr(registry, "entry_points", search)
    monkeypatch.syspath_prepend(tmp_path)
    for family in ("metrics", "models", "metrics"):
        assert _registry(f"iodine_kit.{family}").names() == _registry(f"iodine_kit.{family}").built_in()
    assert searches == {"iodine_kit.metrics": 1, "iodine_kit.models": 1}
    (tmp_path / "new-1.dist-info").mkdir()
    (tmp_path / "new-1.dist-info" / "entry_points.txt").write_text("[iodine_kit.metrics]\nnew = new\n")
    monkeypatch.syspath_prepend(tmp_path / "more")  # of a package that is found from now on
    assert "new" in _registry("iodine_kit.metrics").names()

"""Workers whose code would make other bytes are refused by the name of what differs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from iodine_kit.errors import ConfigError
from iodine_kit.registry import Registry, third_party
from iodine_kit.units import versions as module
from iodine_kit.units.versions import PACKAGES, check_versions, versions


class Anything:
    """A contract that requires nothing."""


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = set(third_party)
    yield
    third_party.clear()
    third_party.update(before)


@pytest.mark.parametrize("name", ["Python", "iodine-kit", *PACKAGES])
def test_another_version_is_named_with_both_versions(name: str) -> None:
    own = versions()
    assert check_versions(own) == ""
    with pytest.raises(ConfigError, match=rf" has {name} \S.*, but this process has {name} 0\.1: install the same"):
        check_versions({**own, name: "0.1"})


def test_everything_that_differs_is_named_and_nothing_else() -> None:
    with pytest.raises(ConfigError) as caught:
        check_versions({**versions(), "numpy": "1.0", "torch": "2.0"})
    assert str(caught.value).count("numpy") == str(caught.value).count("torch") == 2
    assert "h5py" not in str(caught.value)


def test_another_build_of_the_same_version_is_a_note() -> None:
    release = versions()["torch"].partition("+")[0]
    assert f"and this process torch {release}+cu999:" in check_versions({**versions(), "torch": f"{release}+cu999"})


@pytest.mark.parametrize("layout", ["module", "package"])
def test_other_code_of_a_plug_in_is_refused(layout: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"lab_of_a_{layout}"
    file = tmp_path / (f"{name}.py" if layout == "module" else f"{name}/metric.py")
    file.parent.mkdir(exist_ok=True)
    file.write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    if layout == "package":
        Registry("metric", "iodine_kit.metrics", Anything).load(f"{name}.metric")
    else:
        third_party.add(name)  # as by an entry point
    expected = versions()
    assert name in expected and check_versions(expected) == ""
    file.write_text("CHANGED = 1")
    module._code.cache_clear()
    with pytest.raises(ConfigError, match=rf"has {name} \(code \w+\), but this process has {name} \(code"):
        check_versions(expected)
    assert check_versions({**versions(), "lab_that_is_found_later": "(code 1)"}) == ""

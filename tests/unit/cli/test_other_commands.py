"""Commands that a sentence names act on the store of the command that prints it."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from iodine_kit.cli.app import app
from iodine_kit.store import Identity, Store
from iodine_kit.store.tags import add_tag


def call(*arguments: object, **environment: str) -> str:
    done = CliRunner().invoke(app, [str(one) for one in arguments], env={"COLUMNS": "500", **environment})
    return str(done.stderr)


@pytest.fixture
def tagged(tmp_path: Path) -> Path:
    """Two stores in the working directory, each with an artifact that has the tag ``best``."""
    for root in (tmp_path / "data", tmp_path / "my store"):
        store = Store(root)
        with store.draft(Identity(kind="run", name="tiny", stage="train", version=1)) as draft:
            add_tag(store, "best", draft.commit({}, {}))
    return tmp_path


def test_a_remedy_names_the_store_that_was_given_and_works(tagged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tagged)
    place = next(Path("my store").glob("run/*")).relative_to("my store")
    refused = call("gc", place, "--store", "my store")
    remedy = refused.strip().rpartition("iodine-kit ")[2]
    assert remedy == 'tag --store "my store" --delete best'
    assert call(*shlex.split(remedy)) == ""
    assert not (tagged / "my store/.tags/best.json").exists() and (tagged / "data/.tags/best.json").exists()
    assert "'iodine-kit list --store \"my store\"' shows all" in call("show", "nope", "--store", "my store")


def test_a_remedy_names_no_store_that_commands_use_anyway(tagged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tagged)
    place = next(Path("data").glob("run/*")).relative_to("data")
    plain = "delete the tag first: iodine-kit tag --delete best"
    for arguments, environment in (
        ([], {}), (["--store", "data"], {}), ([], {"IODINE_KIT_STORE": "my store"}),
        (["--store", "my store"], {"IODINE_KIT_STORE": "my store"}),
    ):  # fmt: skip
        assert plain in call("gc", place, *arguments, **environment)
    other = call("gc", place, "--store", "data", IODINE_KIT_STORE="my store")
    assert "iodine-kit tag --store data --delete best" in other


def test_only_commands_with_a_store_get_one(tagged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from iodine_kit.cli.other_commands import completed

    monkeypatch.chdir(tagged)
    call("list", "--store", "my store")
    assert completed("see 'iodine-kit models', of iodine-kit") == "see 'iodine-kit models', of iodine-kit"
    assert completed("iodine-kit gc run/X, 'iodine-kit list'") == (
        'iodine-kit gc --store "my store" run/X, \'iodine-kit list --store "my store"\''
    )
    assert completed(completed("iodine-kit gc X")) == completed("iodine-kit gc X")
    call("list")
    assert completed("iodine-kit gc X") == "iodine-kit gc X"


@pytest.mark.parametrize("name", ["plain", "my store", "it's", 'say "a"', "$HOME x", "a`b`", "back\\slash !"])
def test_a_store_of_any_name_is_one_word_of_the_shell(name: str) -> None:
    from iodine_kit.cli.other_commands import _quoted

    assert shlex.split(_quoted(name)) == [name]

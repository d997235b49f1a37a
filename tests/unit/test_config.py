from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import Field

from iodine_kit.config import Config, build, differences, flatten, merge, named, parse_overrides, read_toml, split_table
from iodine_kit.errors import ConfigError


class Inner(Config):
    kernel: int = 3


class Outer(Config):
    steps: int = Field(default=5, ge=1)
    learning_rate: float = 1e-3
    inner: Inner = Inner()
    spare: Inner | None = None


class Other(Config):
    device: str = "auto"


def test_an_unknown_key_names_the_nearest_known_one() -> None:
    with pytest.raises(ConfigError, match=r"train\.lerning_rate is not a known key; did you mean 'learning_rate'\?"):
        build(Outer, {"lerning_rate": 1.0}, "train")


def test_an_unknown_key_of_a_nested_table_is_named_with_its_path() -> None:
    with pytest.raises(ConfigError, match=r"model\.inner\.kernal is not a known key; did you mean 'kernel'\?"):
        build(Outer, {"inner": {"kernal": 5}}, "model")
    with pytest.raises(ConfigError, match=r"model\.spare\.kernal is not a known key; did you mean 'kernel'\?"):
        build(Outer, {"spare": {"kernal": 5}}, "model")


def test_one_error_names_all_mistakes() -> None:
    with pytest.raises(ConfigError) as caught:
        build(Outer, {"steps": 0, "learning_rate": "fast"}, "train")
    assert "train.steps" in str(caught.value) and "train.learning_rate" in str(caught.value)
    assert "(given: 0)" in str(caught.value)


def test_configuration_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        build(Outer, {}, "train").steps = 7  # type: ignore[misc]


def test_the_name_of_a_plugin_comes_before_its_configuration_in_json_types() -> None:
    values = named("small", Outer(inner=Inner(kernel=5)))
    expected = {"name": "small", "steps": 5, "learning_rate": 1e-3, "inner": {"kernel": 5}, "spare": None}
    assert values == expected and list(values) == list(expected)


def test_the_keys_of_a_table_go_to_the_models_that_define_them() -> None:
    assert split_table({"steps": 1, "device": "cpu"}, [Outer, Other], "train") == [{"steps": 1}, {"device": "cpu"}]
    with pytest.raises(ConfigError, match="did you mean 'device'"):
        split_table({"devise": "cpu"}, [Outer, Other], "train")


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("t.a=1", 1),
        ("t.a=1e-4", 1e-4),
        ("t.a=true", True),
        ("t.a=[1, 2]", [1, 2]),
        ("t.a=paper-clevr6", "paper-clevr6"),
    ],
)
def test_override_values_are_toml_or_plain_text(setting: str, value: object) -> None:
    assert parse_overrides([setting], ["t"]) == {"t": {"a": value}}


def test_overrides_reach_nested_tables_and_the_last_one_wins() -> None:
    assert parse_overrides(["t.a.b=1", "t.a.c=2", "t.a.b=3"], ["t"]) == {"t": {"a": {"b": 3, "c": 2}}}


@pytest.mark.parametrize("setting", ["t.a", "a=1", ".a=1", "t.=1", "=1"])
def test_a_malformed_override_is_refused(setting: str) -> None:
    with pytest.raises(ConfigError, match=r"write TABLE\.KEY=VALUE"):
        parse_overrides([setting], ["t"])


def test_an_override_of_an_unknown_table_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"unknown table 'trian'; did you mean 'train'\?"):
        parse_overrides(["trian.steps=1"], ["train", "model"])


def test_merge_keeps_what_is_not_overridden() -> None:
    assert merge({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}}) == {"a": {"b": 1, "c": 3}}


def test_merge_copies_nested_tables() -> None:
    over = {"a": {"b": {"c": 1}}}
    assert merge(merge({}, over), {"a": {"b": {"d": 2}}}) == {"a": {"b": {"c": 1, "d": 2}}}
    assert over == {"a": {"b": {"c": 1}}}


def test_differences_name_the_leaf_with_both_values() -> None:
    old, new = {"train": {"steps": 50, "seed": 0}}, {"train": {"steps": 100, "seed": 0, "clip": 5.0}}
    assert differences(old, new) == ["train.clip: absent -> 5.0", "train.steps: 50 -> 100"]


def test_flatten_keeps_empty_tables_as_leaves() -> None:
    assert flatten({"a": {"b": {}}, "c": 1}) == {"a.b": {}, "c": 1}


def test_a_byte_order_mark_changes_nothing(tmp_path: Path) -> None:
    """Some editors on Windows write one."""
    path = tmp_path / "marked.toml"
    path.write_text("[train]\nsteps = 3\n", "utf-8-sig")
    assert read_toml(path) == {"train": {"steps": 3}}


def test_a_broken_file_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "broken.toml"
    path.write_text("[train]\nsteps = = 3\n")
    with pytest.raises(ConfigError, match=r"broken\.toml: cannot be read as TOML: .*line 2"):
        read_toml(path)
    with pytest.raises(ConfigError, match="no such configuration file"):
        read_toml(tmp_path / "absent.toml")

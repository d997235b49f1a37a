"""Which members a matrix has, what they share, and what is refused."""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iodine_kit.errors import ConfigError, IodineKitError
from iodine_kit.pipeline import build_graph, expand, matrix, refuse_matrix, select

TABLES: dict[str, Any] = {"prepare": {"dataset": "tetrominoes", "generate": 20}, "train": {"steps": 2}}


def with_matrix(**matrix: Any) -> dict[str, Any]:
    return {**TABLES, "matrix": matrix}


def shares(tables: dict[str, Any], *matrix: str) -> dict[str, list[int]]:
    """Role → number of members of each of its nodes."""
    found: dict[str, list[int]] = {}
    for node in build_graph(expand(tables, matrix)):
        found.setdefault(node.role, []).append(len(node.members))
    return found


def test_a_pipeline_without_a_matrix_has_one_member_without_a_name() -> None:
    (member,) = expand(TABLES)
    assert (member.name, member.settings, member.tables) == ("", {}, TABLES)
    assert all(node.names == () for node in build_graph([member]))


seeds = st.lists(st.integers(0, 99), min_size=1, max_size=3, unique=True)
rates = st.lists(st.sampled_from([1e-3, 2e-3, 3e-3]), min_size=1, max_size=3, unique=True)


@settings(max_examples=15)
@given(seeds, rates)
def test_members_are_all_combinations_and_the_given_tables_do_not_change(seeds: list[int], rates: list[float]) -> None:
    tables = with_matrix(seeds=seeds, train={"learning_rate": rates})
    members = expand(tables)
    found = [(one.tables["train"]["seed"], one.tables["train"]["learning_rate"]) for one in members]
    assert found == list(itertools.product(seeds, rates))
    assert len({one.name for one in members}) == len(members)
    assert TABLES["train"] == {"steps": 2} and "matrix" not in members[0].tables


def test_options_replace_the_lists_of_the_file_and_add_others() -> None:
    names = [one.name for one in expand(with_matrix(seeds=[1, 2]), ["seeds=5", "eval.convention=exclude,deepmind"])]
    assert names == ["seed=5,convention=exclude", "seed=5,convention=deepmind"]


@pytest.mark.parametrize(
    ("option", "values"),
    [
        ("train.seed=1,2", [1, 2]),
        ("train.seed=[1, 2]", [1, 2]),
        ("train.seed=7", [7]),
        ("model.decoder.channels=[4, 8], [16]", [[4, 8], [16]]),
        ("infer.split=val,test", ["val", "test"]),
        ("report.title='a, b','c'", ["a, b", "c"]),
        ("report.title=a b,c", ["a b", "c"]),
    ],
)
def test_values_on_the_command_line(option: str, values: list[Any]) -> None:
    assert [next(iter(one.settings.values())) for one in expand(TABLES, [option])] == values


def test_only_the_members_to_run_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each process of ``--jobs`` takes its own members; a check of all of them took seconds in every process."""
    checked = []
    monkeypatch.setattr(matrix, "check", lambda tables: checked.append(tables["train"]["seed"]))
    (member,) = expand(TABLES, ["seeds=1,2,3,4"], names=["seed=3"])
    assert (member.name, member.tables["train"]["seed"], checked) == ("seed=3", 3, [3])


def test_a_blank_in_a_value_is_part_of_the_name_of_a_member() -> None:
    assert [one.name for one in expand(TABLES, ["report.title=a b,ab"])] == ["title=a b", "title=ab"]
    assert next(one.name for one in expand(TABLES, ["model.decoder.channels=[4, 8],[16]"])) == "channels=[4,8]"


def test_keys_of_the_same_last_part_are_told_apart_in_names() -> None:
    (member,) = expand(TABLES, ["train.seed=1", "prepare.seed=2"])
    assert member.name == "train.seed=1,prepare.seed=2"


def test_members_share_every_stage_that_the_matrix_does_not_change() -> None:
    seeds = shares(TABLES, "seeds=1,2,3")
    assert seeds == {"dataset": [3], "run": [1, 1, 1], "predictions": [1] * 3, "evaluation": [1] * 3, "report": [1] * 3}
    conventions = shares(TABLES, "eval.convention=exclude,deepmind")
    assert conventions == {"dataset": [2], "run": [2], "predictions": [2], "evaluation": [1, 1], "report": [1, 1]}
    both = shares({**TABLES, "probe": {}}, "eval.convention=exclude,deepmind", "probe.folds=2,3")
    assert (both["predictions"], both["evaluation"], both["probe"]) == ([4], [2, 2], [2, 2])


def test_a_stage_comes_after_its_inputs() -> None:
    nodes = build_graph(expand({**TABLES, "probe": {}}, ["seeds=1,2", "probe.folds=2,3"]))
    for place, node in enumerate(nodes):
        assert all(nodes.index(one) < place for one in node.inputs.values())
        assert all(set(node.members) <= set(one.members) for one in node.inputs.values())


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ({"train": {"sede": [1]}}, "member sede=1 of the matrix: train.sede is not a known key; did you mean 'seed'?"),
        ({"trian.seed": [1]}, "[matrix]: trian.seed: unknown table 'trian'; did you mean 'train'?"),
        ({"seed": [1]}, "[matrix]: 'seed' is not TABLE.KEY, for example train.seed=1,2,3; did you mean 'seeds'?"),
        ({"seeds": []}, "[matrix]: seeds is an empty list"),
        ({"seeds": [1, 2, 1]}, "[matrix]: seeds has the value 1 twice"),
        ({"train.seed": 3}, "[matrix]: train.seed is 3: give a list of values, such as [3]"),
        ({"pipeline.summary": ["a", "b"]}, "pipeline.summary describes the pipeline and changes no artifact"),
        ({"train.device": ["cpu", "auto"]}, "the members device=cpu and device=auto of the matrix have the same"),
        ({"eval.metrics": [["ari"], ["ARI"]]}, "because these values of eval.metrics do not change any"),
        ({"infer.split": ["test", "tset"]}, "member split=tset of the matrix: infer.split: the data set will have no"),
        ({"train.seed": list(range(2000))}, "the matrix has 2,000 members, at most 1,000"),
    ],
)
def test_a_mistake_in_the_table_is_one_sentence(matrix: dict[str, Any], message: str) -> None:
    with pytest.raises(IodineKitError, match=re.escape(message)):
        build_graph(expand(with_matrix(**matrix)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"matrix": ["train.seed"]}, "--matrix train.seed: write TABLE.KEY=VALUE,VALUE"),
        ({"matrix": ["seeds="]}, "--matrix seeds=: seeds is an empty list"),
        ({"matrix": ['report.title=a,"b, c"']}, "write quotes around each value or around none, and close brackets"),
        ({"matrix": ["model.decoder.channels=[4, 8],[16"]}, "write quotes around each value or around none"),
        ({"matrix": ["seeds=1", "train.seed=2"]}, "--matrix train.seed=2: train.seed is given twice"),
        ({"matrix": ["seeds=1,2"], "settings": ["train.seed=4"]}, "--set train.seed=4: the matrix varies train.seed"),
        ({"matrix": ["seeds=1,2"], "names": ["seed=3"]}, "--member seed=3: there is no such member; did you mean"),
        ({"names": ["seed=3"]}, "--member seed=3: there is no such member: the pipeline has no matrix"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_sentence(options: dict[str, list[str]], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        expand(TABLES, **options)


def test_a_caller_that_takes_one_chain_refuses_a_matrix() -> None:
    refuse_matrix(TABLES, "…")
    with pytest.raises(ConfigError, match=r"has the table \[matrix\], so that it has several members: use another"):
        refuse_matrix(with_matrix(seeds=[1]), "use another")


def test_stages_are_chosen_by_command_or_role() -> None:
    assert select(TABLES, until="train") == select(TABLES, until="run")
    assert select(TABLES, until="infer").roles == ("dataset", "run", "predictions")
    one = select(TABLES, only=["eval"], force=["eval"])
    assert one.roles == ("evaluation",) and one.force == {"evaluation"}
    assert one.needed == ("dataset", "run", "predictions", "evaluation")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"until": "evl"}, "--until evl: there is no such stage; did you mean 'eval'?"),
        ({"force": ["trian"]}, "--force trian: there is no such stage; did you mean 'train'?"),
        ({"until": "probe"}, "--until probe: the pipeline has no such stage: add the table [probe] to it"),
        ({"until": "eval", "only": ["eval"]}, "--until and --only exclude each other"),
        ({"until": "train", "force": ["report"]}, "--force report: this stage is not made, because --until ends"),
        ({"only": ["train"], "force": ["infer"]}, "--force infer: this stage is not made, because it is not among"),
    ],
)
def test_a_wrong_choice_of_stages_is_one_sentence(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        select(TABLES, **options)

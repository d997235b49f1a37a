"""The commands on a store: list, show, diff, tag, gc, pack and unpack; and the documents about manifests."""

from __future__ import annotations

import json
import os
import re
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from iodine_kit.cli.app import app
from iodine_kit.runner import Context, Job, obtain
from iodine_kit.store import Identity, Store
from iodine_kit.store.manifest import MANIFEST, Manifest, read_manifest
from iodine_kit.store.queries import KINDS
from iodine_kit.store.schema import json_schema
from iodine_kit.store.tags import all_tags

ROOT = Path(__file__).parents[3]
STAGES = sorted((ROOT / "iodine_kit" / "stages").rglob("*.py"))
KEYS = {"run": "82c7dee01cda", "dataset": "2c4ced6c99fb", "evaluation": "8a85168f06e0", "report": "a4b48abee27f"}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """The store that earlier commits made."""
    with tarfile.open(ROOT / "tests" / "data" / "recorded_store.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path / "data"


def kit(store: Path, *arguments: object, status: int = 0) -> Any:
    environment = {"IODINE_KIT_STORE": str(store), "COLUMNS": "300"}
    done = CliRunner().invoke(app, [str(one) for one in arguments], env=environment)
    assert done.exit_code == status, done.output
    return done


def age(store: Path, days: float) -> None:
    for path in (*store.glob("*/*/*"), *store.glob("*/*")):
        os.utime(path, (time.time() - days * 86400,) * 2)


def test_a_list_is_filtered_sorted_and_greppable(store: Path) -> None:
    kit(store, "tag", "best", KEYS["run"])
    lines = kit(store, "list").stdout.splitlines()
    assert len(lines) == 7 and "tag:best" in next(line for line in lines if KEYS["run"] in line)
    assert lines[0].split() == [*lines[0].split()[:4], "6", str(store / f"dataset/tetrominoes-{KEYS['dataset']}")]

    def names(*options: str) -> list[str]:
        return [Path(row["artifact"]).parent.name for row in json.loads(kit(store, "list", "--json", *options).stdout)]

    assert names("--kind", "run", "--kind", "report") == ["run", "report"]
    assert names("--unused") == ["report"] and names("--tag", "b*") == ["run"]
    assert names("--name", "tetro*") == ["dataset"] and names("--name", "run/*") == ["run"]
    assert names("no such text") == [] and names("TRAIN.STEPS=2") == ["run"]
    assert names("--sort", "name")[:2] == ["dataset", "evaluation"] and names("--sort", "size")[-1] == "report"
    assert names("--older-than", "10") == []
    age(store, 20)
    assert len(names("--older-than", "10")) == 7
    assert "none of 7 artifacts" in kit(store, "list", "--kind", "study").stderr
    row = json.loads(kit(store, "list", "--kind", "run", "--json").stdout)[0]
    assert list(row) == ["artifact", "key", "finished", "kind", "bytes", "used", "used_by", "tags"]
    assert len(row["used_by"]) == 3 and row["tags"] == ["best"]


def test_damaged_newer_and_interrupted_artifacts_are_listed(store: Path) -> None:
    (store / f"report/iodine-tetrominoes-{KEYS['report']}" / MANIFEST).write_text("{")
    run = store / f"run/iodine-tetrominoes-{KEYS['run']}" / MANIFEST
    run.write_text(run.read_text("utf-8").replace("artifact/1", "artifact/2"), "utf-8")
    (store / ".tags").mkdir()
    (store / ".tags" / "bad.json").write_text("[]")
    what = Identity(kind="run", name="half", stage="train", version=1)
    with pytest.raises(KeyboardInterrupt), Store(store).draft(what, keep="*") as draft:
        raise KeyboardInterrupt
    printed = kit(store, "list").stdout
    assert f"{draft.path}  (train: repeat the command to resume)" in printed
    assert "its manifest cannot be read" in printed and "a newer iodine-kit made it" in printed
    assert "iodine-kit tag --delete bad" in printed
    assert "version 2 of its schema" in kit(store, "show", run.parent, status=7).stderr
    refused = kit(store, "verify", KEYS["evaluation"], status=11).stderr
    assert "has a manifest that cannot be read; make the inputs again first: " in refused


def test_commands_tell_unfinished_runs_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def begin(seed: int) -> Identity:
        monkeypatch.setattr(sys, "argv", ["iodine-kit", "train", "--set", f"train.seed={seed}"])
        return Identity(kind="run", name="half", stage="train", version=1, config={"seed": seed})

    def stop(directory: Path) -> dict[str, Any]:
        raise KeyboardInterrupt

    def look(directory: Path) -> dict[str, Any]:
        progress.append(kit(tmp_path, "list").stdout)
        return {}

    progress: list[str] = []
    for seed in (1, 2):
        with pytest.raises(KeyboardInterrupt):
            obtain(Job(begin(seed), stop, state="*"), Context(Store(tmp_path)))
    lines = kit(tmp_path, "list").stdout.splitlines()
    assert [line.split(None, 2)[2] for line in lines] == [
        f"(train: repeat the command to resume: iodine-kit train --set train.seed={seed})" for seed in (1, 2)
    ]
    obtain(Job(begin(3), look, state="*"), Context(Store(tmp_path)))
    (line,) = [line for line in progress[0].splitlines() if "seed=3" in line]
    assert line.startswith("in progress") and line.endswith("(train: iodine-kit train --set train.seed=3)")
    assert progress[0].count("interrupted") == 2


def test_missing_files_and_folders_without_a_manifest_are_listed_as_damaged(store: Path) -> None:
    run = store / f"run/iodine-tetrominoes-{KEYS['run']}"
    page = store / f"report/iodine-tetrominoes-{KEYS['report']}"
    (run / "weights.safetensors").unlink()
    (page / MANIFEST).unlink()
    printed = kit(store, "list").stdout
    assert f"{run}  (damaged: weights.safetensors is missing)" in re.sub(" {2,}", "  ", printed)
    assert f"{page}  (it has no manifest.json: remove it with 'iodine-kit gc report/{page.name}')" in printed
    assert json.loads(kit(store, "list", "--kind", "run", "--json").stdout)[0]["problem"].endswith(" is missing")
    assert "has no manifest.json" in kit(store, "show", f"report/{page.name}", status=10).stderr
    kit(store, "gc", f"report/{page.name}", "--yes")
    assert not page.exists() and "no manifest" not in kit(store, "list").stdout


def test_show_has_tags_lineage_and_users(store: Path) -> None:
    kit(store, "tag", "best", KEYS["run"])
    lines = kit(store, "show", "tag:best").stdout.splitlines()
    assert "tags     best" in lines and f"  └── dataset/tetrominoes-{KEYS['dataset']}" in lines
    assert lines[lines.index("used by") + 3] == f"  report/iodine-tetrominoes-{KEYS['report']}"
    shown = json.loads(kit(store, "show", KEYS["run"], "--json").stdout)
    extra = {name: shown.pop(name) for name in ("tags", "used_by", "lineage")}
    assert Manifest.model_validate(shown) == read_manifest(store / f"run/iodine-tetrominoes-{KEYS['run']}")
    assert extra["lineage"] == [{"artifact": f"dataset/tetrominoes-{KEYS['dataset']}", "status": "in the store"}]


def test_diff_compares_configuration_code_files_and_metrics(store: Path) -> None:
    first = store / f"evaluation/iodine-tetrominoes-{KEYS['evaluation']}"
    manifest = json.loads((first / MANIFEST).read_text("utf-8"))
    identity = Identity.model_validate(manifest["identity"])
    config = json.loads(json.dumps(identity.config))
    config["eval"]["convention"] = "one"
    facts = manifest["facts"]
    before = facts["metrics"]["ari"]["mean"]
    facts["metrics"]["ari"]["mean"] = before + 0.25
    facts["metrics"]["mse"]["mean"] = None
    facts["scenes"] = 17
    with Store(store).draft(identity.model_copy(update={"config": config, "version": 9})) as draft:
        (draft.path / "summary.csv").write_text("other")
        second = draft.commit(facts, {"packages": {"torch": "9"}})
    printed = kit(store, "diff", first, second.path).stdout
    for line in ('eval.convention: "exclude" -> "one"', "stage eval: 2 -> 9", "scenes: 16 -> 17", "objects.csv: "):
        assert f"\n  {line}" in printed, line
    found = json.loads(kit(store, "diff", first, second.path, "--json").stdout)
    assert found["metrics"]["ari"]["difference"] == pytest.approx(0.25) and not found["same_content"]
    assert found["metrics"]["mse"]["second"] is found["metrics"]["mse"]["difference"] is None
    assert 'eval.convention: "exclude" -> "one"' in found["config"] and "scenes: 16 -> 17" in found["facts"]
    assert "inputs" not in found
    same = json.loads(kit(store, "diff", first, first, "--json").stdout)
    assert same["same_content"] and not {"config", "code", "inputs", "facts", "files"} & same.keys()
    assert all(one["difference"] in (0, None) for one in same["metrics"].values())
    assert "the content is the same" in kit(store, "diff", first, first).stdout


def test_a_tag_names_one_artifact_until_it_is_deleted(store: Path) -> None:
    run, data = (
        store / f"{kind}-{KEYS[kind.split('/')[0]]}" for kind in ("run/iodine-tetrominoes", "dataset/tetrominoes")
    )
    assert "no tags" in kit(store, "tag").stderr
    for _ in range(2):  # the same again changes nothing
        assert kit(store, "tag", "best", KEYS["run"]).stdout.strip() == str(run)
    error = kit(store, "tag", "best", KEYS["dataset"], status=12).stderr
    assert "this tag exists and names run/" in error and "iodine-kit tag --delete best" in error
    assert kit(store, "tag", "best").stdout.strip() == str(run)
    assert kit(store, "tag").stdout.split()[0] == "best"
    listed = json.loads(kit(store, "tag", "--json").stdout)[0]
    assert listed["artifact"] == str(run) and json.loads(kit(store, "tag", listed["tag"], "--json").stdout) == listed
    assert "did you mean the tag, tag:best?" in kit(store, "show", "best", status=10).stderr
    assert "did you mean 'best'?" in kit(store, "show", "tag:besd", status=10).stderr
    assert "cannot be a tag" in kit(store, "tag", "../x", KEYS["run"], status=3).stderr
    assert "'dataset' is required" in kit(store, "stats", "tag:best", status=10).stderr
    kit(store, "tag", "--delete", "best")
    kit(store, "tag", "best", data)
    assert [tag.name for tag in all_tags(Store(store))[0]] == ["best"]
    assert "no such tag" in kit(store, "tag", "--delete", "other", status=10).stderr
    kit(store, "tag", "--delete", status=2)


def test_a_tag_keeps_its_content_when_the_artifact_is_rebuilt(store: Path) -> None:
    kit(store, "tag", "best", KEYS["dataset"])
    home = Store(store)
    data = home.open("tag:best")
    (store / ".tags" / "bad.json").write_text((store / ".tags" / "best.json").read_text())
    assert "this tag is damaged" in kit(store, "show", "tag:bad", status=11).stderr
    kit(store, "tag", "--delete", "bad")
    with home.draft(data.manifest.identity) as draft:
        for name in data.manifest.files:
            (draft.path / name).write_bytes((data.path / name).read_bytes())
        draft.commit({}, {})
    assert home.open("tag:best").manifest.content == data.manifest.content  # rebuilt to the same bytes
    with home.draft(data.manifest.identity) as draft:
        draft.commit({}, {})
    assert "rebuilt with different content since it got this tag" in kit(store, "show", "tag:best", status=11).stderr
    assert kit(store, "tag").stdout.rstrip().endswith("(rebuilt)")
    (data.path / MANIFEST).unlink()
    assert "iodine-kit tag --delete best" in kit(store, "show", "tag:best", status=10).stderr


def test_gc_says_first_and_removes_only_when_told(store: Path) -> None:
    assert "nothing to remove" in kit(store, "gc").stderr
    age(store, 40)
    kept = kit(store, "gc")
    assert kept.stdout == "" and "kept: 1 report, 1 run, and what they need" in kept.stderr
    listed = kit(store, "gc", "--all")
    assert len(listed.stdout.splitlines()) == 7 and "nothing was removed; --yes removes 7" in listed.stderr
    assert len(Store(store).artifacts()) == 7
    kit(store, "tag", "best", KEYS["run"])
    gone = json.loads(kit(store, "gc", "--all", "--yes", "--json").stdout)
    assert len(gone["removed"]) == len(gone["artifacts"]) == 5 and gone["bytes"] > 500_000
    assert {path.parent.name for path in (one.path for one in Store(store).artifacts())} == {"run", "dataset"}
    error = kit(store, "gc", KEYS["dataset"], "--yes", status=12).stderr
    assert f"run/iodine-tetrominoes-{KEYS['run']} was made from it" in error
    kit(store, "gc", "tag:best", "--yes", status=12)
    kit(store, "gc", KEYS["run"], "--all", status=2)
    (store / ".tags" / "best.json").write_text("{")
    assert "best.json is damaged, so that nobody knows what it needs" in kit(store, "gc", "--all", "--yes").stderr
    kit(store, "tag", "--delete", "best")
    kit(store, "gc", KEYS["run"], KEYS["dataset"], "--yes")
    assert Store(store).artifacts() == []


def test_an_archive_carries_a_report_and_all_it_needs_to_another_store(store: Path, tmp_path: Path) -> None:
    archive, other = tmp_path / "r.tar", tmp_path / "other"
    assert kit(store, "pack", KEYS["report"], "--output", archive).stdout.strip() == str(archive)
    assert "replace it with --overwrite" in kit(store, "pack", KEYS["report"], "--output", archive, status=12).stderr
    before = archive.read_bytes()
    rows = json.loads(kit(store, "pack", KEYS["report"], "--output", archive, "--overwrite", "--json").stdout)
    assert archive.read_bytes() == before and len(rows["artifacts"]) == 7
    assert len(kit(other, "unpack", archive).stdout.splitlines()) == 7
    verified = kit(other, "verify", KEYS["report"]).stdout
    assert "10 files are unchanged, and so are all files of 6 inputs" in verified
    assert kit(other, "verify", KEYS["dataset"]).stdout.strip().endswith("files are unchanged")
    again = json.loads(kit(other, "unpack", archive, "--json").stdout)
    assert {row["status"] for row in again["artifacts"]} == {"skipped"}
    archive.write_bytes(before[: len(before) // 2])
    assert f"{archive}: incomplete: it ends" in kit(tmp_path / "third", "unpack", archive, status=6).stderr
    assert Store(tmp_path / "third").artifacts() == []
    kit(store, "pack", KEYS["report"], "--output", archive, "--without-inputs", "--overwrite")
    kit(other, "unpack", archive)
    (store / f"run/iodine-tetrominoes-{KEYS['run']}" / MANIFEST).unlink()
    error = kit(store, "pack", KEYS["report"], "--output", tmp_path / "s.tar", status=10).stderr
    assert "its run run/" in error and "--without-inputs" in error and not (tmp_path / "s.tar").exists()
    assert "cannot be read (No such file" in kit(store, "unpack", tmp_path / "nothing.tar", status=14).stderr


def test_the_published_schema_is_that_of_the_code_and_its_fields_are_described() -> None:
    assert json.loads((ROOT / "docs" / "artifact.schema.json").read_text("utf-8")) == json_schema()
    page = (ROOT / "docs" / "artifacts.md").read_text("utf-8")
    fields = {*json_schema()["properties"]}
    for one in json_schema()["$defs"].values():
        fields |= set(one["properties"])
    assert [name for name in sorted(fields) if f"`{name}`" not in page] == []


def test_an_artifact_or_a_kind_that_is_written_wrongly_is_one_sentence_with_a_hint(store: Path) -> None:
    short = KEYS["run"][:3]
    assert (
        f"{short}: no such artifact in {store}; give at least 4 digits of a key"
        in kit(store, "show", short, status=10).stderr
    )
    assert "error: '': no such artifact" in kit(store, "show", "", status=10).stderr
    for command in ("list", "gc"):
        assert "there is no kind 'rnu'; did you mean 'run'?" in kit(store, command, "--kind", "rnu", status=2).stderr
        for kind in KINDS:
            kit(store, command, "--kind", kind)
        assert "does not exist" in kit(Path(f"{store}-2"), command).stderr
    made = re.findall(r'\bkind="([a-z]+)", ?\n? +name=', "".join(path.read_text("utf-8") for path in STAGES))
    assert set(made) | {"study", "download"} == set(KINDS)
    file = store.parent / "a.toml"
    file.touch()
    for command in (["list"], ["gc"], ["show", KEYS["run"]], ["tag"]):
        assert f"{file}: this is a file, not the folder of a store" in kit(file, *command, status=14).stderr


def test_the_address_of_a_published_data_set_is_complete(store: Path, tmp_path: Path) -> None:
    options = [KEYS["dataset"], tmp_path / "published", "--croissant", "--url"]
    for url in ("notaurl", "host/folder", "https:/host", "https://"):
        assert "write the whole address" in kit(store, "export", *options, url, status=2).stderr
    assert not (tmp_path / "published").exists()
    kit(store, "export", *options, "https://host/folder")


def test_no_text_of_a_manifest_sends_commands_to_the_terminal(store: Path) -> None:
    """A manifest may come from elsewhere."""
    manifest = next(store.glob(f"run/*{KEYS['run']}*")) / MANIFEST
    made = json.loads(manifest.read_text())
    made["made"] |= {"purpose": "\x1b]0;title\x07 \u202emoc", "finished": "\x1b[31m now", "git": "\x9b2J"}
    manifest.write_text(json.dumps(made))
    for command in (["list"], ["show", KEYS["run"]], ["diff", KEYS["run"], KEYS["dataset"]], ["list", "--json"]):
        done = kit(store, *command)
        assert not set(done.output) & set("\x1b\x07\x9b\u202e"), command
    assert r"\x1b]0;title\x07 \u202emoc" in kit(store, "list").stdout
    assert "\x1b]0;title\x07 \u202emoc" in [
        one.get("purpose") for one in json.loads(kit(store, "list", "--json").stdout)
    ]
    assert r"\x1b[31m: no such artifact" in kit(store, "show", "\x1b[31m", status=10).stderr

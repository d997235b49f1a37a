from __future__ import annotations

import io

import pytest
from rich.console import Console

from iodine_kit.cli import console
from iodine_kit.cli.options import engine_of
from iodine_kit.errors import ConfigError
from iodine_kit.evaluation.facts import ComparisonFacts, EvaluationFacts
from iodine_kit.tables import Table


@pytest.mark.parametrize(("terminal", "shown"), [(True, True), (False, False)])
def test_progress_is_drawn_for_a_terminal_and_is_quiet_otherwise(
    terminal: bool, shown: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(screen, "isatty", lambda: terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(console, "err", Console(file=screen, force_terminal=True, width=150))
    with console.Terminal().track("train", 10) as advance:
        advance(10, loss="3.5", speed="7 images/s")
    text = screen.getvalue()
    assert ("train" in text and "10/10" in text and "loss 3.5" in text and "ETA" in text) is shown
    assert bool(text.strip()) is shown


def test_a_path_with_the_name_of_an_emoji_stays_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    console.Terminal().note("data/:b:/train.h5: is missing")
    assert capsys.readouterr().err == "data/:b:/train.h5: is missing\n"


METRIC = {
    "title": "FG-ARI", "unit": "", "better": "higher", "convention": "…", "resolution": (2, 4), "mean": None,
    "interval": None, "std": None, "median": None, "n": 0, "undefined": 3, "degenerate": 0, "by_step": [],
}  # fmt: skip
FACTS = {
    "dataset": "d", "split": "test", "model": "", "scenes": 3, "resolution": (2, 4), "slots": 4, "steps": 5,
    "restarts": 3, "resize": "none", "convention": "exclude",
    "bootstrap": {"level": 0.9, "resamples": 0, "seed": 0, "method": "m"},
    "groups": {"objects": [], "size": []}, "objects": {"n": 0, "by_size": []}, "worst": [], "best": [],
}  # fmt: skip


def facts_with(**values: object) -> EvaluationFacts:
    return EvaluationFacts.model_validate({**FACTS, **values})


def test_an_undefined_metric_is_a_dash_not_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(console, "err", Console(file=screen, width=150))
    console.show_metrics(facts_with(metrics={"ari": METRIC}))
    assert "3 scenes at 2×4, K=4, T=5, lowest loss of 3" in screen.getvalue() and "–" in screen.getvalue()


def test_figures_are_never_cut_however_narrow_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(console, "err", Console(file=screen, width=80, highlight=False))
    metric = {**METRIC, "title": "ARI (all [pixels])", "mean": -0.05, "interval": [-0.12345, 0.9], "n": 10_000}
    figures = {"mean": 3.76e-17, "std": 1.2e-18, "interval": [3.69e-17, 3.84e-17], "degenerate": 320}
    tiny = {**METRIC, "title": "A metric of a long name", **figures, "n": 320}
    console.show_metrics(facts_with(slots=None, metrics={"ari-all": metric, "tiny": tiny}))
    assert "3.76 × 10⁻¹⁷" in screen.getvalue() and "[3.69 × 10⁻¹⁷, 3.84 × 10⁻¹⁷]" in screen.getvalue()
    assert "degenerate" in screen.getvalue() and "…" not in screen.getvalue()
    assert "[−0.1235, 0.9000]" in screen.getvalue() and "10,000" in screen.getvalue()
    assert "K=" not in screen.getvalue() and "90 % interval" in screen.getvalue() and "[pixels])" in screen.getvalue()


def test_a_comparison_shows_models_pairs_and_what_is_omitted(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(console, "err", Console(file=screen, width=150, highlight=False))
    figures = {"mean": 0.9, "sd": 0.01, "interval": [0.8, 0.95], "n": 3, "by_seed": [0.89, 0.91]}
    pair = {"difference": -0.1, "interval": None, "p": 0.25, "better": 0, "worse": 2, "equal": 1, "n": 3}
    described = {name: METRIC[name] for name in ("title", "unit", "better", "convention", "resolution")}
    common = {name: FACTS[name] for name in ("dataset", "split", "scenes", "resolution", "convention", "bootstrap")}
    models = [
        {"name": "a", "evaluations": ["1", "2"], "seeds": [0, 1], "resize": "none", "metrics": {"ari": figures}},
        {
            "name": "b",
            "evaluations": ["3"],
            "seeds": [0],
            "resize": "none",
            "metrics": {"ari": {**figures, "sd": None}},
        },
    ]
    facts = ComparisonFacts.model_validate({
        **common, "metrics": {"ari": described}, "left_out": dict.fromkeys(("mse", "psnr"), "not evaluated everywhere"),
        "test": {"method": "t", "flips": 999, "seed": 0}, "models": models,
        "pairs": [{"a": "a", "b": "b", "metrics": {"ari": pair}}],
    })  # fmt: skip
    console.show_comparison(facts)
    text = screen.getvalue()
    assert "a (2 seeds)" in text and "0.9000 ± 0.0100 [0.8000, 0.9500]" in text and "0.9000 [0.8000" in text
    assert "b minus a" in text and "−0.1000" in text and "mse, psnr omitted: not evaluated everywhere\n" in text


def test_no_note_shows_the_password_of_an_address(capsys: pytest.CaptureFixture[str]) -> None:
    console.Terminal().note("--set prepare.source=https://user:sesame@host/a.h5 is used")
    assert capsys.readouterr().err == "--set prepare.source=https://***@host/a.h5 is used\n"


def test_the_address_of_a_cluster_has_no_password() -> None:
    with pytest.raises(ConfigError, match=r"^--address tcp://\*\*\*@host:8786: .* no user, password or token; omit it"):
        engine_of("dask", "tcp://user:sesame@host:8786", 1)
    assert engine_of("ray", "ray://host:10001,num_gpus=1", 1).address == "ray://host:10001,num_gpus=1"


@pytest.mark.parametrize(("width", "blocks"), [(200, 1), (80, 2), (40, 5), (10, 12)])
def test_a_table_wider_than_the_terminal_is_in_blocks_with_all_numbers(
    monkeypatch: pytest.MonkeyPatch, width: int, blocks: int
) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(console, "err", Console(file=screen, width=width, highlight=False, soft_wrap=True))
    heads = ["metric", *(f"seed={seed}" for seed in range(12))]
    rows = [[f"metric [{row}]", *(0.1 + (12 * row + seed) / 1000 for seed in range(12))] for row in range(20)]
    other = Table(["member", *(row[0] for row in rows)], [[head, *([1.0] * 20)] for head in heads[1:]], "all members")
    console.show_in_blocks([Table(heads, rows, "all members"), other])
    lines = screen.getvalue().splitlines()
    assert lines[0] == "all members" and sum("metric [3]" in line for line in lines) == blocks
    assert all(len(line) <= max(width, 24) for line in lines)
    shown = [word for line in lines for word in line.split()]
    assert all(shown.count(f"{cell:.4f}") == 1 for row in rows for cell in row[1:])

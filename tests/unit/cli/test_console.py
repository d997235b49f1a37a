from __future__ import annotations

import io

import pytest
from rich.console import Console

from iodine_kit.cli import console


@pytest.mark.parametrize(("terminal", "shown"), [(True, True), (False, False)])
def test_progress_is_drawn_for_a_terminal_and_is_quiet_otherwise(
    terminal: bool, shown: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(console, "err", Console(file=screen, force_terminal=terminal, width=150))
    with console.Terminal().track("train", 10) as advance:
        advance(10, loss="3.5", speed="7 images/s")
    text = screen.getvalue()
    assert ("train" in text and "10/10" in text and "loss 3.5" in text and "ETA" in text) is shown
    assert bool(text.strip()) is shown


def test_an_undefined_metric_is_a_dash_not_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(console, "err", Console(file=screen, width=150))
    metric = {"title": "FG-ARI", "mean": None, "std": None, "median": None, "n": 0, "undefined": 3}
    facts = {"dataset": "d", "split": "test", "scenes": 3, "resolution": [2, 4], "slots": 4, "steps": 5, "restarts": 3}
    console.show_metrics({**facts, "metrics": {"ari": metric}})
    assert "3 scenes at 2×4, K=4, T=5, best ELBO of 3" in screen.getvalue() and "–" in screen.getvalue()

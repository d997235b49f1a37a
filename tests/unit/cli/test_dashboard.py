from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from rich.console import Console

from iodine_kit.cli.dashboard import Board, TrainingProgress, plain_lines, watching
from iodine_kit.progress import Silent

NAN, INF = math.nan, math.inf
ROW: dict[str, Any] = {
    "step": 500, "loss": 812.5, "nll": 790.25, "kl": 22.25,
    "nll_steps": [4000.0, 2000.0, 790.25], "kl_slots": [20.0, 2.25],
    "grad_norm": 3.5, "learning_rate": 3e-4, "images_per_second": 640.0, "memory_bytes": 1.24e9, "seconds_left": 3661.0,
}  # fmt: skip


class Clock:
    """Seconds that pass only when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def progress_after(rows: Iterable[dict[str, Any]], total: int = 1000, done: int = 0) -> TrainingProgress:
    progress = TrainingProgress(total, done, Clock())
    for row in rows:
        progress.update(row["step"], row)
    return progress


def draw(progress: TrainingProgress, width: int = 80, height: int = 30) -> str:
    console = Console(file=io.StringIO(), record=True, width=width, height=height, force_terminal=True)
    console.print(Board(progress))
    return console.export_text()


def test_board_shows_all_numbers() -> None:
    text = draw(progress_after([{**ROW, "step": 400, "fg_ari": 0.9341}, {**ROW, "fg_ari": 0.9125}]))
    run = ("500/1,000", "50 %", "left 1:01:01", "640.0 images/s", "1.2 GB")
    terms = ("812.5", "790.2", "22.25", "3.5000", "3.00e-04", "0.9125 @ 500", "0.9341 @ 400")
    tables = ("NLL per refinement step", "0 4,000.0 ███", "2   790.2 ▏", "KL per slot", "0 20.00 ███", "1  2.25 █")
    for expected in run + terms + tables:
        assert expected in text, expected


@pytest.mark.parametrize("width", [30, 60, 80, 200])
@pytest.mark.parametrize(
    "row", [ROW, {"step": 1}, {"step": 1, "loss": 2.0, "nll_steps": [1.0]}, {**ROW, "kl_slots": None}]
)
def test_board_fits_any_width_and_does_without_what_is_missing(width: int, row: dict[str, Any]) -> None:
    lines = draw(progress_after([row]), width).splitlines()
    assert {len(line) for line in lines} == {min(width, 100)}


def test_validation_without_true_masks_shows_its_loss_and_no_fg_ari() -> None:
    assert "FG-ARI" in draw(progress_after([ROW]))  # may still come
    board = draw(progress_after([{**ROW, "val_loss": 810.0}]))
    assert "validation loss" in board and "FG-ARI" not in board and "best" not in board
    assert "FG-ARI" in draw(progress_after([{**ROW, "val_loss": 810.0, "fg_ari": 0.5}]))


def test_board_before_the_first_row_knows_no_time_left() -> None:
    text = draw(progress_after([]))
    assert "0/1,000" in text and "left –" in text and "per slot" not in text


def test_tables_are_below_each_other_if_they_do_not_fit_side_by_side() -> None:
    def line_of(title: str, width: int) -> int:
        return next(i for i, line in enumerate(draw(progress_after([ROW]), width).splitlines()) if title in line)

    assert line_of("NLL per", 80) == line_of("KL per", 80)
    assert line_of("NLL per", 60) < line_of("KL per", 60)


@pytest.mark.parametrize(("width", "height"), [(80, 24), (60, 24), (80, 16)])
def test_many_slots_and_steps_leave_the_board_lower_than_the_terminal(width: int, height: int) -> None:
    slots, steps = [1.0] * 254 + [77.75], [float(step) for step in range(40)]
    text = draw(progress_after([{**ROW, "kl_slots": slots, "nll_steps": steps}]), width, height)
    assert " 0  0.00 ▏" in text and "│ …" in text and "39 39.00 ███" in text and "254 77.75 ███" in text
    assert "38 38.00" not in text and "253  1.00" not in text
    assert len(text.splitlines()) < height


def test_values_that_are_not_finite_are_shown_and_do_not_break_the_board() -> None:
    rows = [{**ROW, "step": 1}, {**ROW, "step": 2, "loss": NAN}]
    text = draw(
        progress_after([*rows, {**ROW, "loss": INF, "kl_slots": [NAN, INF], "nll_steps": [NAN, 1.0], "fg_ari": NAN}])
    )
    assert "inf" in text and "0 nan" in text and "×" in text
    assert "best    –" in text


def test_ascii_terminal_gets_ascii() -> None:
    file = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="strict")
    Console(file=file, width=80, height=30, force_terminal=True).print(Board(progress_after([{**ROW, "fg_ari": 0.5}])))
    file.flush()


def test_time_left_is_estimated_and_counts_down() -> None:
    clock = Clock()
    progress = TrainingProgress(1000, 200, clock)
    assert progress.left() is None
    clock.now += 10
    progress.update(300, {"loss": 1.0})
    assert progress.left() == 70
    clock.now += 30
    assert (progress.left(), progress.elapsed()) == (40, 40)
    clock.now += 300
    assert progress.left() == 0
    progress.update(400, {"seconds_left": 12.0})
    assert progress.left() == 12


def test_losses_of_a_long_run_are_averaged_not_cut() -> None:
    progress = progress_after({"step": step, "loss": float(step)} for step in range(1, 5001))
    assert len(progress.losses) <= 512
    assert progress.losses[0] < 20 and progress.losses[-1] > 4980
    gaps = {b - a for a, b in zip(progress.losses, progress.losses[1:], strict=False)}
    assert len(gaps) == 1


def test_a_log_file_gets_plain_lines_denser_at_the_beginning() -> None:
    written: list[str] = []
    show = plain_lines(TrainingProgress(100_000, 0, Clock()), written.append)
    for step in range(10, 100_001, 10):
        show(step, {**ROW, "step": step, **({"fg_ari": 0.75} if step == 50_000 else {})})
    steps = [int(line.split("/")[0].removeprefix("step ").replace(",", "")) for line in written]
    assert steps[0] == 10 and steps[-1] == 100_000
    assert 100 <= len(steps) <= 130
    assert "FG-ARI" not in written[0] and "FG-ARI 0.7500" in written[-1]
    assert written[0].startswith("step 10/100,000  loss 812.5  nll 790.2  kl 22.25  640.0 images/s  1.2 GB  left ")


def test_rows_from_before_an_interruption_are_remembered_but_not_printed() -> None:
    written: list[str] = []
    progress = TrainingProgress(1000, 500, Clock())
    show = plain_lines(progress, written.append)
    show(400, {**ROW, "fg_ari": 0.9})
    show(500, {**ROW, "fg_ari": 0.7})
    assert written == [] and progress.step == 500 and progress.left() is None
    show(600, {"loss": 3.0, "fg_ari": 0.8})
    assert len(written) == 1 and written[0].startswith("step 600/1,000  loss 3.0000  FG-ARI 0.8000")
    assert progress.best == (0.9, 400) and len(progress.losses) == 3


def run(terminal: bool) -> str:
    screen = io.StringIO()
    with watching(Console(file=screen, force_terminal=terminal, width=80, height=30), 1000) as show:
        show(500, ROW)
        show(1000, {"loss": 1.5})
    return screen.getvalue()


def test_a_file_gets_no_control_characters() -> None:
    text = run(terminal=False)
    assert "\x1b" not in text and "█" not in text
    assert [line.split("  ")[0] for line in text.splitlines()] == ["step 500/1,000", "step 1,000/1,000"]


def test_a_terminal_gets_the_board_and_keeps_its_last_state() -> None:
    text = run(terminal=True)
    assert "KL per slot" in text and "1.5000" in text[text.rindex("elapsed") :]


@pytest.mark.parametrize("terminal", [True, False])
def test_an_interruption_passes_through(terminal: bool) -> None:
    with pytest.raises(KeyboardInterrupt), watching(Console(file=io.StringIO(), force_terminal=terminal), 10):
        raise KeyboardInterrupt


def test_silent_watches_nothing() -> None:
    show: Callable[..., None]
    with Silent().watch(10) as show:
        show(1, ROW)

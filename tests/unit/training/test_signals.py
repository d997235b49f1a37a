"""When a run stops, and how all ranks stop after the same step."""

from __future__ import annotations

import signal

import pytest

from iodine_kit.process import StopRequest
from iodine_kit.training.config import TrainConfig, TrainExecution
from iodine_kit.training.distributed import SINGLE_PROCESS, World
from iodine_kit.training.schedule import StepActions, actions_after

CONFIG, EXECUTION = TrainConfig(steps=100), TrainExecution()


class OtherStops(World):
    """A rank whose neighbour requests to stop as in ``answers``; counts the exchanges."""

    def __init__(self, *answers: bool) -> None:
        self.answers, self.asked = list(answers), 0

    def any(self, flag: bool) -> bool:
        self.asked += 1
        return flag or self.answers.pop(0)


def end_of_step(world: World, step: int = 3) -> StepActions:
    return actions_after(step, CONFIG, EXECUTION, False, StopRequest(0), world)


def test_ranks_exchange_requests_once_per_step() -> None:
    world = OtherStops(False)
    actions = end_of_step(world)
    assert not (actions.save or actions.stop_signalled or actions.stop_out_of_time) and world.asked == 1


def test_a_request_on_another_rank_saves_and_stops_this_one() -> None:
    signalled, timed = end_of_step(OtherStops(True, True)), end_of_step(OtherStops(True, False))
    assert signalled.save and signalled.stop_signalled and not signalled.stop_out_of_time
    assert timed.save and timed.stop_out_of_time and not timed.stop_signalled


def test_no_request_is_exchanged_after_the_last_step() -> None:
    world = OtherStops()
    assert not end_of_step(world, 100).stop_signalled and world.asked == 0


def test_a_second_sigterm_is_ignored_and_a_second_ctrl_c_interrupts_at_once() -> None:
    with StopRequest(0) as stop:
        assert not stop.signalled
        for _ in range(2):
            signal.raise_signal(signal.SIGTERM)
        assert stop.signalled and actions_after(3, CONFIG, EXECUTION, False, stop, SINGLE_PROCESS).stop_signalled
    with StopRequest(0) as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop.signalled
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_sigterm_after_ctrl_c_does_not_kill_before_the_checkpoint() -> None:
    """A scheduler, or torchrun, often sends SIGTERM after the user pressed Ctrl-C."""
    reached: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: reached.append(number))
    try:
        with StopRequest(0) as stop:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGTERM)
            assert stop.signalled and not reached
        signal.raise_signal(signal.SIGTERM)
        assert reached == [signal.SIGTERM]  # the handler from before is back
    finally:
        signal.signal(signal.SIGTERM, before)

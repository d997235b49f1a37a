"""Submitit's executor for this machine, in place of Slurm; and a Slurm whose programs are scripts."""

from __future__ import annotations

import errno
import os
import signal
import sys
from pathlib import Path

import pytest
from units_of_work import work_in

from iodine_kit.engines import ENGINES, EngineConfig
from iodine_kit.engines.slurm import Jobs
from iodine_kit.errors import ConfigError, CountError, SourceError
from iodine_kit.units import finished_units, make_units

submitit = pytest.importorskip("submitit")
LOCAL = EngineConfig(name="slurm", address="local", workers=2)


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let jobs import the work of the tests."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))


def slurm(address: str) -> EngineConfig:
    return EngineConfig(name="slurm", address=address)


def test_only_the_units_of_a_killed_job_that_are_not_finished_are_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submitit.LocalJob, "_results_timeout_s", 0)
    work, out = work_in(tmp_path, deadly=((1, 1),))
    paths = list(make_units(work, out, "part", range(4), LOCAL))
    assert [path.read_text() for path in paths] == [f"unit {number}" for number in range(4)]
    assert [work.begun(number) for number in range(4)] == [1, 2, 1, 1]
    assert sorted(out.iterdir()) == paths
    logs = [path.read_text() for path in (tmp_path / ".jobs").rglob("*.out")]
    assert len(logs) == 3  # of two jobs with two units each, and of the second try of the first


def test_an_error_is_raised_and_no_log_is_left(tmp_path: Path) -> None:
    work, out = work_in(tmp_path, refused=(0,))
    with pytest.raises(CountError, match=r"^unit 0 is refused \(on .+\)$"):
        list(make_units(work, out, "part", [0], LOCAL))
    assert not finished_units(out, "part") and not (tmp_path / ".jobs").exists()


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("partition", r"'partition' is not KEY=VALUE"),
        ("partitoin=gpu", r"did you mean 'partition'\?"),
        ("time=1h", r"--address time=1h: time must be an integer, not '1h'"),
    ],
)
def test_wrong_options_are_one_sentence(address: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=sentence):
        list(make_units(work_in(tmp_path)[0], tmp_path / "kind" / ".draft.partial", "part", [0], slurm(address)))
    assert not (tmp_path / ".jobs").exists()


def test_a_machine_without_slurm_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    work, out = work_in(tmp_path)
    with pytest.raises(SourceError, match=r"this machine has no Slurm \('srun' is not in PATH\)"):
        list(make_units(work, out, "part", [0], slurm("time=5")))
    assert not (tmp_path / ".jobs").exists()


def program(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def test_jobs_are_submitted_with_the_options_of_the_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = tmp_path / "bin"
    program(programs, "srun", "exit 0")
    program(programs, "sbatch", f'cp "$1" {tmp_path}/job.sh; echo "sbatch: error: no such partition" >&2; exit 1')
    monkeypatch.setenv("PATH", str(programs), prepend=os.pathsep)
    work, out = work_in(tmp_path)
    with pytest.raises(ConfigError, match=r"the job was refused \(.*no such partition.*\): change --address"):
        list(make_units(work, out, "part", [0], slurm("partition=gpu,time=60,mem_gb=16,gpus_per_node=1,units=8")))
    script = (tmp_path / "job.sh").read_text()
    for line in ("--partition=gpu", "--time=60", "--mem=16GB", "--gpus-per-node=1", "--job-name=iodine-kit"):
        assert f"#SBATCH {line}\n" in script


def test_the_sentence_about_a_lost_job_names_the_folder_of_its_log(tmp_path: Path) -> None:
    _, out = work_in(tmp_path)
    with ENGINES.load("slurm").open(LOCAL, out) as running:
        (folder,) = (tmp_path / ".jobs").iterdir()
        assert f"see {folder}, allow more with time= (minutes) or mem_gb= in --address" in running.remedy
    assert not folder.exists()


def wait_for_ever(started: Path) -> None:
    started.write_text("")
    signal.pause()


def test_a_cancelled_job_of_this_machine_prints_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    started = tmp_path / "started"
    os.mkfifo(started)
    with ENGINES.load("slurm").open(LOCAL, tmp_path / "kind" / ".draft.partial") as running:
        running.executor.submit(wait_for_ever, started)
        started.read_text()  # waits
    assert capfd.readouterr() == ("", "") and not (tmp_path / ".jobs").exists()


class Submitted:
    """A job of submitit: what it does when it is asked whether it is done, one answer after the other."""

    def __init__(self, *answers: bool | Exception) -> None:
        self._answers = list(answers)

    def done(self) -> bool:
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def result(self) -> str:
        return "made"

    def cancel(self, check: bool) -> None: ...


class Submitting:
    """An executor of submitit."""

    def __init__(self, *jobs: Submitted) -> None:
        self._jobs = iter(jobs)

    def submit(self, *_: object) -> Submitted:
        return next(self._jobs)


STALE = OSError(errno.ESTALE, "Stale file handle")


def test_a_job_whose_state_cannot_be_read_for_a_moment_is_asked_again() -> None:
    jobs = Jobs(Submitting(Submitted(STALE, STALE, True), Submitted(True)), seconds_per_look=0.001)
    first, second = jobs.submit(int), jobs.submit(int)
    assert (first.result(10), second.result(10)) == ("made", "made")
    jobs.check()
    jobs.shutdown(cancel_futures=True)
    assert not jobs.has_failed


def test_a_job_whose_state_can_never_be_read_ends_with_one_sentence() -> None:
    jobs = Jobs(Submitting(Submitted(STALE), Submitted(True)), seconds_per_look=0.001)
    first, second = jobs.submit(int), jobs.submit(int)
    assert second.result(10) == "made"
    with pytest.raises(SourceError, match=r"the state of a job cannot be read \(.*Stale file handle\).*resume"):
        first.result(10)
    jobs.shutdown(cancel_futures=True)
    assert jobs.has_failed

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iodine_kit.errors import ArtifactCorruptError
from iodine_kit.formats import Sample
from iodine_kit.stages.prepare.journal import Journal


def sample(number: int) -> Sample:
    return Sample(f"k{number}", {"image": bytes([number % 256]) * (number % 7), "mask": b"m" * 3})


def written(path: Path, records: int, *, close: bool = True) -> Journal:
    """A journal of records that belong to two splits in turn; each record is one frame."""
    journal = Journal(path)
    for record in range(records):
        journal.state.next_record = record + 1
        journal.append("odd" if record % 2 else "even", [sample(record)])
        journal.write()
    if close:
        journal.close()
    return journal


def test_a_reopened_journal_has_what_was_written(tmp_path: Path) -> None:
    written(tmp_path / "j", 9)
    journal = Journal(tmp_path / "j")
    assert journal.state.next_record == 9 and journal.waiting("even") == 5 and journal.waiting("odd") == 4
    assert list(journal.samples("odd", 1, 3)) == [sample(3), sample(5)]
    journal.state.next_record = 10
    journal.append("odd", [sample(9)])
    journal.write()
    assert [s.key for s in journal.samples("odd", 0)] == ["k1", "k3", "k5", "k7", "k9"]


def test_finishing_a_shard_keeps_the_other_samples_in_order(tmp_path: Path) -> None:
    journal = written(tmp_path / "j", 9, close=False)
    journal.finish_shard("even", 3)
    assert [s.key for s in journal.samples("even", 0)] == ["k6", "k8"] and journal.waiting("odd") == 4
    journal.close()
    again = Journal(tmp_path / "j")
    assert again.state.shards == {"even": [3]} and again.state.next_record == 9
    assert list(again.samples("even", 0)) == [sample(6), sample(8)]
    assert list(again.samples("odd", 0)) == [sample(n) for n in (1, 3, 5, 7)]
    assert not (tmp_path / "j.tmp").exists()


def test_an_interrupted_replacement_is_discarded(tmp_path: Path) -> None:
    written(tmp_path / "j.tmp", 3)
    journal = written(tmp_path / "j", 4, close=False)
    journal.finish_shard("even", 2)
    assert list(journal.samples("even", 0)) == [] and journal.waiting("odd") == 2


def test_samples_that_were_not_written_are_processed_again(tmp_path: Path) -> None:
    journal = written(tmp_path / "j", 4, close=False)
    journal.state.next_record = 5
    journal.append("even", [sample(4)])
    journal.close()
    assert Journal(tmp_path / "j").state.next_record == 4


@given(cut=st.booleans(), share=st.floats(0, 1))
def test_a_journal_that_is_cut_off_or_damaged_anywhere_recovers_its_intact_frames(
    tmp_path_factory: pytest.TempPathFactory, cut: bool, share: float
) -> None:
    path = tmp_path_factory.mktemp("journal") / "j"
    written(path, 6)
    whole = path.read_bytes()
    place = int(share * (len(whole) - 1))
    path.write_bytes(whole[:place] if cut else whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
    journal = Journal(path)
    done = journal.state.next_record
    assert 0 <= done <= 6
    assert list(journal.samples("even", 0) if done else []) == [sample(n) for n in range(0, done, 2)]
    journal.state.next_record = done + 1
    journal.append("even", [sample(done)])
    journal.write()
    journal.close()
    assert Journal(path).state.next_record == done + 1


@pytest.mark.parametrize("change", ["cut", "flip"])
def test_samples_that_wait_after_a_finished_shard_are_not_lost_without_an_error(tmp_path: Path, change: str) -> None:
    """The state that is written first counts them, so a journal that ends before them is none to resume from."""
    journal = written(tmp_path / "j", 9, close=False)
    journal.finish_shard("even", 3)
    journal.state.next_record = 10
    journal.append("odd", [sample(9)])
    journal.write()
    journal.close()
    whole, ends = (tmp_path / "j").read_bytes(), set()
    for place in range(len(whole)):
        flipped = whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :]
        (tmp_path / "d").write_bytes(whole[:place] if change == "cut" else flipped)
        try:
            damaged = Journal(tmp_path / "d")
        except ArtifactCorruptError as error:
            assert str(error).startswith(f"{tmp_path / 'd'}: is damaged, and scenes in it are lost; ")
            ends.add(-1)
            continue
        damaged.close()
        finished = sum(sum(counts) for counts in damaged.state.shards.values())
        assert damaged.waiting("even") + damaged.waiting("odd") + finished == damaged.state.next_record
        ends.add(damaged.state.next_record)
    assert ends == {-1, 0, 9}

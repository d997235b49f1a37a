"""Readers end damaged files with one of our errors: nothing else, and no wrong data where a checksum exists."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from fakes import save_bomb
from faults.fuzzing import Reading, mutated
from faults.readers_under_test import READERS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from iodine_kit.errors import IodineKitError


@pytest.mark.parametrize("name", READERS)
def test_a_damaged_file_is_read_or_refused(name: str, tmp_path: Path) -> None:
    reading = Reading(READERS[name], tmp_path)

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def read(data: st.DataObject) -> None:
        reading.take(*mutated(reading.seeds, lambda low, high: data.draw(st.integers(low, high))))
        assert reading.lost == []

    read()
    assert reading.counts.total() > 0


GIB = 1 << 30


def test_decompression_bombs_are_refused_in_one_sentence(tmp_path: Path) -> None:
    save_bomb(tmp_path / "a.png")
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        head = b"\x93NUMPY\x01\x00\x76\x00" + str({"descr": "|u1", "fortran_order": False, "shape": (3, GIB)}).encode()
        archive.writestr("mask.npy", head.ljust(127) + b"\n" + bytes(1 << 20))
    for name in ("PNG", "npz"):
        path = tmp_path / READERS[name].name
        with pytest.raises(IodineKitError) as refused:
            READERS[name].read(path)
        assert "\n" not in str(refused.value)

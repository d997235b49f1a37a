"""Listing pretrained models needs no torch."""

from __future__ import annotations

import subprocess
import sys


def test_names_and_cards_are_read_without_torch() -> None:
    script = "import sys\nfrom iodine_kit import pretrained\npretrained.names()\nprint('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"

"""The ``iodine-kit`` command. Thin: a command parses its options, calls one stage and prints the result."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line, also if Ctrl-C comes before its modules are imported."""
    try:
        from iodine_kit.cli.app import main as run

        run()
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(130)


__all__ = ["main"]

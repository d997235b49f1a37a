"""The ``iodine-kit`` command. Thin: a command parses its options, calls one stage and prints the result."""

import sys

from iodine_kit.errors import INTERRUPTED

try:
    from iodine_kit.cli.app import main
except KeyboardInterrupt:  # in the moment that the imports take
    sys.stderr.write("interrupted: no half-written artifact is left\n")
    sys.exit(INTERRUPTED)

__all__ = ["main"]

"""``python -m iodine_kit`` is the ``iodine-kit`` command."""

from iodine_kit.cli import main

if __name__ == "__main__":
    main()

from __future__ import annotations

from iodine_kit import errors


def _all_errors() -> list[type[errors.IodineKitError]]:
    return [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)]


def test_every_kind_of_error_has_its_own_exit_status() -> None:
    statuses = [error.exit_status for error in _all_errors()]
    assert len(set(statuses)) == len(statuses) > 10


def test_exit_statuses_do_not_collide_with_those_of_shells_and_usage_errors() -> None:
    assert not {error.exit_status for error in _all_errors()} & {0, 2, 126, 127, 128, 130}

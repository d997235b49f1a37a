"""Mistakes in the tables of the members of a matrix: all of them, each once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from iodine_kit import pipeline as pipelines
from iodine_kit.config import Values
from iodine_kit.errors import IodineKitError
from iodine_kit.pipeline import Member


def valid_members(members: Sequence[Member]) -> tuple[list[Member], list[IodineKitError]]:
    """The members whose tables have no mistake, and one error for each mistake of the others.

    The message names the first member with the mistake, unless all members have it.
    """
    valid: list[Member] = []
    found: dict[str, list[tuple[Member, IodineKitError]]] = {}
    for member in members:
        mistakes = {str(error): error for error in _mistakes(member.tables)}
        for text, error in mistakes.items():
            found.setdefault(text, []).append((member, error))
        if not mistakes:
            valid.append(member)
    return valid, [_described(pairs, len(members)) for pairs in found.values()]


def _mistakes(tables: Mapping[str, Values]) -> Iterator[IodineKitError]:
    configure = [partial(pipelines.STAGES[role].configure, tables) for role in pipelines.roles(tables)]
    checks: list[Callable[[], object]] = [*configure, partial(pipelines.check, tables)]
    for check in checks:
        try:
            check()
        except IodineKitError as error:
            yield error


def _described(pairs: Sequence[tuple[Member, IodineKitError]], members: int) -> IodineKitError:
    member, error = pairs[0]
    if len(pairs) == members:
        return error
    more = f" (and {len(pairs) - 1} more)" if len(pairs) > 1 else ""
    return type(error)(f"member {member.name}{more} of the matrix: {error}")

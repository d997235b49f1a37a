"""The commands that keep a store in order: tag and gc."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from iodine_kit.cli.artifacts import check_kinds
from iodine_kit.cli.options import ARTIFACT_HELP, DEFAULT_STORE, StoreOption, store_at
from iodine_kit.cli.other_commands import completed
from iodine_kit.process import print_json, print_path, print_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from iodine_kit.store import Store
    from iodine_kit.store.contents import Contents
    from iodine_kit.store.garbage import Removal, Rules
    from iodine_kit.store.tags import Tag

_DAY = 86_400.0
JsonObjectOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def tag(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Name of the tag. Defaults to all tags.", show_default=False)
    ] = None,
    place: Annotated[
        str | None, typer.Argument(metavar="ARTIFACT", help="The artifact that gets this name.", show_default=False)
    ] = None,
    delete: Annotated[bool, typer.Option("--delete", help="Delete the tag; the artifact stays.")] = False,
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonObjectOption = False,
) -> None:
    """Give an artifact a name, which every command accepts as tag:NAME; without ARTIFACT, print what tags name.

    'iodine-kit gc' never removes an artifact with a tag, or anything that it was made from.
    """
    from iodine_kit.store.tags import add_tag, delete_tag, find_tag, tagged

    shelf = store_at(store)
    if name is None:
        if delete:
            raise typer.BadParameter("name the tag to delete", param_hint="NAME")
        _list_tags(shelf, as_json)
    elif delete:
        if place is not None:
            raise typer.BadParameter("--delete takes the name of a tag only", param_hint="ARTIFACT")
        delete_tag(shelf, name)
    elif place is None:
        path = tagged(shelf, name).path
        _print_tag(find_tag(shelf, name), path, as_json)
    else:
        artifact = shelf.open(place)
        _print_tag(add_tag(shelf, name, artifact), artifact.path, as_json)


def _print_tag(one: Tag, path: Path, as_json: bool) -> None:
    if as_json:
        print_json({"tag": one.name, "artifact": str(path), "created": one.created})
    else:
        print_path(path)


def _list_tags(store: Store, as_json: bool) -> None:
    from iodine_kit.cli.console import Terminal
    from iodine_kit.store.tags import all_tags

    tags, damaged = all_tags(store)
    rows = [(one, _state(store, one)) for one in tags]
    if as_json:
        print_json([{"tag": one.name, "artifact": str(store.place(one.artifact)), "created": one.created,
                     **({"problem": state} if state else {})} for one, state in rows])  # fmt: skip
        return
    width = max((len(one.name) for one in tags), default=0)
    for one, state in rows:
        print_text(
            f"{one.name:<{width}}  {one.created}  {store.place(one.artifact)}" + (f"  ({state})" if state else "")
        )
    for path in damaged:
        remedy = completed(f"delete it with 'iodine-kit tag --delete {path.stem}'")
        print_text(f"{path.stem:<{width}}  damaged: {remedy}")
    if not tags and not damaged:
        Terminal().note(f"no tags in {store.root}: make one with 'iodine-kit tag NAME ARTIFACT'")


def _state(store: Store, one: Tag) -> str:
    """What is wrong with the artifact of a tag; "" if nothing is."""
    from iodine_kit.store.lineage import input_of

    status = input_of(store, "tag", one.artifact).status
    return "" if status == "in the store" else status


def gc(
    places: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="ARTIFACT...", help=f"Remove these, however old they are. {ARTIFACT_HELP}", show_default=False
        ),
    ] = None,
    older_than: Annotated[
        float, typer.Option("--older-than", metavar="DAYS", min=0, help="Remove what was not used for this long.")
    ] = 30.0,
    kind: Annotated[
        list[str] | None,
        typer.Option("--kind", metavar="KIND", help="Remove only artifacts of this kind, such as run (repeatable)."),
    ] = None,
    all_kinds: Annotated[bool, typer.Option("--all", help="Remove runs, downloads, reports and studies, too.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Remove without a question.")] = False,
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonObjectOption = False,
) -> None:
    """Remove artifacts that nothing needs, and what interrupted commands left; prints first what that is.

    Without --yes, a terminal is asked, and elsewhere nothing is removed. Never removed: what a tag names, what any
    remaining artifact was made from, and what a process is working on. Without ARTIFACT: nor runs, downloads, reports
    and studies, unless --kind or --all asks for them.
    """
    from iodine_kit.store.contents import contents
    from iodine_kit.store.garbage import Rules, removable, still_removable
    from iodine_kit.store.removal import named, refuse_if_used, remove

    shelf = store_at(store)
    check_kinds(kind or (), shelf)
    rules = Rules(older_than * _DAY, frozenset(kind or ()), all_kinds)
    if places and (kind or all_kinds):
        raise typer.BadParameter("name artifacts, or select them with --kind and --all", param_hint="ARTIFACT")

    there = contents(shelf)
    chosen = named(shelf, places, there) if places else removable(shelf, rules, there)

    def still(now: Contents) -> Sequence[Removal]:
        if not places:
            return still_removable(shelf, rules, chosen, now)
        refuse_if_used([one.path for one in chosen], now)
        return chosen

    if not as_json:
        _print_removals(chosen)
    if not places:
        _note_kept(shelf, rules, chosen, there)
    removed = remove(shelf, chosen, there, still) if chosen and (yes or _confirmed(chosen, as_json)) else []
    if as_json:
        print_json({"artifacts": [_as_json(one) for one in chosen], "bytes": sum(one.size for one in chosen),
                    "removed": [str(one.path) for one in removed]})  # fmt: skip
    _note_removed(chosen, removed, shelf)


def _as_json(one: Removal) -> dict[str, Any]:
    return {"path": str(one.path), "what": one.what, "bytes": one.size, "why": one.why}


def _print_removals(chosen: list[Removal]) -> None:
    from iodine_kit.formatting import byte_size

    width = max((len(one.what) for one in chosen), default=0)
    for one in chosen:
        print_text(f"{byte_size(one.size):>9}  {one.what:<{width}}  {one.path}  ({one.why})")


def _confirmed(chosen: list[Removal], as_json: bool) -> bool:
    """Ask in a terminal; elsewhere the answer is no."""
    from iodine_kit.formatting import byte_size

    if as_json or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    return typer.confirm(f"Remove all of the above ({byte_size(sum(one.size for one in chosen))})?", err=True)


def _note_kept(store: Store, rules: Rules, chosen: list[Removal], there: Contents) -> None:
    """Say what would be removed if the user asked for it, and what prevents any removal."""
    from collections import Counter

    from iodine_kit.cli.console import Terminal
    from iodine_kit.formatting import byte_size, counted
    from iodine_kit.store.garbage import PRECIOUS, removable

    for path in there.unknown:
        reason = f"no artifact is removed, because {path} is damaged, so that nobody knows what it needs"
        Terminal().note(f"{reason}; {_remedy(path)}")
    if rules.kinds or rules.all_kinds:
        return
    more = [one for one in removable(store, replace(rules, all_kinds=True), there) if one not in chosen]
    counts = Counter(one.what for one in more if one.path.parent.name in PRECIOUS)
    if counts:
        kept = ", ".join(counted(count, what) for what, count in sorted(counts.items()))
        size = byte_size(sum(one.size for one in more))
        Terminal().note(f"kept: {kept}, and what they need ({size}); --all removes them, too")


def _remedy(path: Any) -> str:
    from iodine_kit.store.manifest import REBUILD

    if path.suffix == ".json":
        return f"delete it with 'iodine-kit tag --delete {path.stem}'"
    return f"{REBUILD}, or remove it with 'iodine-kit gc {path.parent.name}/{path.name}'"


def _note_removed(chosen: list[Removal], removed: list[Removal], store: Store) -> None:
    from iodine_kit.cli.console import Terminal
    from iodine_kit.formatting import byte_size

    if not chosen:
        Terminal().note(
            "nothing to remove" if store.root.exists() else f"nothing to remove: {store.root} does not exist"
        )
    elif not removed:
        size = byte_size(sum(one.size for one in chosen))
        Terminal().note(f"nothing was removed; --yes removes {len(chosen)} of the above, {size}")
    else:
        Terminal().note(f"removed {len(removed)}, {byte_size(sum(one.size for one in removed))}")
        if len(removed) < len(chosen):
            Terminal().note(f"{len(chosen) - len(removed)} came into use meanwhile and stay")

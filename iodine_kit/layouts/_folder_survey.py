"""What a folder of pictures holds: one survey gives the files, the records, and the sentences about them."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from iodine_kit.errors import IodineKitError, SourceError, StorageError
from iodine_kit.layouts import Survey
from iodine_kit.layouts._folder_listing import Listing, Lists, Picture, find_lists, is_below, list_sources
from iodine_kit.layouts._folder_names import MASKS, is_only_masks, meaning, same_name
from iodine_kit.layouts._folder_pairs import Group, group
from iodine_kit.layouts._folder_questions import (
    refuse_named_masks,
    refuse_unknown_masks,
    refuse_unreadable_masks,
    require_pairs,
)
from iodine_kit.layouts._folder_roles import Chosen, Options, Parts, Roles
from iodine_kit.layouts._folder_sentences import Findings, facts, sentences
from iodine_kit.untrusted.folders import natural_order, one_form, scene_keys
from iodine_kit.untrusted.pictures import SUFFIXES


@dataclass(frozen=True)
class Record:
    """One image of a source.

    Attributes:
        image: its path.
        masks: paths of its mask; several if each holds one object; none without masks.
        split: empty without splits.
        key: of its scene, unique within its split.
    """

    image: Path
    masks: tuple[Path, ...]
    split: str
    key: str


@dataclass(frozen=True)
class FolderSurvey(Survey):
    """What a folder of pictures holds.

    Attributes:
        records: in natural order of the paths of the images.
    """

    records: tuple[Record, ...] = ()


def survey(roots: Sequence[Path], options: Options) -> FolderSurvey:
    """Survey folders; the time is linear in the number of files, and only a few pictures are opened.

    Raises:
        SourceError: there are no images, or images and masks do not match.
        SchemaError: the names allow two readings; the message names the options.
        StorageError: the operating system refuses to list a folder.
    """
    findings = _survey(roots, options, options.masks, options.unpaired == "skip")
    ordered = sorted(findings.grouping.groups, key=lambda one: natural_order(one.image.below))
    records = _records(ordered, findings.roles)
    files = dict.fromkeys(path for record in records for path in (record.image, *record.masks))
    listed = findings.lists
    auxiliary = {*listed, *(mask for record in records for mask in record.masks)}
    found = replace(findings, grouping=replace(findings.grouping, groups=ordered))
    return FolderSurvey([*files, *listed], auxiliary, sentences(found), facts(found), records)


def _survey(roots: Sequence[Path], options: Options, masks: str, skip: bool) -> Findings:
    """The findings with a value of ``layout.masks``."""
    chosen, findings = _paired(roots, options, masks)
    _require_images(roots, findings)
    if not chosen and not options.images:
        note = refuse_named_masks(findings, lambda name, omit: _works(roots, options, name, omit))
        findings = replace(findings, notes=(*findings.notes, *filter(None, [note])))
        refuse_unknown_masks(findings.grouping.groups, bool(findings.roles.names))
    if not chosen.none:
        refuse_unreadable_masks(findings)
    if options.splits == "auto" and not findings.roles.names:
        lists = find_lists(roots, findings.listing, [one.image for one in findings.grouping.groups])
        findings = _listed(findings, lists) if lists else findings
    return require_pairs(findings, skip and not chosen.none, chosen)


def _works(roots: Sequence[Path], options: Options, masks: str, skip: bool) -> bool:
    """Whether masks are found with a value of ``layout.masks``, and none is left among the images."""
    try:
        groups = _survey(roots, options, masks, skip).grouping.groups
    except IodineKitError:
        return False
    return all(one.masks for one in groups)


def _paired(roots: Sequence[Path], options: Options, masks: str) -> tuple[Chosen, Findings]:
    """What a value of ``layout.masks`` means, and the images with their masks."""
    chosen, elsewhere = _chosen(roots, masks)
    findings = _find(roots, options, chosen, elsewhere)
    if chosen.name and not findings.roles.has_masks:  # the name of no folder, but perhaps the end of names: amask.png
        ends = Chosen(affix=chosen.name)
        found = _find(roots, options, ends, elsewhere)
        chosen, findings = (ends, found) if found.grouping.masks else (chosen, findings)
    if not elsewhere and not findings.grouping.has_masks:
        findings = _beside(findings, roots, options, chosen)
    if chosen.name and not findings.roles.has_masks:
        raise SourceError(f"{roots[0] / masks}: no such folder, and none with this name has pictures; check it")
    if chosen.affix and not findings.grouping.masks:
        raise SourceError(
            f"{roots[0]}: no picture has a name that begins or ends with {chosen.affix}, as layout.masks says: correct "
            "it, omit it, or ignore masks with --set layout.masks=none"
        )
    return chosen, findings


def _chosen(roots: Sequence[Path], masks: str) -> tuple[Chosen, dict[Parts, Path]]:
    """What ``layout.masks`` means, and the folders that it names outside of the sources, by the parts that they get."""
    if masks in ("", "none"):
        return Chosen(none=bool(masks)), {}
    is_affix = re.fullmatch(r"[_\-][^/]*|[^/]*[_\-]|\.\w[^/]*", masks)
    if is_affix and not any((root / masks).is_dir() for root in roots):
        stem, suffix = os.path.splitext(masks)  # noqa: PTH122 - as text: "_mask.png"
        return Chosen(affix=stem if suffix.lower() in SUFFIXES else masks), {}
    targets = [os.path.normpath(root.absolute() / masks) for root in roots]
    outside = f"{Path(masks).name}/"  # no folder has a slash in its name
    paths: list[Parts] = []
    elsewhere: dict[Parts, Path] = {}
    for root, prefix, target in zip(roots, _prefixes(roots), targets, strict=True):
        below = os.path.relpath(target, root.absolute())
        if is_below(target, str(root.absolute())):
            paths.append((*prefix, *Path(below).parts))
        elif not any(is_below(target, str(other.absolute())) for other in roots):
            paths.append((*(prefix[:-1] if len(set(targets)) > 1 else ()), outside))
            elsewhere[paths[-1]] = root / below
    name = os.path.normpath(masks)
    if not elsewhere and len(Path(name).parts) == 1:
        return Chosen(name=name), {}
    return Chosen(paths=tuple(paths)), elsewhere


def _prefixes(roots: Sequence[Path]) -> list[Parts]:
    """With several sources, the names in which their paths differ are part of the paths below them."""
    paths = [root.absolute() for root in roots]
    common = len(Path(os.path.commonpath(paths)).parts)
    return [path.parts[common:] for path in paths]


def _beside(found: Findings, roots: Sequence[Path], options: Options, chosen: Chosen) -> Findings:
    """The findings with the folders of masks beside the sources, if they have masks of the images."""
    folders: dict[Parts, Path] = {}
    for root, prefix in zip(roots, _prefixes(roots), strict=True):
        folders |= {(*prefix[:-1], path.name): path for path in _masks_beside(root, roots, chosen)}
    notes = []
    if not chosen:  # nobody named these folders, so that the work does not depend on them
        for parts, path in [*folders.items()]:
            try:
                list_sources([path, *roots], options.links)
            except (SourceError, StorageError) as error:
                notes.append(f"masks beside the source are not used: {error}")
                del folders[parts]
    findings = _find(roots, options, chosen, folders) if folders else found
    return replace(findings if any(one.masks for one in findings.grouping.groups) else found, notes=tuple(notes))


def _masks_beside(root: Path, roots: Sequence[Path], chosen: Chosen) -> list[Path]:
    """The folders of masks beside a source; no other source is one of them, or is in one of them."""
    root = root.absolute()
    try:
        with os.scandir(root.parent) as listed:
            names = sorted(entry.name for entry in listed if entry.is_dir())
    except OSError:
        return []
    wanted = [name for name in names if same_name(name, chosen.name) or (not chosen and is_only_masks(name, root.name))]
    real = [os.path.realpath(other) for other in roots]
    found = [(root.parent / name, os.path.realpath(root.parent / name)) for name in wanted]
    return [path for path, to in found if not any(is_below(other, to) or is_below(to, other) for other in real)]


def _find(roots: Sequence[Path], options: Options, chosen: Chosen, elsewhere: dict[Parts, Path]) -> Findings:
    """List the files and give every mask to its image."""
    prefixes = [*_prefixes(roots), *elsewhere]
    listing = list_sources([*roots, *elsewhere.values()], options.links, prefixes)
    pictures = _once(listing, chosen)
    roles = Roles(pictures, chosen, options)
    return Findings(roots[0], listing, roles, group(pictures, roles, chosen))


def _once(listing: Listing, chosen: Chosen) -> list[Picture]:
    """The pictures without images that are listed twice, by links."""
    kept: dict[tuple[str, str], Picture] = {}
    for picture in listing.pictures:
        said = [meaning(part) for part in picture.parts]
        is_mask = any(one.role == MASKS for one in said) or bool(chosen)
        key = (picture.real, picture.path if is_mask else "")  # images may share a mask
        other = kept.setdefault(key, picture)
        if other is picture:
            continue
        splits = [{meaning(part).split for part in one.parts} - {""} for one in (other, picture)]
        if (splits[0] and splits[1] and splits[0] != splits[1]) or not (other.linked or picture.linked):
            raise SourceError(
                f"{picture.path}: is the same file as {other.path}, so that its scene counts twice; name it once"
            )
        listing.repeated += 1
        if (bool(splits[1]), not picture.linked) > (bool(splits[0]), not other.linked):
            kept[key] = picture
    return list(kept.values())


def _require_images(roots: Sequence[Path], findings: Findings) -> None:
    if findings.grouping.groups:
        return
    root = roots[0]
    others = [*findings.grouping.masks, *findings.grouping.unused]
    if others:
        folder = Path(min(picture.path for picture in others)).parent
        raise SourceError(
            f"{root}: this folder has no images: the names of all {len(others)} pictures mean masks, or are not those "
            f"of layout.images; if they are images, give the folder that has them, such as --source {folder}"
        )
    kinds = ", ".join(sorted(SUFFIXES))
    skipped = findings.skipped_text()
    has = f" but {skipped}" if skipped else ""
    raise SourceError(
        f"{root}: this folder has no images ({kinds}){has}; give the folder that has them{findings.conversion()}"
    )


def _listed(findings: Findings, lists: Lists) -> Findings:
    """Only the images that lists name, with their splits."""
    kept = [one for one in findings.grouping.groups if id(one.image) in lists.splits]
    for one in kept:
        one.split = lists.splits[id(one.image)]
    unlisted = len(findings.grouping.groups) - len(kept)
    return replace(findings, grouping=replace(findings.grouping, groups=kept), unlisted=unlisted, lists=lists.files)


def _records(groups: Sequence[Group], roles: Roles) -> tuple[Record, ...]:
    names_by_split: dict[str, list[PurePosixPath]] = defaultdict(list)
    for one, folders in zip(groups, _key_folders(groups, roles), strict=True):
        names_by_split[one.split].append(PurePosixPath(*folders, one.image.name))
    keys = {split: iter(scene_keys(names)) for split, names in names_by_split.items()}
    return tuple(
        Record(
            Path(one.image.path),
            tuple(Path(mask.path) for mask, _ in sorted(one.masks, key=lambda mask: natural_order(mask[0].below))),
            one.split,
            next(keys[one.split]),
        )
        for one in groups
    )


def _key_folders(groups: Sequence[Group], roles: Roles) -> list[Parts]:
    """The folders in the keys of scenes: few, but enough to tell pictures of different folders apart."""
    places = [roles.place(one.image) for one in groups]
    short = [place.from_part(one.image.start) for place, one in zip(places, groups, strict=True)]
    full = [place.rest for place in places]
    chosen = full if any(_shared(groups, short)) else short
    return [
        tuple(map(one_form, one.image.parts)) if shared else folders
        for one, folders, shared in zip(groups, chosen, _shared(groups, chosen), strict=True)
    ]


def _shared(groups: Sequence[Group], folders: Sequence[Parts]) -> list[bool]:
    """Whether a picture of another folder would have the same key."""
    owners: dict[tuple[str, Parts, str], set[Parts]] = defaultdict(set)
    names = [(one.split, below, one_form(one.image.stem)) for one, below in zip(groups, folders, strict=True)]
    for name, one in zip(names, groups, strict=True):
        owners[name].add(one.image.parts)
    return [len(owners[name]) > 1 for name in names]

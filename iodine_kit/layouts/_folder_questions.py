"""What is asked where the names of folders and files allow two readings: one sentence that names the options."""

from __future__ import annotations

import shlex
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np

from iodine_kit.errors import IodineKitError, SchemaError, SourceError
from iodine_kit.formatting import counted
from iodine_kit.layouts._folder_listing import Picture
from iodine_kit.layouts._folder_names import IMAGES, MASKS, affix_forms, mask_forms, mask_word, meaning
from iodine_kit.layouts._folder_pairs import Group
from iodine_kit.layouts._folder_roles import Chosen, Parts
from iodine_kit.layouts._folder_sentences import Findings, listed
from iodine_kit.untrusted.folders import natural_order, one_form
from iodine_kit.untrusted.mask_pixels import pixels_of
from iodine_kit.untrusted.pictures import load

_FIX = "fix its name, add the missing file"
_IGNORE = "ignore masks with --set layout.masks=none"
_UNREADABLE = (
    *(".gif", ".npy", ".npz", ".mat", ".h5", ".hdf5", ".tga", ".ppm", ".pgm", ".pbm", ".pnm", ".exr", ".pkl", ".svg"),
    *(".jp2", ".heic", ".avif", ".nii", ".gz", ".mha", ".dcm"),
)
_LOOKED_AT = 3
_FEW = 64
"""A picture with at most this many values or colours can be a mask."""
_MANY = 255
_MOST_NAMES = 4
"""More folders of the same kind than this are categories or scenes."""


def refuse_unknown_masks(groups: Sequence[Group], in_splits: bool) -> None:
    """Refuse images of which some are probably masks: they have the names of others, and look like masks.

    Folders of two splits are not compared, if the images are ``in_splits``.

    Raises:
        SchemaError: it says how to say what they are.
    """
    images = [one.image for one in groups]
    for first, second, pairs in [*_paired_folders(images), *_paired_names(images), *_paired_suffixes(images)]:
        if in_splits and "/" in first and meaning(first[:-1]).split and meaning(second[:-1]).split:
            continue
        one, other = (
            Counter(_look(pair[side].path) for pair in pairs[:_LOOKED_AT]).most_common(1)[0][0] for side in (0, 1)
        )
        is_folder = first.endswith("/")
        known = is_folder and (meaning(first[:-1]).role == IMAGES) != (meaning(second[:-1]).role == IMAGES)
        if not known and not _differ(one, other):
            continue
        swapped = one > other and first and not known
        if swapped or (is_folder and meaning(second[:-1]).role == IMAGES):
            first, second = second, first
        raise SchemaError(_question(first, second, pairs[0], len(pairs)))


def refuse_named_masks(findings: Findings, works: Callable[[str, bool], bool]) -> str:
    """Refuse images without masks whose own names, or those of their folders, have a word for masks.

    Pictures that look like photographs are not refused, and the result is a note about them.

    Args:
        findings: so far.
        works: whether every mask has an image with a value of ``layout.masks``, if what has no counterpart is omitted.

    Raises:
        SchemaError: it names the options that work.
    """
    with_masks = {one.split for one in findings.grouping.groups if one.masks}
    bare = [one.image for one in findings.grouping.groups if one.split not in with_masks]
    words = {id(image): _word(image, findings) for image in bare}
    likely = [image for image in bare if words[id(image)][0]]
    if not likely:
        return ""
    is_sure = any(words[id(image)][1] for image in likely)
    likely = [image for image in likely if words[id(image)][1] == is_sure]
    looks = [_look(image.path) for image in likely[:_LOOKED_AT]]
    others = [_look(image.path) for image in [one for one in bare if not words[id(one)][0]][:_LOOKED_AT]]
    word = words[id(likely[0])][0].strip("_-. ()[]")
    named = f"{counted(len(likely), 'picture')} with the word {word} in their names or folders"
    if not is_sure and not any(_differ(looks[0], other) for other in others):
        return ""
    if max(looks) == 0:
        return f"{named} look like photographs, and are images"
    remedies = [
        f"--set {shlex.quote(f'layout.masks={masks}')}" + " --set layout.unpaired=skip" * skip
        for masks, skip in _working(likely[0], works)
    ]
    remedy = (
        f"add {' or '.join(remedies)}" if remedies else "give each the name of its image and _mask: a.jpg, a_mask.png"
    )
    raise SchemaError(
        f"{likely[0].path}: {named} may be masks: if they are, {remedy}; if all are images, add --set layout.masks=none"
    )


def _word(image: Picture, findings: Findings) -> tuple[str, bool]:
    """A word for masks in the name of a picture or its folders, and whether it is sure."""
    parts = image.parts if findings.roles.place(image).role == "" else ()
    return max((mask_word(name) for name in (image.stem, *parts)), key=lambda one: (one[1], bool(one[0])))


def _working(image: Picture, works: Callable[[str, bool], bool]) -> Iterator[tuple[str, bool]]:
    """Values of ``layout.masks`` with which a picture is a mask, and whether something must be omitted."""
    names = [part for part in reversed(image.parts) if mask_word(part)[0]]
    names += [word for word in [mask_word(image.stem)[0]] if word and word != one_form(image.stem)]
    for name in names:
        skip = next((skip for skip in (False, True) if works(name, skip)), None)
        if skip is not None:
            yield name, skip


def refuse_unreadable_masks(findings: Findings) -> None:
    """Refuse a source whose masks are files that are no pictures for this layout, such as GIF or NumPy files.

    Raises:
        SourceError: it names the folder and its files.
    """
    if findings.grouping.has_masks:
        return
    for parts, names in sorted(findings.listing.others.items()):
        suffixes = Counter(Path(name).suffix.lower() for name in names)
        unreadable = [suffix for suffix in suffixes if suffix in _UNREADABLE]
        if unreadable and any(meaning(part).role == MASKS for part in parts):
            raise SourceError(
                f"{findings.root.joinpath(*parts)}: has {suffixes[unreadable[0]]} {unreadable[0]} files, which cannot "
                "be read as masks: convert them to PNG, or ignore masks with --set layout.masks=none"
            )


def require_pairs(findings: Findings, skip: bool, chosen: Chosen) -> Findings:
    """Check that every image has one mask, and every mask an image; with ``skip``, omit those that lack the other.

    Raises:
        SourceError: an image or a mask has no counterpart; the likely reason is a wrong name.
        SchemaError: an image has two masks.
    """
    grouping = findings.grouping
    for one in grouping.groups:
        _require_one_kind(one, findings)
    with_masks = {one.split for one in grouping.groups if one.masks}
    expected = with_masks or {one.split for one in grouping.groups if grouping.masks or chosen.in_folders}
    lacking = [one for one in grouping.groups if not one.masks and one.split in expected and not chosen.none]
    skips_images = skip or (findings.roles.is_voc and bool(with_masks))
    if lacking and not skips_images:
        count = f"{len(lacking)} of {len(grouping.groups)} images have none{_spare_text(findings)}"
        first = min(lacking, key=lambda one: natural_order(one.image.below)).image
        raise SourceError(
            f"{first.path}: has no mask; {count}: {_FIX}, omit what has no "
            f"counterpart with --set layout.unpaired=skip, or {_IGNORE}"
        )
    if grouping.spare and not skip:
        spare = min(grouping.spare, key=lambda mask: natural_order(mask.below))
        count = f"{len(grouping.spare)} of {len(grouping.masks)} masks have none"
        raise SourceError(
            f"{spare.path}: is the mask of no image; {count}: {_FIX}, omit what has no counterpart with --set "
            f"layout.unpaired=skip, or {_IGNORE}"
        )
    if not lacking:
        return findings
    kept = [one for one in grouping.groups if one.masks or one.split not in expected]
    if not kept:
        raise SourceError(f"{lacking[0].image.path}: no image has a mask, so that none is left: {_FIX}, or {_IGNORE}")
    return replace(findings, grouping=replace(grouping, groups=kept), unmasked=len(lacking))


def _spare_text(findings: Findings) -> str:
    """Names a mask if none has an image, so that it is clear what does not fit."""
    spare = findings.grouping.spare
    if not spare or len(spare) < len(findings.grouping.masks):
        return ""
    first = min(spare, key=lambda mask: natural_order(mask.below)).below
    return f", and the names of all {counted(len(spare), 'mask')} fit no image, such as {first}"


def _require_one_kind(one: Group, findings: Findings) -> None:
    kinds = list(dict.fromkeys(kind for _, kind in one.masks))
    if len(kinds) > 1:
        at = 0 if len({folder for folder, _ in kinds}) > 1 else 1
        names = sorted({kind[at] or kind[1 - at] for kind in kinds})
        options = listed((f"--set layout.masks={name}" for name in names), "or")
        found = f"{'two' if len(names) == 2 else 'several'} kinds, {listed(names)}"
        raise SchemaError(f"{one.image.path}: has masks of {found}: choose one with {options}, or {_IGNORE}")
    if len(one.whole) > 1:
        first, second = (mask.path for mask, _ in one.whole[:2])
        raise SchemaError(f"{one.image.path}: has two masks, {first} and {second}: remove one, or {_IGNORE}")


def _question(image: str, mask: str, pair: tuple[Picture, Picture], count: int) -> str:
    if image.endswith("/"):
        name = mask[:-1]
        return (
            f"{pair[0].root}: {count} pictures in {image} and in {mask} have the same names: if those in {mask} are "
            f"masks, add --set layout.masks={name}; if all are images, add --set layout.masks=none; if {mask} is to be "
            f"omitted, add --set layout.images={image[:-1]}"
        )
    return (
        f"{pair[0].root}: {count} pictures have the name of another one with {mask} ({pair[0].name}, {pair[1].name}): "
        f"if these are masks, add --set layout.masks={mask}; if all are images, add --set layout.masks=none"
    )


def _paired_folders(images: Sequence[Picture]) -> Iterator[tuple[str, str, list[tuple[Picture, Picture]]]]:
    """Pairs of folders such as ``foo/`` and ``bar/``, at any depth, with pictures of the same names."""
    inside = _names(images)
    alike: dict[tuple[Parts, Parts], dict[str, Parts]] = defaultdict(dict)
    for parts in inside:
        for at, part in enumerate(parts):
            alike[parts[:at], parts[at + 1 :]][part] = parts
    found: dict[tuple[str, str], list[tuple[Picture, Picture]]] = defaultdict(list)
    sizes = Counter[tuple[str, str]]()
    for names in alike.values():
        for first, second in combinations(sorted(names), 2) if len(names) <= _MOST_NAMES else ():
            one, two = inside[names[first]], inside[names[second]]
            sizes[first, second] += min(len(one), len(two))
            found[first, second] += [(one[stem], two[stem]) for stem in one if stem in two]
    for (first, second), pairs in found.items():
        if len(pairs) * 2 >= sizes[first, second] > 0:
            yield f"{first}/", f"{second}/", sorted(pairs, key=lambda pair: natural_order(pair[0].below))


def _names(images: Sequence[Picture]) -> dict[Parts, dict[str, Picture]]:
    """The pictures of each folder by their names, with and without what says that they are masks."""
    inside: dict[Parts, dict[str, Picture]] = defaultdict(dict)
    for image in images:
        inside[image.parts][one_form(image.stem)] = image
    for image in images:
        for base, _ in mask_forms(image.stem):
            inside[image.parts].setdefault(base, image)
    return inside


def _paired_names(images: Sequence[Picture]) -> Iterator[tuple[str, str, list[tuple[Picture, Picture]]]]:
    """Ends or beginnings such as ``_bar`` that many pictures have whose name without them is another picture's."""
    names = {(image.parts, one_form(image.stem)): image for image in images}
    found: dict[str, list[tuple[Picture, Picture]]] = defaultdict(list)
    for (parts, stem), image in names.items():
        for base, affix in affix_forms(stem):
            if (parts, base) in names and not affix.strip("_-. ").isdecimal():
                found[affix].append((names[parts, base], image))
    for affix, pairs in found.items():
        if len(pairs) * 3 >= len(images):  # in a pair of two, and in a triple of three
            yield "", affix, sorted(pairs, key=lambda pair: natural_order(pair[0].below))


def _paired_suffixes(images: Sequence[Picture]) -> Iterator[tuple[str, str, list[tuple[Picture, Picture]]]]:
    """Suffixes such as ``.jpg`` and ``.png`` of pictures with the same name in the same folder."""
    named: dict[tuple[Parts, str], dict[str, Picture]] = defaultdict(dict)
    for image in images:
        named[image.parts, one_form(image.stem)][image.name[len(image.stem) :].lower()] = image
    found: dict[tuple[str, str], list[tuple[Picture, Picture]]] = defaultdict(list)
    for same in named.values():
        for first, second in combinations(sorted(same), 2):
            found[first, second].append((same[first], same[second]))
    for (first, second), pairs in found.items():
        yield first, second, sorted(pairs, key=lambda pair: natural_order(pair[0].below))


def _look(path: str) -> int:
    """How much a picture looks like a mask: 3 grey or palette of few values, 2 few colours, 1 unclear, 0 not at all."""
    try:
        pixels = pixels_of(load(Path(path), path), path)
    except IodineKitError:
        return 1
    values, is_colour = len(np.unique(pixels.values)), pixels.kind == "colour"
    if values <= _FEW:
        return 2 if is_colour else 3
    return 0 if values > _MANY else 1


def _differ(one: int, other: int) -> bool:
    """Whether one of the two kinds of pictures looks like masks of the other."""
    return max(one, other) == 3 != min(one, other) or {one, other} == {0, 2}

"""Find the image of every mask: by the folders, and by the name without what says that it is a mask."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from string import ascii_letters

from iodine_kit.errors import SchemaError
from iodine_kit.layouts._folder_listing import Picture
from iodine_kit.layouts._folder_names import (
    IMAGES,
    MASKS,
    affix_forms,
    image_forms,
    mask_forms,
    meaning,
    numbered,
    same_name,
    word_of,
)
from iodine_kit.layouts._folder_roles import UNUSED, Chosen, Parts, Place, Roles
from iodine_kit.untrusted.folders import one_form

_FOLDER = "/"  # instead of an affix: the folder of the masks has the name of the image
_ENOUGH = 2  # proofs that a word marks masks: one image with a mask, or two folders with a file called mask
_LOSSLESS = (".png", ".bmp", ".tif", ".tiff")
Kind = tuple[str, str]
"""Why a picture is a mask: the name of its folder, and the words of its own name; either may be empty."""


@dataclass
class Group:
    """An image with all its masks.

    Attributes:
        whole: files that hold the whole mask; more than one is a mistake.
        parts: files of several, each with one object.
    """

    image: Picture
    split: str
    whole: list[tuple[Picture, Kind]] = field(default_factory=list)
    parts: list[tuple[Picture, Kind]] = field(default_factory=list)

    @property
    def masks(self) -> list[tuple[Picture, Kind]]:
        """The files of its mask."""
        return self.whole or self.parts


@dataclass
class Grouping:
    """The result of :func:`group`.

    Attributes:
        groups: one for each image.
        spare: masks that belong to no image.
        masks: all masks, spare ones included.
        unused: pictures that are neither.
    """

    groups: list[Group]
    spare: list[Picture] = field(default_factory=list)
    masks: list[Picture] = field(default_factory=list)
    unused: list[Picture] = field(default_factory=list)

    @property
    def has_masks(self) -> bool:
        """Whether there are masks, used or not."""
        return bool(self.masks or self.unused)


def group(pictures: Sequence[Picture], roles: Roles, chosen: Chosen) -> Grouping:
    """Give every mask to its image.

    Raises:
        SchemaError: a mask belongs to several images.
    """
    grouping = Grouping([])
    beside = _beside(pictures, roles, chosen)
    for picture in pictures:
        place, is_marked = roles.place(picture), id(picture) in beside
        if place.role not in (MASKS, UNUSED) and not is_marked:
            grouping.groups.append(Group(picture, place.split))
        elif _is_used(place, is_marked, chosen):
            grouping.masks.append(picture)
        else:
            grouping.unused.append(picture)
    index = _Index(grouping.groups, roles)
    for mask in grouping.masks:
        if not index.give(mask, roles.place(mask), chosen):
            grouping.spare.append(mask)
    if grouping.spare and len(grouping.spare) == len(grouping.masks):
        grouping.spare = _give_loosely(grouping, roles, chosen)
    for one in grouping.groups:
        lossless = [mask for mask in one.whole if mask[0].name.lower().endswith(_LOSSLESS)]
        one.whole = lossless or one.whole  # beside it, there may be a preview
        grouping.spare += [mask for mask, _ in one.parts if one.whole]
    return grouping


def _give_loosely(grouping: Grouping, roles: Roles, chosen: Chosen) -> list[Picture]:
    """Give masks to images whose names are a part of theirs, or the reverse: ``a_obj1`` to ``a``, ``a`` to ``a_0000``.

    Only if every mask has one image in this way: otherwise all are returned.
    """
    whole: dict[tuple[Parts | None, str], list[Group]] = defaultdict(list)
    longer: dict[tuple[Parts | None, str], list[Group]] = defaultdict(list)
    for one in grouping.groups:
        rest = roles.place(one.image).rest
        for names, found in ((set(image_forms(one.image.name)), whole), (_bases(one.image.stem), longer)):
            for name in names:
                found[rest, name].append(one)
                found[None, name].append(one)
    given: list[tuple[Group, Picture, str]] = []
    for mask in grouping.masks:
        rest, stem = roles.place(mask).rest, one_form(mask.stem)
        shorter = [*(base for base, _ in mask_forms(stem) if base), *_number(stem)]
        tries = [(whole, name) for name in sorted([*_bases(stem), *shorter], key=len, reverse=True)]
        tries += [(longer, name) for name in (stem, *shorter)]
        hits = (found.get((place, name), ()) for found, name in tries for place in (rest, None))
        hit = next((one[0] for one in hits if len(one) == 1), None)
        if not hit:
            return grouping.spare
        base = next((name for name in image_forms(hit.image.name) if name and name in stem), stem)
        given.append((hit, mask, word_of(stem.replace(base, "", 1))))
    for one, mask, words in given:
        place = roles.place(mask)
        one.parts.append((mask, (place.word if place.role == MASKS else "", chosen.affix or words)))
    return []


def _bases(stem: str) -> set[str]:
    """Beginnings and ends of a name, and the number of ``image3``."""
    return {base for base, _ in affix_forms(one_form(stem))} | _number(stem)


def _number(stem: str) -> set[str]:
    """The number of ``image3`` or ``mask3``."""
    number = stem.lstrip(ascii_letters)
    return {number} if number.isdecimal() and meaning(stem).role in (IMAGES, MASKS) else set()


def _is_used(place: Place, is_marked: bool, chosen: Chosen) -> bool:
    """Whether a picture that is no image is one of the chosen masks."""
    if chosen.none or (place.role == UNUSED and not is_marked):
        return False
    return is_marked if chosen.affix else place.role == MASKS or not chosen.in_folders


def _beside(pictures: Sequence[Picture], roles: Roles, chosen: Chosen) -> set[int]:
    """Pictures outside of folders of masks that are masks because of their names, by ``id``."""
    candidates = [picture for picture in pictures if chosen.affix or roles.place(picture).role != MASKS]
    names = {(picture.parts, form) for picture in candidates for form in image_forms(picture.name)}
    companions: dict[Parts, int] = defaultdict(int)
    marked: dict[str, list[Picture]] = defaultdict(list)
    proofs: dict[str, int] = defaultdict(int)
    forms = [(picture, _forms(picture, chosen)) for picture in candidates]
    for picture, found in forms:
        companions[picture.parts] += not found
    for picture, found in forms:
        for base, affix in found:
            word = word_of(affix)
            marked[word].append(picture)
            if base or companions[picture.parts] == 1:  # of mask.png, the image has any name
                proofs[word] += _ENOUGH * (bool(chosen.affix) or not base or (picture.parts, base) in names)
            else:
                proofs[word] += _ENOUGH if (picture.parts, "") in names else companions[picture.parts] > 1
    return {id(picture) for word, proof in proofs.items() if proof >= _ENOUGH for picture in marked[word]}


def _forms(picture: Picture, chosen: Chosen) -> list[tuple[str, str]]:
    """The names of the images whose mask a picture may be, and what marks it as a mask."""
    stem, suffix = picture.stem, picture.name[len(picture.stem) :]
    whole = [*_affixed(stem, suffix, chosen)]
    part = numbered(stem)
    return [
        *whole,
        *((numbered(base), affix) for base, affix in whole if numbered(base)),
        *(_affixed(part, suffix, chosen) if part else ()),
        *_inside(one_form(stem), one_form(chosen.affix)),
    ]


def _inside(stem: str, affix: str) -> Iterator[tuple[str, str]]:
    """With ``_mask``, ``a_mask_cat`` is one of several masks of ``a``."""
    at = stem.lower().find(affix.lower()) if affix else 0
    if at > 0 and stem[at + len(affix) :] and not stem[at + len(affix)].isalpha():
        yield stem[:at], affix


def _affixed(stem: str, suffix: str, chosen: Chosen) -> Iterator[tuple[str, str]]:
    if not chosen.affix:
        yield from mask_forms(stem)
        return
    stem, affix = one_form(stem), one_form(chosen.affix)
    if same_name(suffix, affix):
        yield stem, affix
    if len(stem) > len(affix) and same_name(stem[-len(affix) :], affix):
        yield stem[: -len(affix)], affix
    if len(stem) > len(affix) and same_name(stem[: len(affix)], affix):
        yield stem[len(affix) :], affix


class _Index:
    """The images by their folders and by every name that a mask of theirs can have."""

    def __init__(self, groups: Sequence[Group], roles: Roles) -> None:
        self._exact: dict[tuple[str, Parts, str], list[Group]] = defaultdict(list)
        self._loose: dict[tuple[str, Parts, str], list[Group]] = defaultdict(list)
        self._near: dict[tuple[str, Parts, str], Group | None] = {}  # None: there are several
        self._folders: dict[tuple[str, Parts], list[Group]] = defaultdict(list)
        for one in groups:
            place = roles.place(one.image)
            stem = one_form(one.image.stem)
            self._exact[place.split, place.rest, stem].append(one)
            self._folders[place.split, place.rest].append(one)
            for key in [(stem, place.rest[:end], to) for end in range(len(place.rest) + 1) for to in {place.split, ""}]:
                self._near[key] = None if key in self._near else one
            for form in {name.casefold() for name in image_forms(one.image.name)}:
                self._loose[place.split, place.rest, form].append(one)

    def give(self, mask: Picture, place: Place, chosen: Chosen) -> bool:
        """Give a mask to its image; whether there is one."""
        folder = place.word if place.role == MASKS else ""
        folders = dict.fromkeys((place.rest, _below(mask, place, chosen)))
        for base, affix, is_part in _names(mask, place, chosen):
            rests = [rest[:-1] if affix == _FOLDER else rest for rest in folders]
            found = next(filter(None, (self._named(mask, place.split, rest, base) for rest in rests)), None)
            if found:
                kind = (folder, "" if affix == _FOLDER else word_of(affix))
                (found.parts if is_part else found.whole).append((mask, kind))
                return True
        found = self._only(place)
        if found:
            found.parts.append((mask, (folder, "")))
            return True
        above = self._above(mask, place) if folder else None
        if above:
            above.whole.append((mask, (folder, "")))
        return above is not None

    def _above(self, mask: Picture, place: Place) -> Group | None:
        """The image of a mask that is in one more folder, such as ``annotations/trimaps/a.png``."""
        stem = one_form(mask.stem)
        found = [self._exact.get((place.split, place.rest[:end], stem), []) for end in range(len(place.rest))]
        return next((one[0] for one in reversed(found) if len(one) == 1), None)

    def _named(self, mask: Picture, split: str, rest: Parts, base: str) -> Group | None:
        exact = self._exact.get((split, rest, base), [])
        if len(exact) > 1:
            problem = f"{exact[0].image.path} has the same mask, {mask.path}"
            raise SchemaError(f"{exact[1].image.path}: {problem}; give every image its own name")
        loose = exact or self._loose.get((split, rest, base.casefold()), [])
        if loose:
            return loose[0] if len(loose) == 1 else None
        return self._near.get((base, rest, split))  # in a folder with an unknown name, or in any split

    def _only(self, place: Place) -> Group | None:
        """The one image of a scene that has a folder of its own."""
        inside = self._folders.get((place.split, place.rest), [])
        if len(inside) != 1 or not place.rest:
            return None
        is_scene = len(self._folders) > 1 or place.rest[-1] == one_form(inside[0].image.stem)
        return inside[0] if is_scene else None


def _below(mask: Picture, place: Place, chosen: Chosen) -> Parts:
    """The other folders of a mask without those that lead to the chosen folder in its source."""
    length = next((len(path) for path in chosen.paths if mask.parts[: len(path)] == path), mask.start)
    return tuple(part for at, part in zip(place.at, place.rest, strict=True) if not mask.start <= at < length)


def _names(mask: Picture, place: Place, chosen: Chosen) -> Iterator[tuple[str, str, bool]]:
    """The names of the image whose mask this can be, what marks it, and whether it is one of several files."""
    stem, in_folder = one_form(mask.stem), place.role == MASKS
    if in_folder and not chosen.affix:
        yield stem, "", False
    whole = [*_affixed(stem, mask.name[len(mask.stem) :], chosen)]
    for base, affix in whole:
        yield base, affix, not chosen.affix and any(map(str.isdigit, affix))
    if in_folder and place.rest:
        yield place.rest[-1], _FOLDER, True
        yield from ((base, _FOLDER, True) for base, _ in mask_forms(place.rest[-1]) if base)
    for base, affix in _forms(mask, chosen)[len(whole) :]:
        yield base, affix, True
    if in_folder and not chosen.affix and numbered(stem):
        yield numbered(stem), "", True

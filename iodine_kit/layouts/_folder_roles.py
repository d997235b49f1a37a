"""Which pictures of a source are images and which are masks, and which split their folders name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from iodine_kit.errors import SchemaError
from iodine_kit.layouts._folder_listing import Picture
from iodine_kit.layouts._folder_names import IMAGES, MASKS, meaning, same_name
from iodine_kit.untrusted.folders import one_form

UNUSED = "unused"
Parts = tuple[str, ...]


class Options(Protocol):
    """The options of the layout that choose files."""

    @property
    def masks(self) -> str: ...
    @property
    def images(self) -> str: ...
    @property
    def splits(self) -> str: ...
    @property
    def unpaired(self) -> str: ...
    @property
    def links(self) -> str: ...


@dataclass(frozen=True)
class Chosen:
    """Where the masks are, if ``layout.masks`` says so; all are empty if it does not.

    Attributes:
        none: whether masks are ignored.
        name: name of the folders of masks.
        paths: the folder of masks in each source, in parts.
        affix: what the names of masks end with, or begin with.
    """

    none: bool = False
    name: str = ""
    paths: tuple[Parts, ...] = ()
    affix: str = ""

    def __bool__(self) -> bool:
        return self != Chosen()

    @property
    def in_folders(self) -> bool:
        """Whether only certain folders have masks."""
        return bool(self.name or self.paths)


@dataclass(frozen=True)
class Place:
    """What the folders of a picture say.

    Attributes:
        role: :data:`IMAGES`, :data:`MASKS`, :data:`UNUSED`, or empty for an unknown name, which means an image.
        word: the name that says so.
        split: empty without splits.
        rest: the other folders: an image and its mask have the same ones.
        at: their positions among all folders.
    """

    role: str
    word: str
    split: str
    rest: Parts
    at: tuple[int, ...]

    def from_part(self, start: int) -> Parts:
        """The other folders from a position on."""
        return tuple(part for index, part in zip(self.at, self.rest, strict=True) if index >= start)


class Roles:
    """The places of all folders with pictures.

    Attributes:
        is_voc: whether the folders are those of PASCAL VOC, where many images have no mask.
        class_masks: whether masks of classes exist beside masks of objects, and are not used.
        doubtful: names of folders that may mean a split, and are not used because only some images are in them.
        has_masks: whether a folder is one of masks.
        names: names of folders, in lower case, with the split that each means; empty without splits.
    """

    def __init__(self, pictures: Sequence[Picture], chosen: Chosen, options: Options) -> None:
        """Decide.

        Raises:
            SchemaError: only some images are in folders of splits, or one is in two.
        """
        self._chosen, self._images = chosen, options.images
        self._ignores_splits = options.splits == "none"
        folders = Counter(picture.parts for picture in pictures)
        words = {part.lower() for parts in folders for part in parts}
        self.is_voc = "jpegimages" in words and not words.isdisjoint({"segmentationobject", "segmentationclass"})
        self.class_masks = not chosen and {"segmentationobject", "segmentationclass"} <= words
        self._is_deepest = True
        if not chosen and not any(self._role(parts)[0] == MASKS for parts in folders):
            self._is_deepest = False
        images = {parts: count for parts, count in folders.items() if self._role(parts)[0] in (IMAGES, "")}
        self.names = _split_names(images, pictures) if options.splits == "auto" else {}
        named = {part for parts in images for part in parts if meaning(part).split}
        self.doubtful = sorted(part for part in named if not self._split(part) and not self._ignores_splits)
        self._places = {parts: self._place(parts) for parts in folders}
        self.has_masks = any(place.role == MASKS for place in self._places.values())

    def place(self, picture: Picture) -> Place:
        """What the folders of a picture say."""
        return self._places[picture.parts]

    def _place(self, parts: Parts) -> Place:
        role, at = self._role(parts)
        rest: dict[int, str] = {}
        split = ""
        for index, part in enumerate(parts):
            own = self._split(part)
            split = split or own
            if index != at and not own:
                rest[index] = one_form(part)
            elif index == at and self._ignores_splits and meaning(part).split:
                rest[index] = meaning(part).split  # train_images is not the same folder as test_images
        return Place(role, parts[at] if at >= 0 else "", split, tuple(rest.values()), tuple(rest))

    def _split(self, part: str) -> str:
        said = meaning(part)
        return self.names.get(part.casefold(), said.split if self.names and said.sure else "")

    def _role(self, parts: Parts) -> tuple[str, int]:
        """The role of a folder, and the position of the part that decides it, or -1."""
        for path in self._chosen.paths:
            if parts[: len(path)] == path:
                return MASKS, len(path) - 1
        roles = [(self._part_role(part), index) for index, part in enumerate(parts)]
        found = [(role, index) for role, index in roles if role]
        if found:
            return found[-1 if self._is_deepest else 0]
        return (UNUSED if self._images else ""), -1

    def _part_role(self, part: str) -> str:
        if self._chosen.name and same_name(part, self._chosen.name):
            return MASKS
        if self._images and same_name(part, self._images):
            return IMAGES
        role = meaning(part).role
        if role == MASKS and (self._chosen or (self.class_masks and part.lower() == "segmentationclass")):
            return UNUSED
        return "" if role == IMAGES and self._images else role


def _split_names(folders: dict[Parts, int], pictures: Sequence[Picture]) -> dict[str, str]:
    """Names of folders, in lower case, with the split that each means; empty if the images are not in splits."""
    sure: dict[str, str] = {}
    unsure: dict[str, tuple[str, str]] = {}
    outside = Counter[str]()
    for parts, count in folders.items():
        found = [(part, meaning(part)) for part in parts if meaning(part).split]
        certain = {said.split: part for part, said in found if said.sure}
        if len(certain) > 1:
            first, second = certain.values()
            raise SchemaError(
                f"{_first(pictures, [parts])}: is below both {first}/ and {second}/: move it to one split, or ignore "
                "such names with --set layout.splits=none"
            )
        sure |= {part.casefold(): said.split for part, said in found if said.sure}
        unsure |= {part.casefold(): (part, said.split) for part, said in found if not said.sure and not certain}
        outside["sure" if certain else "unsure" if found else "none"] += count
    if sure and outside["none"]:
        lone = [parts for parts in folders if not any(meaning(part).split for part in parts)]
        names = " or ".join(f"{name}/" for name in sorted(sure))
        raise SchemaError(
            f"{_first(pictures, lone)}: is in no folder of a split, although other images are in {names}; "
            f"{outside['none']} of {outside.total()} images have no split: put all of them into splits, or ignore such "
            "names with --set layout.splits=none"
        )
    if outside["none"]:
        return {}
    return sure | _unsure_names(sure, unsure)


def _unsure_names(sure: dict[str, str], unsure: dict[str, tuple[str, str]]) -> dict[str, str]:
    """``stage1_train`` means train, but if several names mean one split (``testA``, ``testB``), each is its own."""
    times = Counter([*{*sure.values()}, *(split for _, split in unsure.values())])
    return {key: split if times[split] == 1 else re.sub(r"\W+", "_", part) for key, (part, split) in unsure.items()}


def _first(pictures: Iterable[Picture], folders: Sequence[Parts]) -> str:
    wanted = set(folders)
    return min(picture.path for picture in pictures if picture.parts in wanted)

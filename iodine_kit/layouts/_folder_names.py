"""What names of folders and files mean to people: images or masks, which split, and which picture a name belongs to.

Case, accents in two spellings, plural, and the way in which words are joined do not matter: ``JPEGImages``,
``label-ids``, ``Train_Masks``, ``val2017``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from iodine_kit.untrusted.folders import one_form

IMAGES, MASKS = "images", "masks"


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SPLITS = {
    **dict.fromkeys(("train", "training", "tr"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing", "ts"), "test"),
}
_SHORT = _set("tr ts")  # only together with a role: imagesTr, labelsTs
_IMAGE_WORDS = _set("image img picture pic photo photograph rgb frame input color colour original orig raw")
_MASK_WORDS = _set(
    "mask label labelmap labelid instanceid seg segm segmentation segmap gt groundtruth matte annot anno annotation "
    "maske masken masque"
)
_ALONE = _set("instance object target truth silhouette segmentationobject")
"""Words for masks, unless another word says what the pictures are: ``targets/``, but ``target_images/``."""
_HINTS = _set("inst lbl labeled labelled segmented annotated semantic panoptic")
"""Words that may mean masks; they alone decide nothing."""
_NOT_FOLDERS = _set("instance object")  # the plural means masks: instances/
_OTHER_WORDS = _set(
    "class classe semantic panoptic png jpeg jpg tif tiff bmp webp id index indice indexed binary full fine coarse "
    "ground all data file bit left right cropped resized final clean list by per and of"
)
"""Words that say nothing about role or split."""
_KNOWN = _SPLITS.keys() | _IMAGE_WORDS | _MASK_WORDS | _ALONE | _OTHER_WORDS
_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+|[^\W\d_]+")
_SEPARATED = re.compile(r"[_\-. ]+")
_NUMBERED = re.compile(r"(.*?)[_\-. ]+\d+")
_NUMBER = re.compile(r"[_\-. ]*\d+")
_MOST_PIECES = 3


@dataclass(frozen=True)
class Meaning:
    """What the name of a folder says.

    Attributes:
        role: :data:`IMAGES`, :data:`MASKS` or empty.
        split: ``train``, ``val``, ``test`` or empty.
        sure: whether the split is all that the name says, beside a role and a number; not so of ``stage1_train``.
        has_mask_word: whether a word for masks is among others that say nothing, as in ``PedMasks``.
    """

    role: str = ""
    split: str = ""
    sure: bool = True
    has_mask_word: bool = False


@lru_cache(4096)
def meaning(name: str) -> Meaning:
    """What a folder's name says."""
    words = _words(name)
    splits = {_SPLITS[word] for word in words & _SPLITS.keys()}
    unknown = words - _KNOWN
    plural = name.lower() == "instances"
    role = "" if unknown else _role(words, _ALONE if plural else _ALONE - _NOT_FOLDERS)
    if not role and words & _SHORT:
        splits, unknown = {_SPLITS[word] for word in words & _SPLITS.keys() - _SHORT}, unknown | (words & _SHORT)
    split = next(iter(splits)) if len(splits) == 1 else ""
    sure = len(splits) < 2 and not unknown and (bool(role) or not words & (_IMAGE_WORDS | _ALONE))
    return Meaning(role, split, sure, bool(unknown and words & _MASK_WORDS))


@lru_cache(4096)
def list_split(name: str) -> str:
    """The split that a text file such as ``train.txt`` or ``val_list.txt`` lists; empty if it is no such file."""
    stem, _, suffix = name.rpartition(".")
    found = meaning(stem) if suffix.lower() in ("txt", "lst") else Meaning()
    return found.split if found.sure else ""


def image_forms(name: str) -> Iterator[str]:
    """The names that a mask of this picture can have: ``a``, ``a.jpg``; of ``a_rgb.png`` and ``rgb_a.png``, ``a``."""
    name = one_form(name)
    stem = name.rpartition(".")[0]
    yield stem
    yield name
    yield from (base for base, _ in _without(stem, IMAGES))


def mask_forms(stem: str) -> Iterator[tuple[str, str]]:
    """The pictures whose mask this name can be, each with the word that says so: ``a_mask`` is ``_mask`` of ``a``."""
    yield from _without(one_form(stem), MASKS)


def numbered(stem: str) -> str:
    """``a`` for ``a_3``, one of several files of ``a``; empty for a name without such a number."""
    match = _NUMBERED.fullmatch(one_form(stem))
    return match[1] if match else ""


def is_only_masks(name: str, images: str) -> bool:
    """Whether the name of a folder beside ``images`` means its masks and nothing else: ``masks``, ``train_masks``."""
    said, words = meaning(name), _words(name)
    plain = words <= _MASK_WORDS | _ALONE | _SPLITS.keys() and not any(map(str.isdigit, name))
    return plain and said.role == MASKS and said.split in ("", meaning(images).split)


@lru_cache(4096)
def mask_word(name: str) -> tuple[str, bool]:
    """A word for masks in a name, with what separates it from the rest, and whether it is sure: ``_mask``, ``(gt)``."""
    name, best = one_form(name), ("", False)
    for match in _WORD.finditer(name):
        word = _singular(match[0].lower())
        if word in _MASK_WORDS | _ALONE | _HINTS and not best[1]:
            start, end = len(name[: match.start()].rstrip("_-. ([")), match.end()
            end = end if name[end:].strip(")] ") else len(name)
            end += 0 if start else len(name[end:]) - len(name[end:].lstrip("_-. "))
            best = name[start:end], word in _MASK_WORDS
    return best


def word_of(affix: str) -> str:
    """The words of an end or a beginning of a name, without its numbers: ``_mask`` of ``a_mask_3``."""
    return _NUMBER.sub("", affix)


def affix_forms(stem: str) -> Iterator[tuple[str, str]]:
    """Every way to take ``stem`` as another name with an end or a beginning: ``a`` and ``_bar``, ``bar`` and ``a_``."""
    for match in _SEPARATED.finditer(stem):
        if match.start() > 0 and match.end() < len(stem):
            yield stem[: match.start()], stem[match.start() :]
            yield stem[match.end() :], stem[: match.end()]


def same_name(one: str, other: str) -> bool:
    """Whether two names differ at most in case and in the spelling of accents."""
    return one_form(one).casefold() == one_form(other).casefold()


@lru_cache(4096)
def _words(text: str) -> frozenset[str]:
    """The words of a name in lower case and in the singular, without numbers."""
    words = [_singular(word.lower()) for word in _WORD.findall(one_form(text)) if not word.isdecimal()]
    return frozenset(part for word in words for part in _joined(word))


def _singular(word: str) -> str:
    return word[:-1] if word.endswith("s") and word[:-1] in _KNOWN else word


def _joined(word: str) -> tuple[str, ...]:
    """The two words of ``trainannot``, a split and a role; every other word is itself."""
    for split in _SPLITS.keys() - _SHORT if word not in _KNOWN else ():
        role = _singular(word.removeprefix(split))
        if word.startswith(split) and role in _IMAGE_WORDS | _MASK_WORDS:
            return split, role
    return (word,)


def _role(words: frozenset[str], alone: frozenset[str]) -> str:
    if words & _MASK_WORDS:
        return MASKS
    if words & _IMAGE_WORDS:
        return IMAGES
    return MASKS if words & alone else ""


@lru_cache(4096)
def _says(piece: str, role: str) -> bool | None:
    """Whether a piece of a name says ``role``; None if it says nothing, so that the name ends before it."""
    words = _words(piece)
    known = _MASK_WORDS | _ALONE if role == MASKS else _IMAGE_WORDS
    return _role(words, _ALONE) == role if words and not words - known - _OTHER_WORDS - _IMAGE_WORDS else None


def _without(stem: str, role: str) -> Iterator[tuple[str, str]]:
    """``stem`` without the pieces at its end, then at its beginning, that say ``role``; and these pieces."""
    if _says(stem, role):
        yield "", stem
    gaps = [(match.start(), match.end()) for match in _SEPARATED.finditer(stem)]
    for start, end, base, affix in [
        *((end, len(stem), stem[:start], stem[start:]) for start, end in reversed(gaps[-_MOST_PIECES:])),
        *((0, start, stem[end:], stem[:end]) for start, end in gaps[:_MOST_PIECES]),
    ]:
        if base and _says(stem[start:end], role):
            yield base, affix

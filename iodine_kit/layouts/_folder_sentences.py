"""What a survey of a folder found, in sentences and as facts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iodine_kit.errors import IodineKitError
from iodine_kit.formatting import counted
from iodine_kit.layouts._folder_listing import Listing, Picture
from iodine_kit.layouts._folder_names import meaning
from iodine_kit.layouts._folder_pairs import Grouping
from iodine_kit.layouts._folder_roles import Roles
from iodine_kit.split_rules import SPLITS
from iodine_kit.untrusted.pictures import opened

_KINDS = {
    "1": "black and white",
    "L": "index, 8-bit",
    "P": "palette",
    "I": "index, 16-bit or more",
    **dict.fromkeys(("I;16", "I;16B", "I;16L", "I;16N"), "index, 16-bit"),
    **dict.fromkeys(("LA", "PA"), "index with transparency"),
    **dict.fromkeys(("RGB", "RGBA", "RGBX", "CMYK", "YCbCr"), "colour"),
}
_CONVERTIBLE = (
    *(
        ".gif",
        ".heic",
        ".heif",
        ".avif",
        ".jp2",
        ".j2k",
        ".jxl",
        ".tga",
        ".ppm",
        ".pgm",
        ".pbm",
        ".pnm",
        ".psd",
        ".svg",
    ),
    *(".exr", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2"),
)
"""Pictures that other programs can convert."""
_MOST_PLACES = 2


@dataclass(frozen=True)
class Findings:
    """What a survey found so far.

    Attributes:
        root: the first source.
        unlisted: number of images that no list of a split names.
        unmasked: number of images that were omitted because they have no mask.
        lists: the lists of the splits.
    notes: further sentences for people.
    """

    root: Path
    listing: Listing
    roles: Roles
    grouping: Grouping
    unlisted: int = 0
    unmasked: int = 0
    lists: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def skipped(self) -> Counter[str]:
        """Numbers of files that are not read, by suffix."""
        used = Counter(path.suffix.lower() for path in self.lists)
        return +(self.listing.skipped - used)

    def by_number(self) -> list[tuple[str, int]]:
        """Suffixes of skipped files with their numbers, the most frequent first."""
        return sorted(self.skipped.items(), key=lambda item: (-item[1], item[0]))

    def skipped_text(self) -> str:
        """``3 files skipped (2 .gif, 1 .txt)``; empty if there are none."""
        kinds = ", ".join(f"{count:,} {suffix}" for suffix, count in self.by_number())
        return f"{counted(self.skipped.total(), 'file')} skipped ({kinds})" if kinds else ""

    def conversion(self) -> str:
        """How to convert skipped pictures, as the end of a sentence; empty if there are none."""
        suffixes = [suffix for suffix, _ in self.by_number() if suffix in _CONVERTIBLE]
        if not suffixes:
            return ""
        command = f"magick mogrify -format png '*{suffixes[0]}'"
        return f"; convert {listed(suffixes)} to PNG first, with ImageMagick: {command}"


def sentences(found: Findings) -> tuple[str, ...]:
    """The sentences for people; the first one counts."""
    groups, roles = found.grouping.groups, found.roles
    notes = [*found.notes]
    if roles.class_masks:
        notes.append(
            "SegmentationObject/ has the masks, as in PASCAL VOC; SegmentationClass/ is not used, unless you add --set "
            "layout.masks=SegmentationClass"
        )
    for split in dict.fromkeys(one.split for one in groups if one.split):
        names = sorted(
            {part for one in groups if one.split == split for part in one.image.parts if _means(part, split)}
        )
        if len(names) > 1:
            notes.append(f"{' and '.join(f'{name}/' for name in names)} are both the split {split}")
    bare = [split for split, count in _masked(found).items() if split and not count]
    if bare and any(one.masks for one in groups):
        notes.append(f"no image of {' and '.join(bare)} has a mask")
    if roles.doubtful and not any(one.split for one in groups):
        doubtful = listed(f"{name}/" for name in roles.doubtful)
        notes.append(f"{doubtful} may mean a split, but has only some of the images: all images get the split train")
    own = meaning(found.root.absolute().name).split
    if own and own != "train" and not any(one.split for one in groups):
        notes.append(
            f"the name of the folder means {own}, but its images get the split train unless you add --split {own}=N"
        )
    if conversion := found.conversion():
        notes.append(f"some pictures are in formats that are not read{conversion}")
    return (_count(found), *(f"note: {note}" for note in notes))


def facts(found: Findings) -> dict[str, Any]:
    """The same for programs; keys that say nothing are absent."""
    groups = found.grouping.groups
    values = {
        "images": len(groups),
        "masks": sum(len(one.masks) for one in groups),
        "splits": _splits(found),
        "skipped": dict(found.skipped),
        "unused_pictures": len(found.grouping.unused),
        "omitted_images": found.unlisted + found.unmasked,
        "omitted_masks": len(found.grouping.spare),
        "artifacts": found.listing.artifacts,
        "links": len(found.listing.links),
        "omitted_links": len(found.listing.broken),
        "repeated_pictures": found.listing.repeated,
    }
    return {key: value for key, value in values.items() if value or key in ("images", "masks")}


def _count(found: Findings) -> str:
    groups = found.grouping.groups
    text = f"{counted(len(groups), 'image')}{_where([one.image for one in groups], found.roles)}, {_masks(found)}"
    if any(one.split for one in groups):
        text += ", splits " + ", ".join(f"{split} {count:,}" for split, count in _splits(found).items())
    text += f" (from {', '.join(path.name for path in found.lists)})" if found.lists else ""
    grouping, listing, unused = found.grouping, found.listing, found.grouping.unused
    more = [
        found.skipped_text(),
        f"{counted(len(unused), 'picture')}{_where(unused, found.roles)} not used" if unused else "",
        f"{counted(listing.artifacts, 'artifact')} of iodine-kit skipped" if listing.artifacts else "",
        f"{counted(found.unlisted, 'image')} in no list skipped" if found.unlisted else "",
        f"{counted(found.unmasked, 'image')} without a mask skipped" if found.unmasked else "",
        f"{counted(len(grouping.spare), 'mask')} without an image skipped" if grouping.spare else "",
        f"{counted(len(listing.links), 'link')} followed" if listing.links else "",
        f"{counted(listing.repeated, 'picture')} listed again by links skipped" if listing.repeated else "",
        f"{counted(len(listing.broken), 'link')} to nothing or to a listed folder skipped" if listing.broken else "",
    ]
    return "; ".join([text, *filter(None, more)])


def _masks(found: Findings) -> str:
    groups = found.grouping.groups
    files = [mask for one in groups for mask, _ in one.masks]
    if not files:
        return "no masks"
    kind, noun = _kind(files[0]), "mask"
    affixes = sorted({affix for one in groups for _, (folder, affix) in one.masks if not folder})
    is_beside = affixes and all(mask.parts == one.image.parts for one in groups for mask, _ in one.masks)
    place = " beside them" if is_beside else _where(files, found.roles)
    place += f" ({', '.join(affixes)})" if affixes else ""
    if any(len(one.masks) > 1 for one in groups):
        noun, kind = "mask file", f"one for each object, {kind}".removesuffix(", ")
    return f"{counted(len(files), noun)}{place}" + (f" ({kind})" if kind else "")


def _kind(mask: Picture) -> str:
    try:
        with opened(Path(mask.path), mask.path) as picture:
            return _KINDS.get(picture.mode, "")
    except IodineKitError:
        return ""  # whoever reads it says what is wrong


def _where(pictures: Sequence[Picture], roles: Roles) -> str:
    folders = dict.fromkeys(picture.parts for picture in pictures)
    if folders == {(): None}:
        return ""
    if len(folders) <= _MOST_PLACES:
        return " in " + listed("/".join(part.rstrip("/") for part in parts or (".",)) + "/" for parts in folders)
    words = {roles.place(picture).word for picture in pictures}
    return f" in {len(folders):,} folders" + (f" {next(iter(words))}/" if len(words) == 1 and "" not in words else "")


def listed(names: Iterable[str], word: str = "and") -> str:
    """``a, b and c``."""
    *most, last = names
    return f"{', '.join(most)} {word} {last}" if most else last


def _means(part: str, split: str) -> bool:
    return meaning(part).split == split and meaning(part).sure


def _splits(found: Findings) -> dict[str, int]:
    counts = Counter(one.split for one in found.grouping.groups if one.split)
    order = {split: at for at, split in enumerate(SPLITS)}
    return dict(sorted(counts.items(), key=lambda item: (order.get(item[0], len(order)), item[0])))


def _masked(found: Findings) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for one in found.grouping.groups:
        counts[one.split] += bool(one.masks)
    return counts

"""The tag files of an ordinary bag: BagIt 1.0 (RFC 8493) and no more, for what is not a DIADEM package any more."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from diadem.model.manifest import MANIFEST, TAGMANIFEST
from diadem.package.bagit import BAG_INFO, BAGIT, BAGIT_TXT, bag_info_text, manifest_text, tagmanifest_text
from diadem.trust.hashing import sha256_hex

#: Label of the field of `bag-info.txt` that names the package from which people's names were taken.
REDACTED_FROM = "Diadem-Redacted-From"


def plain_bag_tags(
    files: Iterable[tuple[str, str, int]], *, date: str, software: str, more: Sequence[tuple[str, str]] = ()
) -> dict[str, bytes]:
    """The tag files of a bag, the tag manifest last.

    Parameters
    ----------
    files : iterable of (sha256, path, size)
        Every file below `data/`.
    date : str
        ``YYYY-MM-DD``.
    software : str
        Name and version of the program.
    more : sequence of (label, value)
        Further fields of `bag-info.txt`.
    """
    listed = list(files)
    oxum = f"{sum(size for _, _, size in listed)}.{len(listed)}"
    info = [("Bag-Software-Agent", software), ("Bagging-Date", date), ("Payload-Oxum", oxum), *more]
    tags = {
        BAGIT: BAGIT_TXT,
        BAG_INFO: bag_info_text(info),
        MANIFEST: manifest_text((digest, path) for digest, path, _ in listed),
    }
    tags[TAGMANIFEST] = tagmanifest_text((sha256_hex(data), path) for path, data in tags.items())
    return tags

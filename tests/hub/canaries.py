"""Words that must not be found: as they are, in hexadecimal, in base64 at every alignment, in JSON, and in layers."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

#: What may be base64, and how many layers of it are looked into.
_BASE64: Final = re.compile(rb"[A-Za-z0-9+/_-]{20,}")
_LAYERS: Final = 4
#: Bytes of a word, at least: a shorter one may be found anywhere.
SHORTEST: Final = 8
_URL: Final = bytes.maketrans(b"+/", b"-_")
_PLAIN: Final = bytes.maketrans(b"-_", b"+/")


def forms(word: bytes) -> frozenset[bytes]:
    """Every form of a word that is looked for."""
    assert len(word) >= SHORTEST, word
    found = {word, word.hex().encode(), word.hex().upper().encode()}
    for before in range(3):
        coded = base64.b64encode(bytes(before) + word)
        first, stop = (0, 2, 3)[before], (before + len(word)) * 8 // 6  # digits that depend on this word alone
        found |= {coded[first:stop], coded[first:stop].translate(_URL)}
    try:
        text = word.decode("utf-8")
    except UnicodeDecodeError:
        return frozenset(found)
    found |= {json.dumps(text, ensure_ascii=plain)[1:-1].encode() for plain in (True, False)}
    if re.fullmatch("[0-9a-f]{32,}", text):  # an id: its bytes too
        found |= forms(bytes.fromhex(text))
    return frozenset(found)


def layers(data: bytes, depth: int = _LAYERS) -> Iterator[bytes]:
    """Bytes, and what is in them in base64, and in that."""
    yield data
    if not depth:
        return
    inner = []
    for run in _BASE64.findall(data):
        plain = run.translate(_PLAIN)
        try:
            inner.append(base64.b64decode(plain + b"=" * (-len(plain) % 4)))
        except binascii.Error:  # one digit too many: it is something else
            continue
    if inner:
        yield from layers(b"\0".join(inner), depth - 1)


def found_in(data: bytes, words: Mapping[str, Iterable[bytes]]) -> set[str]:
    """The classes of words of which at least one is found."""
    found: set[str] = set()
    wanted = {name: [form for word in some for form in forms(word)] for name, some in words.items()}
    for layer in layers(data):
        found |= {name for name, some in wanted.items() if name not in found and any(form in layer for form in some)}
    return found

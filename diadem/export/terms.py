"""What is taken out of an export: names of people and computers, e-mail addresses, places on disks; learned first."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import permutations
from typing import Any, Final

# -- which keys of metadata name a person or a computer, and which values are nobody's name ----------------------------

PERSON: Final = "person"
COMPUTER: Final = "computer"

_PERSON_KEYS: Final = """
user username userid userlogin login loginname operator operatorname operatorid owner author authors creator createdby
modifiedby lastmodifiedby lastsavedby savedby acquiredby recordedby experimenter experimentalist investigator
principalinvestigator scientist analyst person contact contactname contactperson email mail emailaddress fullname
firstname lastname surname"""
_COMPUTER_KEYS: Final = """
computer computername host hostname machinename pcname workstation workstationname netbiosname userdomain"""
#: Keys whose value is a person or an account, in lower case without anything but letters and digits; and a computer.
_PERSONS, _COMPUTERS = frozenset(_PERSON_KEYS.split()), frozenset(_COMPUTER_KEYS.split())
#: The same at the end of a longer key: ``SV_USER_NAME``, ``Session Info.Operator Name``.
_PERSON_ENDS: Final = ("username", "operatorname", "createdby", "loginname")
_COMPUTER_ENDS: Final = ("computername", "hostname")
#: Where the value of a key stands, when it is an object.
_INNER: Final = frozenset({"value", "text", "data", "name"})
_PLAIN = re.compile(r"[^a-z0-9]")
_NOBODYS_NAMES: Final = """
user users operator admin administrator supervisor service customer guest default defaultuser root system test tester
unknown none null na anonymous public all allusers everyone nobody shared lab laboratory group team microscope tem sem
stem fib instrument owner staff student factory engineer demo temp localhost pc computer local standard new
jeol fei gatan zeiss hitachi tescan bruker edax oxford thermo thermofisher philips leica nion delmic phenom"""
#: Accounts, roles and makers that stand where a person should: the word is nobody's name, and would be found anywhere.
_NOBODY = frozenset(_NOBODYS_NAMES.split())

MAIL: Final = "e-mail"
PLACE: Final = "place on a disk"
#: Stands where something was taken out.
REMOVED: Final = "[removed]"
#: Letters from which on a part of a name is looked for by itself, and a term is found inside a longer word.
_PART, _INSIDE = 4, 5
#: Terms that are looked for; each costs time in every file.
_MOST = 200
_LONGEST = 120

_MAIL = re.compile(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9.-]{1,190}\.[A-Za-z]{2,24}")
#: Up to a character that cannot stand in a path: a path may hold spaces, so that rather more is taken than less.
_REST = r"""[^\r\n\t"'<>|*?;]{0,1024}"""
_PLACES = re.compile(
    rf"(?<![A-Za-z0-9])[A-Za-z]:[\\/]+{_REST}"
    rf"|\\\\[A-Za-z0-9._$-]{{1,63}}\\{_REST}"
    r"|(?<![\w./])/(?:home|Users|root|mnt|media|Volumes|net|srv|scratch|nfs|gpfs|afs|private|tmp|var)/[^\s\"'<>|;]{1,1024}"
)
_HOME = re.compile(r"[\\/](?:Users|home|Documents and Settings)[\\/]+([^\\/\r\n\"'<>|]{2,40})", re.IGNORECASE)
_SERVER = re.compile(r"\A\\\\([A-Za-z0-9._$-]{2,63})\\")
_SPLIT = re.compile(r"[\s,;._/-]+")
_NAME_LIKE = re.compile(r"[^\W\d_]+(?:[ .,'’-]+[^\W\d_]+){0,4}\.?\Z")


@dataclass(frozen=True, slots=True)
class Term:
    """One text that is taken out, and looked for; case is ignored.

    `kind` is `PERSON`, `COMPUTER`, `MAIL` or `PLACE`. Not every one is `sought` in files: a full name is not, where its
    parts are.
    """

    text: str
    kind: str
    sought: bool = True


class Terms:
    """Everything that is taken out of one export.

    `unsought` has texts that stood where a person is named but are not looked for elsewhere, and why.
    """

    def __init__(self) -> None:
        self._terms: dict[str, Term] = {}
        self.unsought: dict[str, str] = {}

    def __iter__(self) -> Iterator[Term]:
        """Every term."""
        return iter(self._terms.values())

    def __len__(self) -> int:
        """Number of terms."""
        return len(self._terms)

    # -- learning --------------------------------------------------------------------------------------------------

    def add(self, text: str, kind: str = PERSON) -> None:
        """Take out this text wherever it stands; of a person's name each part that is long enough too."""
        text = text.strip().rstrip("\0").strip()
        if not text or len(text) > _LONGEST:
            return
        if kind in (PERSON, COMPUTER) and is_nobody(text):
            if any(letter.isalpha() for letter in text):
                self.unsought[text] = "it is not the name of a person"
            return
        parts = _names(text) if kind == PERSON else [text]
        for one in parts:
            self._keep(Term(one, kind))
        if text not in parts:
            self._keep(Term(text, kind, sought=False))

    def _keep(self, term: Term) -> None:
        if len(self._terms) >= _MOST and term.text.casefold() not in self._terms:
            self.unsought[term.text] = "there are too many names to look for"
            return
        if self._terms.setdefault(term.text.casefold(), term) is term:
            self.__dict__.pop("_pattern", None)

    def learn(self, value: Any, kind: str | None = None) -> None:
        """Learn from a tree of metadata: from keys that name a person or computer, and from any text."""
        if isinstance(value, str):
            self.learn_text(value)
            if kind is not None and not _PLACES.search(value):
                self.add(value, kind)
        elif isinstance(value, Mapping):
            for key, item in value.items():
                inner = isinstance(item, str) and kind is not None and holds_value(str(key))
                self.learn(item, meaning(str(key)) or (kind if inner else None))
        elif isinstance(value, list | tuple):
            for item in value:
                self.learn(item, kind if isinstance(item, str) else None)

    def learn_text(self, text: str) -> None:
        """Learn from a free text: its e-mail addresses, and the first folders of its absolute paths."""
        if "@" in text:
            for found in _MAIL.findall(text):
                self.add(found, MAIL)
        if "/" in text or "\\" in text:
            for match in _PLACES.finditer(text):
                self._learn_place(match[0])

    def _learn_place(self, path: str) -> None:
        for name in _HOME.findall(path):
            self.add(name)
        if server := _SERVER.match(path):
            self.add(server[1], COMPUTER)
        if head := _head_of(path):
            self.add(head, PLACE)

    # -- removing --------------------------------------------------------------------------------------------------

    def cleaned(self, text: str, *, places: bool = True) -> str:
        """The text without them; of a path inside a file, without `places`, what looks like a place stays."""
        if places:
            text = _MAIL.sub(REMOVED, text) if "@" in text else text
            text = _PLACES.sub(REMOVED, text) if "/" in text or "\\" in text else text
        lower = text.casefold()
        return self._pattern.sub(REMOVED, text) if any(known in lower for known in self._terms) else text

    def stand_in(self, text: str) -> bool:
        """Whether one of them stands in a text."""
        return self.cleaned(text, places=False) != text

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        texts = sorted((term.text for term in self._terms.values()), key=len, reverse=True)
        return re.compile("|".join(map(_alternative, texts)), re.IGNORECASE)


def _names(text: str) -> list[str]:
    """What of a person's name is looked for: each part that is long enough, which finds the whole too; else the whole.

    >>> _names("Marie Curie")
    ['Marie', 'Curie']
    >>> _names("Li Wei")
    ['Li Wei', 'Li, Wei', 'Li.Wei', 'Li_Wei', 'LiWei', 'Wei Li', 'Wei, Li', 'Wei.Li', 'Wei_Li', 'WeiLi']
    """
    if not _NAME_LIKE.match(text):
        return [text]
    parts = [part for part in _SPLIT.split(text) if part]
    long = [part for part in parts if len(part) >= _PART and not is_nobody(part)]
    if long:
        return long
    if len(parts) != 2:
        return [text]
    return list(
        dict.fromkeys(between.join(pair) for pair in permutations(parts) for between in (" ", ", ", ".", "_", ""))
    )


def _head_of(path: str) -> str:
    r"""The drive or share of a path and its first folder: ``C:\Users``; what lies below is taken out with it."""
    parts = [part for part in re.split(r"[\\/]+", path.strip()) if part]
    if len(parts) < 2:
        return ""
    separator = "\\" if "\\" in path else "/"
    start = "\\\\" if path.startswith("\\\\") else "/" if path.startswith("/") else ""
    return start + separator.join(parts[:2]).rstrip()


def _alternative(text: str) -> str:
    """A term as a pattern: inside a longer word where it is long enough to be no accident, and then the whole word."""
    escaped = re.escape(text)
    if len(text) >= _INSIDE and text.isalnum():
        return rf"[^\W_]{{0,40}}{escaped}[^\W_]{{0,40}}"
    return rf"(?<![^\W_]){escaped}(?![^\W_])"


def meaning(key: str) -> str | None:
    """Whether a key names a person or a computer: `PERSON`, `COMPUTER` or None."""
    plain = _PLAIN.sub("", key.lower())
    if plain in _PERSONS or plain.endswith(_PERSON_ENDS):
        return PERSON
    if plain in _COMPUTERS or plain.endswith(_COMPUTER_ENDS):
        return COMPUTER
    return None


def holds_value(key: str) -> bool:
    """Whether a key inside an object stands for the object's own value: ``#text``, ``Value``."""
    return _PLAIN.sub("", key.lower()) in _INNER


def is_nobody(text: str) -> bool:
    """Whether a text that stands where a person should is nobody in particular: ``user_``, ``xxxx``."""
    plain = re.sub(r"[\W\d_]+", "", text).casefold()
    return len(plain) < 2 or plain in _NOBODY or len(set(plain)) == 1 or plain.replace("name", "") in _NOBODY

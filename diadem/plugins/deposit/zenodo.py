"""A deposit at Zenodo or another InvenioRDM: a draft with a reserved DOI, a description and every file of the package.

What was done is noted as it is done: the same command goes on where it was cut, and compares what is there already. The
files bear the paths that they have in the package, so that all of them, downloaded, are the package again.
"""

from __future__ import annotations

import hashlib
import html
import os
import re
import time
import zipfile
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Final

from diadem.errors import IntegrityError, Refused, Unreachable
from diadem.hooks.exporters import ExportedPackage, ExportSource, ExportTarget
from diadem.model.plain_text import count_text, first_of, one_line
from diadem.plugins.deposit.datacite import described, require
from diadem.plugins.deposit.invenio import AGAIN, Invenio, key_path, listed_in, text_in

TOKEN: Final = "DIADEM_ZENODO_TOKEN"  # noqa: S105  (its name)
#: Files that a record of InvenioRDM takes where its administrator has set nothing else.
_MOST_FILES: Final = 100
#: Last parts of a name that a repository takes for what is to be done with the file before them.
_DEEDS: Final = {"content", "commit"}
#: Pieces that object stores behind a repository take of one file.
_MOST_PIECES: Final = 10_000
_WHOLE_TRIES: Final = 3
_BLOCK: Final = 1 << 20
#: Seconds that a repository may take to know the digest of a file in pieces, which it computes after the answer.
_DIGEST_WAIT: Final = 120.0
_ROR: Final = re.compile(r"https://ror\.org/(0[0-9a-hj-km-np-tv-z]{6}[0-9]{2})\Z")
_DOI: Final = re.compile(r"10\.[0-9]{4,9}/[!-~]{1,200}\Z")
_DESCRIPTIONS: Final = {"Methods": "methods", "TechnicalInfo": "technical-info", "Other": "other"}
#: Licences that every InvenioRDM knows by name; others are told with their address.
_KNOWN_LICENCE: Final = re.compile(r"https?://creativecommons\.org/(licenses/([a-z-]+)|publicdomain/zero)/([0-9.]+)")


def export(source: ExportSource, target: ExportTarget, *, publish: bool = False, **options: Any) -> dict[str, str]:
    """Deposit a package; see `diadem.hooks.exporters`."""
    said = {**target.notes.get("said", {}), **options}  # what was said once stays with the draft
    options = dict(said)
    packed, piece = options.pop("zip", None), int(options.pop("part_mib", 64)) << 20
    service = Invenio(target.url, target.secret(TOKEN))
    if service.host.removeprefix("sandbox.") == "zenodo.org":
        options.setdefault("publisher", "Zenodo")
    document = described(source, **options)
    shown = {name: value for name, value in said.items() if name != "part_mib"} | ({"publish": True} if publish else {})
    require(document, source.package, "a deposit", f"{target.url} --as zenodo", shown)
    deposit = _Deposit(source, target, service, piece)
    if told := deposit.published(publish):
        return told
    people = "; ".join(one["name"] for one in document["creators"])
    deposit.open()
    deposit.note(said=said)
    listed = {ror for ror in _rors(document) if service.lists_affiliation(ror)}
    deposit.describe(_metadata(document, source.moment.date().isoformat(), listed))
    deposit.leave("uploads")
    count = deposit.send(packed)
    return {**(deposit.publish(count) if publish else deposit.told(count)), "creators": people}


@dataclass(frozen=True, slots=True)
class _File:
    """What is sent under one name."""

    key: str
    size: int
    open: Callable[[], BinaryIO]
    md5: str = ""


@dataclass(slots=True)
class _Deposit:
    """One package in one repository, and what is noted of it."""

    source: ExportSource
    target: ExportTarget
    service: Invenio
    piece: int
    #: ``draft``, ``doi``; ``described``, as the service has it; ``files``, their bytes by name; ``md5`` of those that
    #: were compared, "" where there is none; ``pieces`` of one under way; ``zip``, bytes and MD5 of the one packed;
    #: ``said``, the options.
    notes: dict[str, Any] = field(init=False)
    edited: bool = False
    kept_zip: bool = False

    def __post_init__(self) -> None:
        self.notes = {"md5": {}, "pieces": {}, **self.target.notes}

    def note(self, **more: Any) -> None:
        """Keep it for the next attempt."""
        self.notes |= more
        self.target.note(self.notes)

    @property
    def draft(self) -> str:
        """Its path below ``/api/records``."""
        return f"/{self.notes['draft']}/draft"

    # -- the draft -------------------------------------------------------------------------------------------------

    def published(self, publish: bool) -> dict[str, str]:
        """What to tell of a deposit that was published, by us before or by somebody on the repository's page."""
        if not (known := self.notes.get("draft")):
            return {}
        if self.service.ask("GET", f"/{known}", missing=True).status == 200:
            self.leave("records")
            self._require_whole(self.service.ask("GET", f"/{known}/files").body)
            return {"deposit": self._page("records"), "state": "is published: nothing was sent"}
        if self.service.ask("GET", self.draft, missing=True).status == 200:
            return {}
        said = {"said": self.notes.get("said", {})}
        gone, self.notes = self._page("uploads"), {"md5": {}, "pieces": {}, **said}
        self.target.note(said)
        if publish:  # nobody has looked at a new one
            again = "Give the same command without --publish: it makes a new draft."
            raise Refused("the draft was removed there; nothing is published", where=gone, next=again)
        return {}

    def _require_whole(self, listed: Any) -> None:
        """Raise `IntegrityError` where a record that somebody published has not all that was to be sent."""
        there = {text_in(one, "key"): one for one in listed_in(listed, "entries")}
        wrong = [
            key
            for key, size in self.notes.get("files", {"every file": 0}).items()
            if (entry := there.get(key)) is None
            or entry.get("size") != size
            or text_in(entry, "checksum") not in ("", f"md5:{self.notes['md5'].get(key)}")
        ]
        if wrong:
            words = f"it was published before all of it was there: missing or others are {first_of(wrong, 5)}"
            add = "Make a new version on its page, with these files; or ask the repository to remove it."
            raise IntegrityError(words, where=self._page("records"), next=add)

    def open(self) -> None:
        """A draft with a DOI of its own: the one that was begun, or a new one."""
        if "draft" not in self.notes:
            self.note(draft=self.service.new_draft())
        doi = self.service.ask("GET", self.draft).text("pids", "doi", "identifier")
        if not doi:
            doi = self.service.ask("POST", f"{self.draft}/pids/doi").text("pids", "doi", "identifier")
        if not _DOI.match(doi):
            raise Refused(f"{self.service.host} reserves no DOI: {one_line(doi)!r}", where=self._page("uploads"))
        self.note(doi=doi)

    def describe(self, metadata: Mapping[str, Any]) -> None:
        """Give it its description, unless somebody edited it there. Raises `Refused` where the service finds faults."""
        draft = self._shown()
        if self.notes.get("described", draft.get("metadata")) != draft.get("metadata"):
            self.edited = True  # by somebody on its page, who has the last word
            return
        kept = {name: draft[name] for name in ("access", "pids", "custom_fields") if name in draft}
        answer = self.service.ask("PUT", self.draft, {**kept, "files": {"enabled": True}, "metadata": metadata})
        if faults := self.service.faults_of(answer):
            amend = 'Correct the record: diadem amend ID --set "session.title=ZnO nanorods"; or say it by an option'
            raise Refused(f"{self.service.host} does not take the description: {faults}", next=amend)
        self.note(described=self._shown().get("metadata"))

    def _shown(self) -> Mapping[str, Any]:
        """The draft as the service has it now."""
        draft = self.service.ask("GET", self.draft).body
        return draft if isinstance(draft, dict) else {}

    def leave(self, page: str) -> None:
        """State where it goes to, and under which DOI."""
        self.target.leave(self._page(page), [f"doi:{self.notes['doi']}"])

    def publish(self, count: int) -> dict[str, str]:
        """Publish it. That cannot be undone."""
        waiting = [key for key, digest in self.notes["md5"].items() if not digest]
        if waiting:
            words = f"{self.service.host} does not tell the digest of {waiting[0]} yet: it is not published"
            raise Unreachable(words, where=self._page("uploads"), next=AGAIN)
        self.service.ask("POST", f"{self.draft}/actions/publish")
        self.leave("records")
        return {**self.told(count), "deposit": self._page("records"), "state": "is published"}

    def told(self, count: int) -> dict[str, str]:
        """What the user is told of a draft."""
        compared = sum(map(bool, self.notes["md5"].values()))
        return {
            "deposit": self._page("uploads"),
            "state": "is a draft: look at it, then give the same command with --publish",
            **({"description": "stays as it was edited on its page"} if self.edited else {}),
            **({"zip": "the one that was packed before, read again and whole"} if self.kept_zip else {}),
            "digests": f"{compared} of {count_text(count, 'file')} compared with what the service has (MD5)",
        }

    def _page(self, page: str) -> str:
        return f"{self.service.url}/{page}/{self.notes['draft']}"

    # -- its files -------------------------------------------------------------------------------------------------

    def send(self, packed: bool | None) -> int:
        """Send what is not there, and compare all of it; how many files they are."""
        listed = self.service.ask("GET", f"{self.draft}/files").body
        there = {text_in(one, "key"): one for one in listed_in(listed, "entries")}
        files = _singly(self.source.package, self.target.path, packed) or [self._zip(there)]
        if strangers := sorted(there.keys() - {one.key for one in files}):
            remove = f"Remove them on its page, then give the same command again: {self._page('uploads')}"
            raise Refused(f"the draft has files that are not of the package: {first_of(strangers, 5)}", next=remove)
        self.note(files={one.key: one.size for one in files})
        total, before = sum(one.size for one in files), 0
        for file in files:

            def tell(done: int, file: _File = file, before: int = before) -> None:
                self.source.progress(before + done, total, file.key)

            tell(0)
            if text_in(there.get(file.key), "status") != "completed":
                self._send(file, there.get(file.key), tell)
            self._compare(file)
            before += file.size
        return len(files)

    def _zip(self, there: Mapping[str, Any]) -> _File:
        """One ZIP of the package: the one that lies here from an attempt before, where it is whole, or packed anew."""
        package, path = self.source.package, self.target.path / "package.zip"
        key = f"{package.id[7:19]}.zip"
        size, digest = self.notes.get("zip", (0, ""))
        file = _File(key, size, partial(_opened, path), digest)
        if digest and text_in(there.get(key), "status") == "completed":
            return file  # compared by what is noted
        self.source.progress(0, size, "look whether the ZIP of before is whole")
        if digest and path.is_file() and path.stat().st_size == size and _md5(file) == digest:
            self.kept_zip = True
            return file
        _pack(package, path, self.source.progress)
        file = replace(file, size=path.stat().st_size)
        file = replace(file, md5=_md5(file))
        if (size, digest) != (file.size, file.md5):
            self._note_pieces(file, None)  # they are of another
        self.note(zip=[file.size, file.md5])
        return file

    def _send(self, file: _File, entry: Any, tell: Callable[[int], None]) -> None:
        """Send a file, or what is left of it."""
        place = f"{self.draft}/files/{key_path(file.key)}"
        pieces = self.notes["pieces"].get(file.key)
        if entry is not None and (pieces is None or text_in(entry, "transfer", "type") != "M"):
            self.service.ask("DELETE", place, missing=True)  # a whole file does not go on in the middle
            entry = None
        if entry is None:
            pieces = self._announce(file)
        with file.open() as stream:
            if pieces is None:
                self._send_whole(file, place, stream, tell)
            else:
                self._send_pieces(file, stream, dict(pieces), tell)
        try:
            self.service.ask("POST", f"{place}/commit")
        except Refused:  # something of it was lost there
            self.service.ask("DELETE", place, missing=True)
            self._note_pieces(file, None)
            raise

    def _announce(self, file: _File) -> dict[str, int] | None:
        """Announce a file; in pieces if it has more than one and the service takes them, else None."""
        size = max(self.piece, -(-file.size // _MOST_PIECES))
        announced: dict[str, Any] = {"key": file.key, "size": file.size}
        if file.size > size:
            pieces = {"part_size": size, "parts": -(-file.size // size)}
            self._note_pieces(file, None)  # whatever was sent of one before is not of this one
            try:
                self.service.ask("POST", f"{self.draft}/files", [{**announced, "transfer": {"type": "M", **pieces}}])
            except Refused:  # an older service, or one whose disk takes no pieces: whole, or it says why not
                self.service.ask("DELETE", f"{self.draft}/files/{key_path(file.key)}", missing=True)
            else:
                return self._note_pieces(file, {**pieces, "done": 0})
        self._note_pieces(file, None)
        self.service.ask("POST", f"{self.draft}/files", [announced])
        return None

    def _send_whole(self, file: _File, place: str, stream: BinaryIO, tell: Callable[[int], None]) -> None:
        """Send a file in one request. A service that sees it cut forgets the file: each try announces it anew."""
        for left in reversed(range(_WHOLE_TRIES)):
            try:
                self.service.send(f"{place}/content", file.size, partial(_blocks, stream, 0, file.size, tell), tries=1)
            except Unreachable:
                if not left:
                    raise
            else:
                return
            time.sleep(1.0 / (left + 1))
            self.service.ask("DELETE", place, missing=True)
            self.service.ask("POST", f"{self.draft}/files", [{"key": file.key, "size": file.size}])

    def _note_pieces(self, file: _File, pieces: dict[str, int] | None) -> dict[str, int] | None:
        others = {key: one for key, one in self.notes["pieces"].items() if key != file.key}
        self.note(pieces={**others, **({file.key: pieces} if pieces else {})})
        return pieces

    def _send_pieces(self, file: _File, stream: BinaryIO, pieces: dict[str, int], tell: Callable[[int], None]) -> None:
        """Send the pieces that are not there, each to the place that the service names now."""
        entry = self.service.ask("GET", f"{self.draft}/files/{key_path(file.key)}").body
        links = listed_in(entry.get("links") if isinstance(entry, dict) else None, "parts")
        places = {str(one.get("part")): text_in(one, "url") for one in links}
        for number in range(pieces["done"], pieces["parts"]):
            start = number * pieces["part_size"]
            size = min(pieces["part_size"], file.size - start)
            if not (place := places.get(str(number + 1))):
                raise Refused(f"{self.service.host} names no place for piece {number + 1}", where=file.key, next=AGAIN)
            self.service.send(place, size, partial(_blocks, stream, start, size, tell))
            self._note_pieces(file, {**pieces, "done": number + 1})

    def _compare(self, file: _File) -> None:
        """Compare what the service has with the package's bytes. Raises `IntegrityError` where they differ."""
        place = f"{self.draft}/files/{key_path(file.key)}"
        known = self.notes["md5"].get(file.key) or file.md5 or _md5(file)
        until = time.monotonic() + _DIGEST_WAIT
        wait = 0.05
        while True:
            entry = self.service.ask("GET", place).body
            size = entry.get("size") if isinstance(entry, dict) else None
            kind, _, digest = text_in(entry, "checksum").partition(":")
            if kind == "md5" or time.monotonic() > until:  # of pieces it has first something else, or nothing
                break
            time.sleep(wait)
            wait = min(2 * wait, 5.0)
        if size != file.size or (kind == "md5" and digest != known):
            self.service.ask("DELETE", place, missing=True)
            self._note_pieces(file, None)
            words = f"{self.service.host} holds other bytes than were sent; it was told to remove them"
            raise IntegrityError(words, where=file.key, next="Give the same command again: this file is sent anew.")
        self.note(md5={**self.notes["md5"], file.key: known if kind == "md5" else ""})
        self._note_pieces(file, None)


def _singly(package: ExportedPackage, folder: Path, packed: bool | None) -> list[_File]:
    """Every file of the package under its path in it; none where it has to be one ZIP of them, or is wanted so."""
    deeds = [one.path for one in package.files if one.path.rpartition("/")[2] in _DEEDS]
    if deeds and packed is False:
        raise Refused("the repository takes no file of such a name alone", where=deeds[0], next="Leave out zip=false.")
    if packed or deeds or (len(package.files) >= _MOST_FILES and packed is None):
        return []
    originals, found = {one.path: one for one in package.files}, []
    for number, (name, blocks) in enumerate(package.bag()):
        if name in originals:
            size, opened = originals[name].size, partial(package.open, originals[name].name)
        else:  # small, and written anew
            path = folder / f"{number}"
            with path.open("wb") as stream:
                stream.writelines(blocks)
            size, opened = path.stat().st_size, partial(_opened, path)
        found.append(_File(name, size, opened))
    return found if packed is False or len(found) <= _MOST_FILES else []


def _pack(package: ExportedPackage, path: Path, progress: Callable[[int, int, str], None]) -> None:
    """The package as a ZIP whose bytes are the same whenever it is made; on the disk when it returns."""
    done, total = 0, sum(one.size for one in package.files)
    with path.open("wb") as stream:
        with zipfile.ZipFile(stream, "w", strict_timestamps=False) as archive:
            for name, blocks in package.bag():
                with archive.open(zipfile.ZipInfo(f"{package.id[7:15]}/{name}"), "w", force_zip64=True) as member:
                    for block in blocks:
                        member.write(block)
                        done += len(block)
                        progress(min(done, total), total, f"pack {name}")
        stream.flush()
        os.fsync(stream.fileno())


def _opened(path: Path) -> BinaryIO:
    return path.open("rb")


def _blocks(stream: BinaryIO, start: int, size: int, tell: Callable[[int], None]) -> Iterator[bytes]:
    """A stretch of a stream, block by block."""
    stream.seek(start)
    done = 0
    while block := stream.read(min(_BLOCK, size - done)):
        yield block
        done += len(block)
        tell(start + done)


def _md5(file: _File) -> str:
    """The digest that InvenioRDM keeps: enough for what a line or a disk does, and the package has its own SHA-256."""
    digest = hashlib.md5(usedforsecurity=False)
    with file.open() as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


# -- its description ---------------------------------------------------------------------------------------------------


def _rors(document: Mapping[str, Any]) -> set[str]:
    """The organisations that people are of, by what stands behind ``https://ror.org/``."""
    places = [each for one in document["creators"] for each in one.get("affiliation", ())]
    return {match[1] for each in places if (match := _ROR.match(each.get("affiliationIdentifier", "")))}


def _metadata(document: Mapping[str, Any], day: str, listed: Collection[str]) -> dict[str, Any]:
    """DataCite's description in InvenioRDM's words; `listed` are the organisations that this repository knows."""
    told = {one["descriptionType"]: html.escape(one["description"]) for one in document.get("descriptions", ())}
    abstract = told.pop("Abstract", "")
    said = {
        "resource_type": {"id": "dataset"},
        "title": document["titles"][0]["title"],
        "publication_date": day,
        "publisher": document["publisher"]["name"],
        "creators": [_creator(one, listed) for one in document["creators"]],
        "description": f"<p>{abstract}</p>" if abstract else "",
        "additional_descriptions": [
            {"description": f"<p>{text}</p>", "type": {"id": _DESCRIPTIONS[kind]}} for kind, text in told.items()
        ],
        "subjects": document.get("subjects"),
        "dates": [{"date": one["date"], "type": {"id": one["dateType"].lower()}} for one in document.get("dates", ())],
        "identifiers": [
            {"identifier": one["alternateIdentifier"], "scheme": "urn"}
            for one in document["alternateIdentifiers"]
            if one["alternateIdentifier"].startswith("urn:")
        ],
        "related_identifiers": [
            {
                "identifier": one["relatedIdentifier"],
                "scheme": one["relatedIdentifierType"].lower(),
                "relation_type": {"id": one["relationType"].lower()},
            }
            for one in document.get("relatedIdentifiers", ())
        ],
        "sizes": document.get("sizes"),
        "formats": document.get("formats"),
        "rights": [_right(one) for one in document.get("rightsList", ())],
    }
    return {key: value for key, value in said.items() if value}


def _creator(one: Mapping[str, Any], listed: Collection[str]) -> dict[str, Any]:
    """A person. Where nobody has said which part of a name is the family's, all of it stands there."""
    person = {"type": "personal", "family_name": one.get("familyName", one["name"])}
    if "givenName" in one:
        person["given_name"] = one["givenName"]
    found = [each["nameIdentifier"].rsplit("/", 1)[-1] for each in one.get("nameIdentifiers", ())]
    more = {"identifiers": [{"scheme": "orcid", "identifier": orcid} for orcid in found]} if found else {}
    places = []
    for each in one.get("affiliation", ()):
        match = _ROR.match(each.get("affiliationIdentifier", ""))
        places.append({"name": each["name"], **({"id": match[1]} if match and match[1] in listed else {})})
    return {"person_or_org": {**person, **more}, **({"affiliations": places} if places else {})}


def _right(one: Mapping[str, str]) -> dict[str, Any]:
    """A licence: by the name that every InvenioRDM knows, or in its own words."""
    address = one.get("rightsUri", "")
    if known := _KNOWN_LICENCE.match(address):
        return {"id": f"cc-{known[2]}-{known[3]}" if known[2] else f"cc0-{known[3]}"}
    return {"title": {"en": one["rights"]}, **({"link": address} if address else {})}

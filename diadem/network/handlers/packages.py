"""What somebody may find and read of this node's packages: searches, records, tag files, and any bytes of any file.

Each handler asks first whether its asker may; what is unknown, forbidden, revoked or deleted has the one same answer.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from typing import Annotated, ClassVar, Final

from msgspec import Meta

from diadem.archive.package import Package
from diadem.catalogue.results import PackageRow
from diadem.errors import DiademError, NotFound, Refused, Unreachable
from diadem.model.access import USER, Asker, Right, Visible
from diadem.model.documents import Document
from diadem.model.lineage import Caution
from diadem.model.manifest import PREFIX, RECORD_PATH, TAGMANIFEST, VENDOR_PATH
from diadem.model.ports import Bundle
from diadem.model.record import Record
from diadem.network.askers import asker_for
from diadem.network.exchange import BYTES, RANGED, Request, Response, Services, WhileAllowed, route
from diadem.network.limits import MAX_QUESTION
from diadem.network.tag_parts import tag_files, tag_part
from diadem.node.access.askers import not_found, require, visible
from diadem.node.context import Context
from diadem.node.keep.copies import PackageCopies
from diadem.node.overview import corrections
from diadem.node.quality.amend import effective
from diadem.node.quality.assess import assessments
from diadem.node.saved_searches import QueryVerbs, expanded
from diadem.package.examine import LIMITS
from diadem.serialization.record_json import MAX_BYTES, read_record
from diadem.serialization.record_writer import write_record

#: Rows that are given at once.
PAGE: Final = 500
#: What is told of warnings about data that somebody may not find.
_DOUBTFUL: Final = "made from data with a warning; ask their owner"
#: Packages that are kept open, and files of all of them together.
_MOST, _FILES = 64, 100_000


class Search(Document, frozen=True):
    """What is searched for, and which of the rows found are wanted."""

    WHAT: ClassVar[str] = "request body"
    ADVICE: ClassVar[str] = "Update DIADEM here and at the node."
    LIMIT: ClassVar[int] = MAX_QUESTION

    query: Annotated[str, Meta(max_length=10_000)] = ""
    limit: Annotated[int, Meta(ge=0)] = 0
    offset: Annotated[int, Meta(ge=0, le=1 << 40)] = 0


@route("POST", "search", body=MAX_QUESTION, answers={200: "a page of rows"})
def search(request: Request, services: Services) -> Response:
    """Find packages among those that you may find."""
    context, said = services.context, Search.from_bytes(request.body)
    asker = asker_for(context, request.known_asker)
    seen = visible(context, asker)
    colleague = asker.kind == USER and not asker.guest
    query = QueryVerbs(context).expanded(said.query) if colleague else expanded(said.query, {})
    found = context.catalogue.search(query, limit=min(said.limit, PAGE), offset=said.offset, within=seen)
    rows = tuple(_told(row, asker, seen) for row in found.rows)
    names = found.names if seen.everything else ()  # names of samples are as private as what was recorded of them
    return Response.json(replace(found, rows=rows, names=names).to_dict())


@route("GET", "packages/{package}", answers={200: "a row, assessments, warnings"})
def facts(request: Request, services: Services) -> Response:
    """What the catalogue knows of a package."""
    context = services.context
    asker, package = _permitted(request, services, Right.LIST)
    row = context.catalogue.get(package)
    following = context.catalogue.continuations(row.id)
    doubts = context.catalogue.cautions([row.id]).get(row.id, [])
    amended = bool(context.catalogue.corrections(row.id).fields)
    return Response.json(
        {
            "package": _told(row, asker, visible(context, asker)).to_dict(),
            "continued_by": [one for one in following if _may_find(context, asker, one)],
            "amended": amended,
            "corrections": corrections(context, row.id, shelf_of(context).record(package)) if amended else (),
            "assessments": assessments(context, row.id).to_dict(),
            "warnings": [_doubt(context, asker, one).to_dict() for one in doubts],
        }
    )


@route("GET", "packages/{package}/record", answers={200: "the record"})
def record(request: Request, services: Services) -> Response:
    """Its record as its owner has corrected it."""
    _, package = _permitted(request, services, Right.LIST)
    sealed = shelf_of(services.context).record(package)
    stream = BytesIO()
    write_record(stream, effective(services.context, package, sealed))
    return Response.line(stream.getvalue())


@route("GET", "packages/{package}/tags", gives=BYTES, answers={200: "the tag files"})
def tags(request: Request, services: Services) -> Response:
    """Its tag manifest and the tag files that it lists, each behind its length in 8 bytes; without vendor.zip."""
    _, package = _permitted(request, services, Right.READ)
    return _while_permitted(shelf_of(services.context).tags(package), request, services)


@route("GET", "packages/{package}/tags/{number}", **RANGED)
def tag(request: Request, services: Services) -> Response:
    """A tag file, by its place in the tag manifest."""
    _, package = _permitted(request, services, Right.READ)
    given = shelf_of(services.context).tag(package, int(request.params["number"]), request)
    return _while_permitted(given, request, services)


@route("GET", "packages/{package}/files/{number}", **RANGED)
def file(request: Request, services: Services) -> Response:
    """A file, by its place in the manifest."""
    _, package = _permitted(request, services, Right.READ)
    given = shelf_of(services.context).file(package, int(request.params["number"]), request)
    return _while_permitted(given, request, services)


def _while_permitted(response: Response, request: Request, services: Services) -> Response:
    """An answer that ends where its asker may not read any more: a grant was revoked, a peer dropped, a user left."""
    body = response.body

    def require_still() -> None:
        asker = services.find_asker(request.known_asker.key_id)
        if asker is None:
            raise not_found()
        _permitted(replace(request, asker=asker), services, Right.READ)

    return response if isinstance(body, bytes) else replace(response, body=WhileAllowed(body, require_still))


def _permitted(request: Request, services: Services, right: Right) -> tuple[Asker, str]:
    """Who asks, and for which package; raises the one answer where they may not."""
    asker, package = asker_for(services.context, request.known_asker), PREFIX + request.params["package"]
    require(services.context, asker, right, package)
    return asker, package


# -- what is told of the catalogue -------------------------------------------------------------------------------------


def _may_find(context: Context, asker: Asker, package: str) -> bool:
    """Whether somebody may find a package."""
    try:
        require(context, asker, Right.LIST, package)
    except NotFound:
        return False
    return True


def _told(row: PackageRow, asker: Asker, seen: Visible) -> PackageRow:
    """A row, to others than its owner without what it says of stores and of other packages."""
    if seen.everything or row.owner == asker.address:
        return row
    session = row.continues or row.id
    return replace(row, stores=(), path="", session=session, warnings=(_DOUBTFUL,) if row.warnings else ())


def _doubt(context: Context, asker: Asker, doubt: Caution) -> Caution:
    """A doubt; about what somebody may not find, without who said it, of which file, and in what words."""
    if not doubt.way or _may_find(context, asker, doubt.package):
        return doubt
    return doubt.without_names()


# -- what is given of packages -----------------------------------------------------------------------------------------


class Shelf:
    """The packages of a node that are being read. Safe for many threads.

    Whether somebody may read a package is decided before this is asked.

    Parameters
    ----------
    context : Context
        The node.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Package] = OrderedDict()

    def close(self) -> None:
        """Forget what was opened."""
        with self._lock:
            self._kept.clear()

    def package(self, package_id: str) -> Package:
        """A package in the best of its copies. Raises `Unreachable` where none can be read."""
        with self._lock:
            if (kept := self._kept.get(package_id)) is not None:
                self._kept.move_to_end(package_id)
                return kept
        return self._open(package_id)

    def _open(self, package_id: str) -> Package:
        """Open a package anew: its tag files are read from a copy in which they are sound."""
        try:
            opened, _ = PackageCopies(self._context, package_id).best()
        except NotFound as error:  # it is there, and nobody can read it now
            raise Unreachable("no copy of it can be read now", next="Try again later.") from error
        with self._lock:
            self._kept[package_id] = opened
            while len(self._kept) > 1 and (len(self._kept) > _MOST or self._files() > _FILES):
                self._kept.popitem(last=False)
        return opened

    def _files(self) -> int:
        return sum(len(package.manifest) for package in self._kept.values())

    def record(self, package_id: str) -> Record:
        """The sealed record. Raises `NotFound` where there is none, `Refused` before it reads one that is too large."""
        package = self.package(package_id)
        size = package.stored(RECORD_PATH).size
        if size > MAX_BYTES:
            raise Refused(f"the record has {size:,} bytes; {MAX_BYTES:,} are read", next="Read its files instead.")
        with package.open_stored(RECORD_PATH) as source:
            return read_record(source.read())

    def tags(self, package_id: str) -> Response:
        """The tag manifest and the files that it lists, in its order, each behind its length; not the large one."""
        bundle = self._open(package_id).bundle
        listed = (path for _, path in tag_files(bundle.read(TAGMANIFEST, LIMITS[TAGMANIFEST])))
        size, blocks = tag_part(bundle, [TAGMANIFEST, *(path for path in listed if path != VENDOR_PATH)])
        return Response.blocks(blocks, 0, size, of=size)

    def tag(self, package_id: str, number: int, request: Request) -> Response:
        """The tag file that the tag manifest lists at a place, or the range of it that is asked for."""
        listed = tag_files(self.package(package_id).bundle.read(TAGMANIFEST, LIMITS[TAGMANIFEST]))
        if number >= len(listed):
            raise NotFound("no such tag file")
        return self._given(package_id, listed[number][1], None, request)

    def file(self, package_id: str, number: int, request: Request) -> Response:
        """The file that the manifest lists at a place, or the range of it that is asked for."""
        entries = self.package(package_id).manifest.entries
        if number >= len(entries):
            raise NotFound("no such file")
        return self._given(package_id, entries[number].path, entries[number].size, request)

    def _given(self, package_id: str, path: str, size: int | None, request: Request) -> Response:
        """Bytes of a file, from the first copy that has it in the right size."""
        for bundle in self._bundles(package_id):
            try:
                reader = bundle.open(path)
            except (DiademError, OSError):
                continue
            if size is not None and reader.size != size:
                reader.close()
                continue
            return Response.of_file(reader, request, size=reader.size)
        self._forget(package_id)
        raise Unreachable("no copy of it can be read now", next="Try again later.")

    def _bundles(self, package_id: str) -> Iterator[Bundle]:
        yield self.package(package_id).bundle
        for _, bundle in PackageCopies(self._context, package_id).readable():
            yield bundle

    def _forget(self, package_id: str) -> None:
        with self._lock:
            self._kept.pop(package_id, None)


def shelf_of(context: Context) -> Shelf:
    """The shelf of an opened node, one for all threads."""
    return context.once("shelf", lambda: Shelf(context))

"""`RemoteNode`: another computer's node, as one of its users works with it from a laptop."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from diadem.archive.package import Home
from diadem.catalogue.results import Named, Opener, PackageRow, SearchResult, id_of
from diadem.errors import NotFound, Refused, UsageError
from diadem.model.assessments import Assessment
from diadem.model.display import Display
from diadem.model.manifest import PackageId
from diadem.model.ports import Closing, Listener
from diadem.model.progress_bar import progress_bar
from diadem.model.reopenable import Reopenable
from diadem.network.client import PeerClient, PeerRefused
from diadem.network.offering import transfer_of
from diadem.network.profiles import Profile
from diadem.network.remote.package import HttpBundle, RemoteChain, RemotePackage, restore
from diadem.network.remote.reading import PackageFacts, read_facts, read_result, read_transfer
from diadem.network.remote.signing import Signer
from diadem.network.wishes import JudgementWish, OfferWish, WantedOffer
from diadem.node.quality.assess import ID, Assessments, Judgement
from diadem.serialization.record_json import MAX_BYTES, read_record

if TYPE_CHECKING:
    from diadem.archive.overview import Overview
    from diadem.extract.pool import Extractor
    from diadem.hooks.offers import ReaderOffer
    from diadem.model.lineage import Caution
    from diadem.model.record import Record
    from diadem.model.transfers import Transfer
    from diadem.node.give.restore import RestoredSession
    from diadem.trust.keys import PrivateKey

T = TypeVar("T")

_WHOLE: Final = re.compile(r"(?:diadem:)?[0-9a-f]{64}\Z")
#: How often a statement is prepared again because somebody else was quicker.
_TRIES: Final = 5


@contextmanager
def _as_here() -> Iterator[None]:
    """What a node does not understand is the same error as where one works on its machine."""
    try:
        yield
    except PeerRefused as error:
        if error.status != 400:
            raise
        raise UsageError(error.message, where=error.where, next=error.next) from error


def _persistently(state: Callable[[], T]) -> T:
    """State something; again where somebody else said something of the package in between."""
    for _ in range(_TRIES - 1):
        try:
            return state()
        except PeerRefused as error:
            if error.code != "overtaken":
                raise
    return state()


def _package_again(node: Callable[[], RemoteNode], package: PackageId) -> RemotePackage:
    return node().get(package)


class NotFromHere(Refused, AttributeError):
    """A verb that needs the node's own machine."""

    code = "not-from-here"


class RemoteNode(Closing, Reopenable, Display):
    """A node on another computer. Made by `diadem.connect`; use it in a ``with`` block, or `close` it.

    Parameters
    ----------
    client : PeerClient
        Asks the node.
    profile : Profile
        Who we are there.
    key : PrivateKey
        Ours: it signs what we ask and say, and stays here.
    readers : sequence of ReaderOffer
        Who can read datasets.
    extractor : callable
        Makes what reads metadata.
    again : callable, optional
        Connects to it from another process.
    """

    def __init__(
        self,
        client: PeerClient,
        profile: Profile,
        key: PrivateKey,
        *,
        readers: Sequence[ReaderOffer] = (),
        extractor: Callable[[], Extractor] | None = None,
        again: Callable[[], RemoteNode] | None = None,
    ) -> None:
        self._client, self._profile = client, profile
        self._signer = Signer(key, profile.address, profile.node)
        self._readers, self._extractor = tuple(readers), extractor
        self.again = again

    def _display_document(self) -> Mapping[str, Any]:
        return {"url": self.url, "user": self.user, "next": "node.search('…'), node.get(id)"}

    def _display_title(self) -> str:
        return self.name

    def __repr__(self) -> str:
        """Name and place in short."""
        return f"<RemoteNode {self.name}, {self.url}>"

    @property
    def name(self) -> str:
        """What people call the node."""
        return self._profile.address.partition("@")[2]

    @property
    def id(self) -> str:
        """64 hex digits: SHA-256 of the node's root key, as the ticket gave it."""
        return self._profile.node

    @property
    def user(self) -> str:
        """Who we are: ``bob@hu-berlin``."""
        return self._profile.address

    @property
    def url(self) -> str:
        """The first of the node's addresses."""
        return self._profile.urls[0]

    # -- finding ---------------------------------------------------------------------------------------------------

    def search(self, query: str = "", *, limit: int = 100, offset: int = 0) -> SearchResult:
        """Search the packages that we may find; see `diadem.Node.search`."""
        page = self._page(query, limit, offset)
        rows = list(page.rows)
        first, more = page, page
        while more.rows and len(rows) < limit and offset + len(rows) < max(page.total, more.total):
            more = self._page(query, limit - len(rows), offset + len(rows))
            rows += more.rows
        found = replace(first, rows=tuple(rows), total=max(first.total, more.total), exact=more.exact)
        return found.opened_by(Opener(self))

    def _page(self, query: str, limit: int, offset: int) -> SearchResult:
        asked = {"query": query, "limit": limit, "offset": offset}
        with _as_here():
            return read_result(self._client.post_json("search", asked), self.url)

    def get(self, package_id: str | Named) -> RemotePackage:
        """Open a package; its bytes are fetched when they are read, and proven here. Its ``record`` is corrected.

        Parameters
        ----------
        package_id : str, PackageRow or Package
            ``diadem:<64 hex>``, or the first 8 or more of its hex digits; a row of a search; a package.

        Raises
        ------
        NotFound
            The node does not have it, or it is not for us: we cannot tell which.
        IntegrityError
            The node returns something else.
        """
        found = self._whole(id_of(package_id))
        return self._opened(found, self._facts(found))

    def show(self, package: str | Named) -> Overview:
        """Show a package at a glance, as far as we may see it, without its copies; see `diadem.Node.show`."""
        from diadem.archive.overview import overview

        found = self._whole(id_of(package))
        facts = self._facts(found)
        said = facts.assessments.to_dict()["assessments"]
        return overview(
            self._opened(found, facts),
            title=facts.row.title,
            owner=facts.row.owner,
            continued_by=tuple(map(str, facts.continued_by)),
            judgements=tuple(said),
            corrections=facts.corrections,
            at_node=True,
        )

    def previews(self, package: str | Named) -> Mapping[str, bytes]:
        """Return the small pictures of a package's datasets, proven here; see `diadem.Node.previews`."""
        return self.get(package).previews()

    def _opened(self, found: PackageId, facts: PackageFacts) -> RemotePackage:
        try:
            bundle = HttpBundle(self._client, found, self.url)
        except NotFound as error:
            advice = f"Ask {facts.row.owner or 'its owner'} for it: diadem grant {found[7:19]} --to {self.user}"
            raise NotFound("you may find this package, but not read it", where=found, next=advice) from error
        again = None if self.again is None else partial(_package_again, self.again, found)
        return RemotePackage(
            bundle,
            opened=bundle.opened,
            readers=self._readers,
            extractor=self._extractor,
            home=Home(
                self,
                custody=lambda _: self.custody,
                warnings=lambda _: facts.warnings,
                amend=(lambda _: self._record(found)) if facts.amended else None,
            ),
            bare=again,
            again=again,
        )

    def _record(self, package: PackageId) -> Record:
        """The record as the node says that it holds now."""
        with self._client.stream(f"packages/{package.hex}/record") as stream:
            return read_record(bytes(stream.read(MAX_BYTES)))

    def _facts(self, package: PackageId) -> PackageFacts:
        return read_facts(self._client.get_json(f"packages/{package.hex}"), self.url)

    def _whole(self, text: str) -> PackageId:
        """The id that begins so, of a package that we may find."""
        if _WHOLE.match(text):
            return PackageId(text)
        if not ID.match(text):
            raise UsageError(f"'{text}' is not a package id", next="Write at least 8 of its digits.")
        rows: Sequence[PackageRow] = self._page(f"id:{text.removeprefix('diadem:')}", 2, 0).rows
        if len(rows) != 1:
            what = "several packages begin" if rows else "there is no package for you that begins"
            raise (UsageError if rows else NotFound)(f"{what} with '{text}'", next="See: diadem search")
        return PackageId(rows[0].id)

    def restore(
        self,
        package: str | Named,
        folder: str | Path,
        *,
        chain: bool = True,
        only: Sequence[str] | str = (),
        listener: Listener = progress_bar,
    ) -> RestoredSession:
        """Restore a session, as far as we may read it; see `diadem.Node.restore`."""
        found = self._whole(id_of(package))
        known: dict[PackageId, PackageFacts] = {}

        def facts(one: PackageId) -> PackageFacts:
            return known[one] if one in known else known.setdefault(one, self._facts(one))

        packages = RemoteChain(lambda one: self._opened(one, facts(one)), lambda one: facts(one).continued_by)
        return restore(packages, found, Path(folder), chain=chain, only=only, listener=listener)

    def warnings(self, package: str) -> list[Caution]:
        """Return the warnings about a package and its sources; see `diadem.Node.warnings`."""
        return list(self._facts(self._whole(package)).warnings)

    def assessments(self, package: str) -> Assessments:
        """Return the assessments of a package; see `diadem.Node.assessments`."""
        return self._facts(self._whole(package)).assessments

    # -- saying ----------------------------------------------------------------------------------------------------

    def assess(
        self,
        package: str,
        verdict: str,
        *,
        purpose: str = "",
        criterion: str | None = None,
        dataset: str | None = None,
        signal: str | None = None,
        value: float | None = None,
        unit: str = "",
        comment: str = "",
        evidence: Sequence[str] = (),
        scheme: str | None = None,
        replaces: str | None = None,
    ) -> Assessment:
        """Assess a package, or one of its datasets, for a purpose; see `diadem.Node.assess`.

        The node prepares the statement; we compare it with what we want to say and sign it here, and the node logs it.

        Raises
        ------
        NotFound
            There is no such package that we may assess.
        Refused
            The node wants something else signed, or no longer accepts it.
        """
        found = self._whole(package)
        said = Judgement(
            verdict=verdict,
            purpose=purpose,
            criterion=criterion or "",
            dataset=self._dataset(found, dataset or ""),
            signal=signal or "",
            value=None if value is None else float(value),
            unit=unit,
            comment=comment,
            evidence=tuple(self._whole(text) if ID.match(text) else text for text in evidence),
            scheme=scheme or "",
            replaces=replaces or "",
        )
        wish = JudgementWish.of_judgement(found, said)

        def state() -> Assessment:
            statement = self._signer.read(self._prepared(wish))
            envelope = self._signer.assessment(statement, found, said)
            order = self._client.post_line("statements", envelope.to_line()).get("index")
            return Assessment.of(envelope.statement_id, order if type(order) is int else 0, statement.predicate)

        return _persistently(state)

    def send(
        self,
        package: str,
        to: str,
        *,
        expires: timedelta = timedelta(days=14),
        comment: str = "",
        route: str = "auto",
    ) -> Transfer:
        """Offer a package to a person; see `diadem.Node.send`. The grant that it needs is also signed here.

        Raises
        ------
        NotFound
            There is no such package that we may see.
        Refused
            The policy forbids it, the package is another's, or the node wants something else signed.
        """
        row = self._facts(self._whole(package)).row
        address = to if "@" in to else f"{to}@{self._signer.by.rpartition('@')[2]}"
        wish = OfferWish(PackageId(row.id), WantedOffer(address, int(expires.total_seconds()), comment, route))
        return _persistently(lambda: self._offered(wish, row))

    def _offered(self, wish: OfferWish, row: PackageRow) -> Transfer:
        answer, grant, now = self._prepared(wish), "", datetime.datetime.now(datetime.UTC)
        if "transfer" not in answer and (statement := self._signer.read(answer)).kind == "grant":
            envelope = self._signer.grant(statement, wish, now)
            self._client.post_line("statements", envelope.to_line())
            grant, answer = envelope.statement_id, self._prepared(wish)
        if "transfer" in answer:
            return read_transfer(answer["transfer"], self.url)
        statement = self._signer.read(answer)
        envelope = self._signer.offer(statement, wish, now, payload_id=row.payload_id, grant=grant)
        self._client.post_line("statements", envelope.to_line())
        return transfer_of(
            envelope.statement_id, statement.predicate, title=row.title, created=statement.time, node=self.id
        )

    def _prepared(self, wish: JudgementWish | OfferWish) -> dict[str, Any]:
        with _as_here():
            return self._client.post_line("statements/prepare", wish.to_bytes())

    def _dataset(self, package: PackageId, named: str) -> str:
        """The id of a dataset that is named by it, its path or the end of it: by the record, whose bytes are proven."""
        if not named:
            return ""
        try:
            datasets = self.get(package).sealed_record.datasets
        except NotFound:  # we may judge it and not read it: then only its id will do
            return named
        whole = [one.id for one in datasets if named in (one.id, one.path, f"data/{one.path}")]
        found = whole or [one.id for one in datasets if one.path.endswith("/" + named)]
        if len(found) != 1:
            what = f"several datasets end in '{named}'" if found else f"the package has no dataset '{named}'"
            raise NotFound(what, where=package, next="See its .record.datasets")
        return found[0]

    # -- the rest --------------------------------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        """Say of a verb of `diadem.Node` where it can be used."""
        from diadem.network.network_verbs import NetworkVerbs
        from diadem.node.node import Node

        if name == "context":  # what a command asks of a node's own machine, and no verb of anybody
            raise NotFromHere(
                f"this needs the machine of the node {self.name}", where=self.url, next="Run the command there."
            )
        elsewhere = name == "peers" or hasattr(Node, name) or hasattr(NetworkVerbs, name)
        if elsewhere and not name.startswith("_"):
            raise NotFromHere(
                f"'{name}' needs the machine of the node {self.name}",
                where=self.url,
                next=f"Work there: diadem.open_node().{name}. From here: search, get, show, restore, assess, send.",
            )
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def close(self) -> None:
        """End the connections."""
        self._client.close()

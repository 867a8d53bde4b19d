"""Statements of people whose keys are on their laptops: the node writes them out, they sign, the node logs them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from diadem.custody import statements
from diadem.custody.log_entry import Entry
from diadem.custody.sentences import sentence
from diadem.errors import NotFound, Refused, UsageError
from diadem.model import canonical
from diadem.model.access import USER, Asker, Right
from diadem.model.manifest import PackageId
from diadem.model.statements import Draft, Statement
from diadem.model.transfers import OUT, Transfer, TransferEvent
from diadem.network import offering
from diadem.network.askers import asker_for
from diadem.network.book_file import network_book
from diadem.network.desk import Desk, desk_of, outgoing
from diadem.network.exchange import Request, Response, Services, route
from diadem.network.grants import known_grant, offer_grant
from diadem.network.limits import MAX_STATEMENT
from diadem.network.wishes import ASSESSMENT, OFFER, JudgementWish, OfferWish, read_wish
from diadem.node.access.askers import require
from diadem.node.access.grant import require_own
from diadem.node.context import Context
from diadem.node.quality.assess import ID, drawn
from diadem.serialization.validation import read_statement
from diadem.trust.envelope import PAYLOAD_TYPE, Envelope, statement_id_of
from diadem.trust.keys import PublicKey

#: The right that a statement of a kind needs; what it says besides is weighed where it is drawn.
_RIGHTS: Final[Mapping[str, Right]] = {ASSESSMENT: Right.ASSESS, OFFER: Right.READ, "grant": Right.READ}

#: Seconds for which a statement waits, and statements of one key that wait at once.
PATIENCE: Final = 300
MOST: Final = 256
#: How much shorter than wished a grant may hold: between it and its offer a person looks and signs.
_SLACK: Final = timedelta(hours=1)


class NotPrepared(Refused):
    """A statement that does not wait for this signature."""

    code = "not-prepared"


@route(
    "POST",
    "statements/prepare",
    body=MAX_STATEMENT,
    answers={200: "the bytes to sign, and what they say in words", 409: "you are not a user of this node"},
)
def prepare(request: Request, services: Services) -> Response:
    """Have a statement written out, to sign it yourself: an assessment, or an offer and its grant."""
    asker = asker_for(services.context, request.known_asker)
    wish = read_wish(canonical.decode(request.body, where="request body", limit=MAX_STATEMENT))
    return Response.json(write_out(services.context, asker, wish))


@route(
    "POST",
    "statements",
    body=MAX_STATEMENT,
    answers={
        200: "its place in the log",
        409: "it does not wait for your signature, or is out of date: prepare it again",
    },
)
def append(request: Request, services: Services) -> Response:
    """Have a statement logged that was prepared for you and that you have signed (a DSSE envelope)."""
    asker = asker_for(services.context, request.known_asker)
    key = PublicKey.from_text(request.known_asker.key)
    entry, transfer = take_signed(services.context, asker, key, request.body)
    place = {"statement": entry.statement_id, "epoch": entry.epoch, "index": entry.index}
    return Response.json(place | ({"transfer": transfer.to_dict()} if transfer is not None else {}))


def write_out(context: Context, asker: Asker, wish: JudgementWish | OfferWish) -> dict[str, Any]:
    """Write out what a user wants to say, for the user to sign.

    Parameters
    ----------
    context : Context
        The node.
    asker : Asker
        Who wants to say it, and will have to sign.
    wish : JudgementWish or OfferWish
        What is to be said.

    Returns
    -------
    dict
        ``payload``, the bytes to sign as a text; ``type``, their type; ``statement``, its id; ``sentence``, what it
        says in words. For an offer that needs a grant first, the grant: it is to be asked for again afterwards. For one
        that was made already, ``transfer`` alone.

    Raises
    ------
    NotFound
        The asker may not say this of the package, or not find what is named as evidence; or there is none.
    UsageError
        What is to be said cannot be understood.
    Refused
        The asker is no user of this node; or the policy, or who owns the package, forbids it.
    """
    require(context, asker, _RIGHTS[OFFER if isinstance(wish, OfferWish) else ASSESSMENT], wish.package)
    if asker.kind != USER:
        raise Refused("only users of this node can make statements here", next="Make it on your own node.")
    theirs = context.as_user(asker.user)
    if isinstance(wish, OfferWish):
        drawn_up = _offer(_desk(context, theirs), wish)
    else:
        said = wish.said
        evidence = tuple(_findable(context, asker, text) for text in said.evidence)
        drawn_up = _of_package(theirs, wish.package, replace(said, evidence=evidence))
    if isinstance(drawn_up, Transfer):
        return {"transfer": drawn_up.to_dict()}
    return _kept(context, asker, wish.package, context.ledger.prepared(drawn_up))


def _kept(context: Context, asker: Asker, package: PackageId, statement: Statement) -> dict[str, Any]:
    payload = statement.to_payload()
    name = statement_id_of(payload)
    _wait_for_signature(context, name, key=asker.key, package=package)
    said = sentence(statement, {context.settings.id: context.settings.name})
    return {"payload": payload.decode("utf-8"), "type": PAYLOAD_TYPE, "statement": name, "sentence": said}


def _wait_for_signature(context: Context, statement: str, *, key: str, package: str) -> None:
    """Note what is needed to know a statement again: its id, which stands for its bytes, for whose key, about what.

    If the note is lost, people have theirs prepared anew.
    """
    now = int(context.clock().timestamp())
    with network_book(context).writing(durable=False) as connection:
        connection.execute("DELETE FROM prepared WHERE expires <= ?", (now,))
        (waiting,) = connection.execute("SELECT count(*) FROM prepared WHERE key = ?", (key,)).fetchone()
        if waiting >= MOST:
            raise Refused("too many of your statements wait for a signature", next="Wait five minutes.")
        row = (statement, key, package, now + PATIENCE)
        connection.execute("INSERT INTO prepared VALUES (?, ?, ?, ?)", row)


def _take_prepared(context: Context, statement: str, *, key: str) -> str | None:
    """Take a statement out that waits for this key, once: the package that it is about; None where none does."""
    row = (statement, key, int(context.clock().timestamp()))
    sql = "DELETE FROM prepared WHERE statement = ? AND key = ? AND expires > ? RETURNING package"
    with network_book(context).writing(durable=False) as connection:
        found = connection.execute(sql, row).fetchall()
    return str(found[0][0]) if found else None


def _of_package(theirs: Context, package: PackageId, judgement: Any) -> Draft:
    try:
        return statements.assessment(package, drawn(theirs, package, judgement))
    except NotFound as error:  # of the package that the asker may judge: what is wrong can be told
        raise UsageError(error.message) from error


def _offer(desk: Desk, wish: OfferWish) -> Draft | Transfer:
    """The offer; the grant that it needs, where there is none; or the transfer, where it was offered already."""
    theirs = desk.context
    try:
        said, expires = wish.offer, timedelta(seconds=wish.offer.seconds)
        wanted = offering.wanted_offer(
            desk, wish.package, said.to, expires=expires, comment=said.comment, route=said.route
        )
        if (waiting := offering.offered_already(desk, wanted)) is not None:
            return waiting
        until = wanted.expires + offering.FETCHING
        who = {"to": wanted.recipient, "recipient": wanted.peer}
        known = known_grant(theirs, wish.package, **who, expires=until - _SLACK)
        if not known:
            return offer_grant(theirs, wish.package, **who, expires=until)
    except NotFound as error:  # no such node or user: the asker may know that
        raise UsageError(error.message, next=error.next) from error
    confined = offering.confined(desk, replace(wanted, grant=known))
    return offering.offer_draft(offering.measured(desk, confined)[0])


def _desk(context: Context, theirs: Context) -> Desk:
    """The node's one desk, with another user at work."""
    return replace(desk_of(context), context=theirs)


def take_signed(context: Context, asker: Asker, key: PublicKey, line: bytes) -> tuple[Entry, Transfer | None]:
    """Log what a user has signed, exactly as it was prepared for them; once. Of an offer, let it be told.

    What is logged already, with this signature, is answered as it was: an answer may be lost on its way.

    Parameters
    ----------
    context : Context
        The node.
    asker : Asker
        Who sends it.
    key : PublicKey
        The asker's, in force now.
    line : bytes
        The envelope.

    Raises
    ------
    DocumentError, UsageError
        It is no envelope, or not signed by this key and no other.
    NotPrepared
        It does not wait here for this key: changed, or too old.
    Overtaken
        Something else was said of the package meanwhile.
    NotFound
        The asker may not say this of the package any more.
    Refused
        The policy, or who owns the package, forbids it by now.
    """
    envelope = Envelope.from_line(line)
    package = _take_prepared(context, envelope.statement_id, key=key.key_id)
    if package is None:
        return _logged(context, asker, key, envelope)
    statement = read_statement(envelope.payload)
    require(context, asker, _RIGHTS[statement.kind], package)
    theirs = context.as_user(asker.user)
    _require_still(theirs, package, statement)
    if [name for name, _ in envelope.signatures] != [key.key_id] or not envelope.signers([key]):
        raise UsageError("the statement is not signed by your key, and by no other", where="envelope")
    entry = context.ledger.append_signed(envelope)
    return entry, _offered(_desk(context, theirs), entry) if statement.kind == OFFER else None


def _logged(context: Context, asker: Asker, key: PublicKey, envelope: Envelope) -> tuple[Entry, Transfer | None]:
    """The same that was sent before, and whose answer was lost."""
    absent = NotPrepared("no such statement waits for your signature", next="Have it prepared again.")
    try:
        entry = context.ledger.by_id(envelope.statement_id)
    except NotFound:
        raise absent from None
    if entry.line != envelope.to_line() or not envelope.signers([key]):
        raise absent
    desk = _desk(context, context.as_user(asker.user))
    return entry, _offered(desk, entry) if entry.statement.kind == OFFER else None


def _require_still(theirs: Context, package: str, statement: Statement) -> None:
    """That a grant is still the owner's to give, and an offer still allowed by the policy."""
    if statement.kind == "grant":
        require_own(theirs, package)
    elif statement.kind == OFFER and statement.predicate["recipient"] != theirs.settings.id:
        owner, to = theirs.catalogue.get(package).owner, str(statement.predicate["to"])
        offering.allowed_route(theirs.policy, theirs.address, owner, to, "auto")


def _offered(desk: Desk, entry: Entry) -> Transfer:
    """Note the transfer of an offer that stands in the log; its message goes out with the node's next round."""
    said = entry.statement.predicate
    row = desk.context.catalogue.get(str(said["package"]))
    found = offering.transfer_of(entry.statement_id, said, title=row.title, created=desk.now, node=desk.node)
    _, about = offering.measured(desk, found)
    told = outgoing(found, OFFER, about) if found.direction == OUT else None
    desk.book.add(found, TransferEvent(found.state, str(said["time"]), entry.statement_id), about=about, post=told)
    return desk.book.get(found.id)


def _findable(context: Context, asker: Asker, text: str) -> str:
    """A piece of evidence: an address, or a package that the asker may find, by its whole id and no part of it."""
    if ID.match(text):
        require(context, asker, Right.LIST, text)
    return text

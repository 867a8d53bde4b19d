"""A person joins a node from a laptop: the key is made there and stays there; the node gets to know its public half."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar, Final

from msgspec import Meta

from diadem.custody.chain import export_chain, load
from diadem.custody.keyring import KeyRing
from diadem.custody.statements import USER, user_card
from diadem.custody.verify import verify_chains
from diadem.errors import DocumentError, Refused, UsageError
from diadem.model.documents import Document, Id, NodeId
from diadem.model.tickets import FOR_USER, Ticket, hash_token
from diadem.model.times import time_text
from diadem.node.config import UserSettings
from diadem.node.context import Context
from diadem.node.mirrors import mirror_settings
from diadem.node.peers.book import peer_book, say_refused
from diadem.node.peers.tickets import Bearer, TicketRefused, use_ticket
from diadem.trust.envelope import Envelope, sign
from diadem.trust.keys import PrivateKey, PublicKey

FORMAT: Final = "diadem-login/1"
TYPE: Final = "application/vnd.diadem.login+json"
#: Bytes of a login that are read.
MAX_LOGIN: Final = 16_384
#: Characters of a name as a person writes it.
_LONGEST_NAME: Final = 200
_AGAIN: Final = "Update DIADEM on both sides, then try again: diadem login TICKET"


class Login(Document, frozen=True, tag_field="format", tag=FORMAT):
    """A key and who comes with it, by a ticket; signed by that key."""

    WHAT: ClassVar[str] = "login"
    ADVICE: ClassVar[str] = _AGAIN
    LIMIT: ClassVar[int] = MAX_LOGIN

    to: NodeId
    token: Id
    full_name: Annotated[str, Meta(max_length=_LONGEST_NAME)]
    public: str

    def __post_init__(self) -> None:
        """Refuse a name that a terminal would obey."""
        if not self.full_name.isprintable():
            raise ValueError("the name is not the name of a person")


class LoginAnswer(Document, frozen=True):
    """Who the person is at the node, and the chain of the key's card."""

    WHAT: ClassVar[str] = "login"
    ADVICE: ClassVar[str] = _AGAIN

    address: str
    chain: str


def login_request(ticket: Ticket, key: PrivateKey, full_name: str = "") -> bytes:
    """What the laptop sends to the node that made the ticket, signed by the user's new key.

    Raises
    ------
    UsageError
        The ticket is for a node.
    """
    if ticket.kind != FOR_USER:
        raise UsageError("this ticket is for a node, not for a person", next="Use it with: diadem peer join TICKET")
    said = Login(ticket.node, ticket.token, full_name[:_LONGEST_NAME], key.public.to_text())
    return sign(said.to_bytes(), [key], TYPE).to_line()


def answer_login(context: Context, body: bytes, signer: str = "") -> bytes:
    """Take a person in who comes with a ticket: the key is introduced in the log; the node never has its private half.

    Parameters
    ----------
    context : Context
        The node.
    body : bytes
        From anyone.
    signer : str
        Id of the key that signed the request which brought it, if one did.

    Raises
    ------
    DocumentError
        It is no login, or not signed by the key that it names.
    Refused
        The ticket does not hold, or another user has the name by now.
    """
    said, key = _opened(context, body)
    if signer and signer != key.key_id:
        raise DocumentError("the request is not signed by the key that logs in", where="login")
    with context.locked("users"):
        context.reread_settings()
        name, guest = _used(context, said.token, key)
        known = next((user for user in context.settings.users if user.name == name), None)
        if known is not None and known.key != key.to_text():
            raise Refused(f"somebody else has the name '{name}' now", next="Ask for a ticket with another name.")
        if known is None:
            user = UserSettings(name, said.full_name, key.to_text(), "user-held", "none", guest=guest)
            context.say([user_card(name=f"{name}@{context.settings.name}", key=key, custody="user-held")])
            context.change_settings(lambda settings: settings.with_user(user))
    mirror_settings(context)
    chain = export_chain(context.ledger, key.key_id, [context.keys.open("online")], clock=context.clock)
    return LoginAnswer(f"{name}@{context.settings.name}", chain.decode("utf-8")).to_bytes()


def _opened(context: Context, body: bytes) -> tuple[Login, PublicKey]:
    if len(body) > MAX_LOGIN:
        raise Login.fault(f"{len(body):,} bytes are more than the {MAX_LOGIN:,} that are read")
    envelope = Envelope.from_line(body)
    if envelope.payload_type != TYPE:
        raise Login.fault("it is something else")
    said = Login.from_bytes(envelope.payload)
    key = PublicKey.from_text(said.public)
    if not envelope.signers([key]):
        raise Login.fault("it is not signed by the key that it names")
    if said.to != context.settings.id:
        raise Refused("this login is for another node", next="Use the address in the ticket.")
    return said, key


def _used(context: Context, token: str, key: PublicKey) -> tuple[str, bool]:
    """Name of the user whom the ticket is for, and whether it is a guest."""
    bearer = Bearer(key.key_id, "a key")
    try:
        ticket = use_ticket(peer_book(context), hash_token(token), FOR_USER, bearer, context.clock())
    except TicketRefused as error:
        if error.ticket is not None and not error.ticket.refused_by:
            action = "came with a ticket that is not valid for it"
            say_refused(context, key.key_id, action, actor=key.key_id, reason=error.message)
        raise
    return ticket.name, ticket.guest


def finish_login(ticket: Ticket, key: PrivateKey, answer: Mapping[str, Any]) -> str:
    """The address of the user, if the node of the ticket vouches for this key.

    Raises
    ------
    DocumentError
        It does not.
    """
    said = LoginAnswer.of(answer)
    chain = said.chain.encode("utf-8")
    loaded = load("card", chain)
    good = loaded.chain.node == ticket.node and verify_chains([chain], pins=[ticket.node]).ok
    ring = KeyRing(ticket.node, loaded.key_entries)
    card = ring.owner_of(key.public.key_id)
    vouched = good and card is not None and card.role == USER and card.name == said.address
    if not vouched or said.address.partition("@")[0] != ticket.user:
        raise DocumentError(
            "the answer does not prove that the node knows your key", where="login", next="Ask for a new ticket."
        )
    return said.address


def require_open(ticket: Ticket, now: datetime) -> None:
    """Refuse a ticket that has ended.

    Raises
    ------
    Refused
        It has.
    """
    if ticket.expires <= now:
        raise Refused(f"this ticket ended on {time_text(ticket.expires)}", next="Ask for a new one.")

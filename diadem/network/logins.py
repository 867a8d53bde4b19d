"""A person joins a node from a laptop: the key is made there and stays there; the node gets to know its public half."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from diadem.custody.chain import export_chain, load
from diadem.custody.keyring import KeyRing
from diadem.custody.statements import USER, user_card
from diadem.custody.verify import verify_chains
from diadem.errors import DocumentError, Refused, UsageError
from diadem.model.canonical import decode, encode
from diadem.model.peer_checks import HEX, matches, members_of, require
from diadem.model.tickets import FOR_USER, TOKEN, Ticket, hash_token
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


def login_request(ticket: Ticket, key: PrivateKey, full_name: str = "") -> bytes:
    """What the laptop sends to the node that made the ticket, signed by the user's new key.

    Raises
    ------
    UsageError
        The ticket is for a node.
    """
    if ticket.kind != FOR_USER:
        raise UsageError("this ticket is for a node, not for a person", next="Use it with: diadem peer join TICKET")
    document = {
        "format": FORMAT,
        "to": ticket.node,
        "token": ticket.token,
        "full_name": full_name[:_LONGEST_NAME],
        "public": key.public.to_text(),
    }
    return sign(encode(document, where="login"), [key], TYPE).to_line()


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
    found, key = _opened(context, body)
    if signer and signer != key.key_id:
        raise DocumentError("the request is not signed by the key that logs in", where="login")
    with context.locked("users"):
        context.reread_settings()
        name, guest = _used(context, found["token"], key)
        known = next((user for user in context.settings.users if user.name == name), None)
        if known is not None and known.key != key.to_text():
            raise Refused(f"somebody else has the name '{name}' now", next="Ask for a ticket with another name.")
        if known is None:
            user = UserSettings(name, found["full_name"], key.to_text(), "user-held", "none", guest=guest)
            context.say([user_card(name=f"{name}@{context.settings.name}", key=key, custody="user-held")])
            context.change_settings(lambda settings: settings.with_user(user))
    mirror_settings(context)
    chain = export_chain(context.ledger, key.key_id, [context.keys.open("online")], clock=context.clock)
    document = {"address": f"{name}@{context.settings.name}", "chain": chain.decode("utf-8")}
    return encode(document, where="login")


def _opened(context: Context, body: bytes) -> tuple[Mapping[str, str], PublicKey]:
    if len(body) > MAX_LOGIN:
        raise DocumentError(f"{len(body):,} bytes are more than the {MAX_LOGIN:,} that are read", where="login")
    envelope = Envelope.from_line(body)
    require(envelope.payload_type == TYPE, "login", "it is something else")
    found: dict[str, Any] = members_of(
        decode(envelope.payload, where="login", limit=MAX_LOGIN), "login", "format to token full_name public"
    )
    require(found["format"] == FORMAT, "login", f"its format is not {FORMAT}")
    require(all(isinstance(value, str) for value in found.values()), "login", "its members must be texts")
    require(matches(HEX, found["to"]) and matches(TOKEN, found["token"]), "login", "it names no node")
    named = len(found["full_name"]) <= _LONGEST_NAME and found["full_name"].isprintable()
    require(named, "login", "the name is not the name of a person")
    key = PublicKey.from_text(found["public"])
    require(bool(envelope.signers([key])), "login", "it is not signed by the key that it names")
    if found["to"] != context.settings.id:
        raise Refused("this login is for another node", next="Use the address in the ticket.")
    return found, key


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


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """What the node answered, proven.

    Attributes
    ----------
    address : str
        ``bob@hu-berlin``.
    chain : bytes
        The card of the user's key.
    """

    address: str
    chain: bytes


def finish_login(ticket: Ticket, key: PrivateKey, reply: bytes) -> LoggedIn:
    """The address of the user, if the node of the ticket vouches for this key.

    Raises
    ------
    DocumentError
        It does not.
    """
    found = members_of(decode(reply, where="login", limit=1 << 20), "login", "address chain")
    require(isinstance(found["address"], str) and isinstance(found["chain"], str), "login", "it is something else")
    chain = found["chain"].encode("utf-8", "surrogatepass")
    loaded = load("card", chain)
    good = loaded.chain.node == ticket.node and verify_chains([chain], pins=[ticket.node]).ok
    ring = KeyRing(ticket.node, loaded.key_entries)
    card = ring.owner_of(key.public.key_id)
    vouched = good and card is not None and card.role == USER and card.name == found["address"]
    if not vouched or found["address"].partition("@")[0] != ticket.user:
        raise DocumentError(
            "the answer does not prove that the node knows your key", where="login", next="Ask for a new ticket."
        )
    return LoggedIn(found["address"], chain)


def require_open(ticket: Ticket, now: Any) -> None:
    """Refuse a ticket that has ended.

    Raises
    ------
    Refused
        It has.
    """
    if ticket.expires <= now:
        raise Refused(f"this ticket ended on {time_text(ticket.expires)}", next="Ask for a new one.")

"""The users of a node: each with a key of their own, introduced in the log by a card that the node signs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from diadem.custody.keyring import Card
from diadem.custody.statements import user_card
from diadem.errors import DiademError, NotFound, Refused, UsageError
from diadem.model.display import Display, DisplayList, FixedRows
from diadem.model.times import time_text
from diadem.node.config import UserSettings, checked_name
from diadem.node.context import Context
from diadem.node.mirrors import mirror_settings

if TYPE_CHECKING:
    from diadem.model.tickets import Ticket


@dataclass(frozen=True, slots=True)
class UserCard(Display):
    """A user as the log introduces them.

    Attributes
    ----------
    name, address, full_name : str
        ``alice``, ``alice@hu-berlin``, and as a person writes it.
    key, key_id : str
        Public key, and its id by which others know it.
    custody : str
        ``node-held`` or ``user-held``.
    version : int
        Of the card.
    expires : datetime or None
        When it ends.
    successor : str
        Who follows a user who retired; "" for one who is still here.
    """

    name: str
    address: str
    full_name: str
    key: str
    key_id: str
    custody: str
    version: int
    expires: datetime | None
    successor: str = ""

    def to_dict(self) -> dict[str, Any]:
        """A JSON object with every attribute."""
        plain = {name: getattr(self, name) for name in self.__slots__}
        return plain | {"expires": time_text(self.expires) if self.expires else None}


@dataclass(frozen=True, slots=True)
class UserVerbs(DisplayList):
    """The users of a node: `node.users`."""

    _display_name = "users"

    context: Context

    def __iter__(self) -> Iterator[UserSettings]:
        """Each user, the default one first."""
        return iter(self.ls())

    def ls(self) -> Sequence[UserSettings]:
        """Each user, the default one first."""
        return FixedRows(self.context.settings.users)

    def add(
        self, name: str, *, full_name: str = "", protection: str = "file", passphrase: str | None = None
    ) -> UserSettings:
        """Add a user with a key, and record the key in the log.

        Parameters
        ----------
        name : str
            Short, unique on this node: ``bob``.
        full_name : str
            The full name.
        protection : {"file", "passphrase", "keyring"}
            How the private key is protected on this machine; with ``passphrase`` only its user can open it.
        passphrase : str, optional
            With ``passphrase``; else it is asked for.

        Raises
        ------
        UsageError
            The name is taken, or no name.
        """
        from diadem.trust.keys import PrivateKey

        context = self.context
        context.require_writable()
        chosen = checked_name(name, "user")
        with context.locked("users"):
            context.reread_settings()
            context.require_keys()
            known = next((user for user in context.settings.users if user.name == chosen), None)
            card = self._card_of(chosen)
            if known is not None and card is not None and card.public.to_text() == known.key:
                raise UsageError(f"there is a user '{chosen}' already", next="See: diadem user ls")
            if card is not None and card.successor:
                raise UsageError(
                    f"{card.name} has retired, and the name is not used again", next="Choose another name."
                )
            if card is None or (user := self._adopted(chosen, full_name, protection, card)) is None:
                key = PrivateKey.generate()
                custody = "user-held" if protection == "passphrase" else "node-held"
                user = UserSettings(chosen, full_name, key.public.to_text(), custody, protection)
                context.keys.keep(f"users/{chosen}", key, protection=protection, passphrase=passphrase)
                version = card.version + 1 if card is not None else 1
                address = f"{chosen}@{context.settings.name}"
                context.say([user_card(name=address, key=key.public, custody=custody, version=version)])
            context.change_settings(lambda settings: settings.with_user(user))
        mirror_settings(context)
        context.ledger.mirrors.push()
        return user

    def _adopted(self, name: str, full_name: str, protection: str, card: Card) -> UserSettings | None:
        """A user whose key the log knows, from a run that was killed; None where the node held the key and lost it."""
        text, held = card.public.to_text(), card.custody == "user-held"
        try:
            encrypted = self.context.keys.check(f"users/{name}", text)
        except NotFound:
            return UserSettings(name, full_name, text, card.custody, "none") if held else None
        except DiademError:
            return None
        if encrypted and protection == "file":
            protection = "passphrase" if held else "keyring"
        return UserSettings(name, full_name, text, card.custody, protection)

    def invite(self, name: str, *, guest: bool = False, days: float = 7) -> Ticket:
        """Make a ticket for a person who works from a laptop and whose key stays there: `diadem login`.

        Parameters
        ----------
        name : str
            Short, unique on this node: ``bob``.
        guest : bool
            Whether the person comes from outside the group.
        days : float
            How long it is valid.

        Raises
        ------
        UsageError
            The name is taken, or no name.
        Refused
            This node has no address at which others find it.
        """
        from diadem.node.peers.tickets import invite_user

        self.context.require_writable()
        return invite_user(self.context, name, guest=guest, days=days)

    def show(self, name: str) -> UserCard:
        """The card of a user: the key by which others know them, how it is held, and until when.

        Raises
        ------
        NotFound
            The node has no such user.
        """
        user = self.context.settings.user(name)
        card = self._card(user.name)
        return UserCard(
            name=user.name,
            address=card.name,
            full_name=user.full_name,
            key=card.public.to_text(),
            key_id=card.public.key_id,
            custody=card.custody,
            version=card.version,
            expires=card.expires,
            successor=card.successor,
        )

    def retire(self, name: str, to: str, *, reason: str = "") -> UserCard:
        """Retire a user: their key signs nothing any more, and their packages pass to another.

        What they have said stays, and what they granted holds until their successor revokes it. There is no way back,
        and the name is not used again.

        Parameters
        ----------
        name : str
            Who leaves.
        to : str
            Who follows: another user of this node.
        reason : str
            Why.

        Raises
        ------
        NotFound
            The node has no such user.
        UsageError
            Nobody follows themselves.
        Refused
            One of the two has retired.
        """
        context = self.context
        context.require_writable()
        with context.locked("users"):
            context.reread_settings()
            user, heir = context.settings.user(name), context.settings.user(to)
            if user.name == heir.name:
                raise UsageError(f"{user.name} cannot be their own successor", next="Name another user: --to bob")
            if successor := self._card(heir.name).successor:
                raise Refused(f"{heir.name} has retired, and {successor} follows", next="Name a user who is here.")
            address, card = f"{heir.name}@{context.settings.name}", self._card(user.name)
            if card.successor not in ("", address):
                raise Refused(f"{user.name} has retired, and {card.successor} follows", next="See: diadem user ls")
            if not card.successor:
                retired = user_card(
                    name=card.name,
                    key=card.public,
                    custody=card.custody,
                    version=card.version + 1,
                    expires=context.clock(),
                    successor=address,
                    reason=reason.strip(),
                )
                context.say([retired])
            context.change_settings(lambda settings: settings.with_user(replace(user, successor=address)))
        mirror_settings(context)
        return self.show(user.name)

    def _card(self, name: str) -> Card:
        if (card := self._card_of(name)) is None:
            address = f"{name}@{self.context.settings.name}"
            raise NotFound(f"the log has no card of {address}", next="Look it over: diadem doctor")
        return card

    def _card_of(self, name: str) -> Card | None:
        address = f"{name}@{self.context.settings.name}"
        return next((card for card in self.context.grants.now().ring.users() if card.name == address), None)

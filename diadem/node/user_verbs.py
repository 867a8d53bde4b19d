"""The users of a node: each with a key of their own, introduced in the log by a card that the node signs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from diadem.errors import UsageError
from diadem.node.config import UserSettings, checked_name
from diadem.node.context import Context
from diadem.node.custody.statements import user_card
from diadem.node.mirroring import mirror_settings

if TYPE_CHECKING:
    from diadem.model.tickets import Ticket


@dataclass(frozen=True, slots=True)
class UserVerbs:
    """The users of a node: `node.users`.

    Parameters
    ----------
    context : Context
        The node.
    """

    context: Context

    def __iter__(self) -> Iterator[UserSettings]:
        """Each user, the default one first."""
        return iter(self.ls())

    def ls(self) -> Sequence[UserSettings]:
        """Each user, the default one first."""
        return self.context.settings.users

    def add(
        self, name: str, *, full_name: str = "", protection: str = "file", passphrase: str | None = None
    ) -> UserSettings:
        """Make a user with a key, and introduce the key in the log.

        Parameters
        ----------
        name : str
            Short, unique on this node: ``bob``.
        full_name : str
            As a person writes it.
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
            if any(user.name == chosen for user in context.settings.users):
                raise UsageError(f"there is a user '{chosen}' already", next="See: diadem user ls")
            key = PrivateKey.generate()
            custody = "user-held" if protection == "passphrase" else "node-held"
            user = UserSettings(chosen, full_name, key.public.to_text(), custody, protection)
            context.keys.keep(f"users/{chosen}", key, protection=protection, passphrase=passphrase)
            context.say([user_card(name=f"{chosen}@{context.settings.name}", key=key.public, custody=custody)])
            context.change_settings(lambda settings: settings.with_user(user))
        mirror_settings(context)
        return user

    def invite(self, name: str, *, guest: bool = False, days: float = 7) -> Ticket:
        """Make a ticket for a person who works from a laptop and whose key stays there: `diadem login`.

        Parameters
        ----------
        name : str
            Short, unique on this node: ``bob``.
        guest : bool
            Whether the person comes from outside the group.
        days : float
            How long it holds.

        Raises
        ------
        UsageError
            The name is taken, or no name.
        Refused
            This node has no address at which others find it.
        """
        from diadem.node.peers.inviting import invite_user

        self.context.require_writable()
        return invite_user(self.context, name, guest=guest, days=days)

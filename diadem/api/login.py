"""Becoming a user of a node from a laptop."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from diadem.transfer.profiles import Profile


def login(ticket: str, *, full_name: str = "", passphrase: str = "") -> Profile:
    """Become a user of a node, by a ticket: makes a key that stays on this account, and a profile.

    Parameters
    ----------
    ticket : str
        The text that `diadem user invite` printed on the node.
    full_name : str
        Your name, as you write it.
    passphrase : str
        Protects the key; "" leaves it to the permissions of the file.

    Returns
    -------
    Profile
        Your address, where the node is, and the file of your key.

    Raises
    ------
    UsageError
        It is not a ticket, or one for a node.
    Refused
        It does not hold, or was used already: then somebody else had it.
    Unreachable
        The node does not answer; the same call goes on with the same key.
    """
    from diadem.transfer import profiles

    return profiles.login(ticket, full_name=full_name, passphrase=passphrase)

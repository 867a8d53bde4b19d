"""Whose key is it that signed: a user's of this node, so far."""

from __future__ import annotations

from diadem.errors import DocumentError
from diadem.model.askers import USER, Asker
from diadem.node.context import Context
from diadem.trust.keys import PublicKey


def find_asker(context: Context, key_id: str) -> Asker | None:
    """Who has this key, by what the node knows now; None where nobody has it."""
    settings = context.settings
    for user in settings.users:
        try:
            key = PublicKey.from_text(user.key)
        except DocumentError:  # a user without a key cannot ask
            continue
        if key.key_id == key_id:
            return Asker(USER, key_id, user.key, settings.id, f"{user.name}@{settings.name}")
    return None

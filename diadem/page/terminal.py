"""Commands that a page prints, as they act on its node when they are pasted into a terminal."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from diadem.api.nodes import NODE_VARIABLE
from diadem.model.plain_text import quoted
from diadem.node.open import default_node

if TYPE_CHECKING:
    from diadem.api.nodes import Node

#: Commands that act on a node, with their words; a group that is a command too is also alone. `init`, `serve` and
#: `page` are no part: a page tells of them for other nodes. The command line itself, which is above this room and takes
#: a second to load, is not asked: a test compares both.
NODE_COMMANDS: Final = """
accept, amend, archive, assess, custody, decline, delete, derive, doctor, drop, export, get, grant, grant add, grant ls,
grant why, import, inbox, instruments, jobs, assessment export, assessment import, key rotate, open,
peer carrier add, peer carrier ls, peer carrier rm, peer compromised, peer confirm, peer drop, peer invite, peer join,
peer ls, peer refresh, peer rename, reindex, repair, rescan, revoke, rule add, rule ls, rule rm, sample add,
sample change, sample consume, sample export, sample import, sample link, sample lose, sample ls, sample receive,
sample retract, sample send, sample show, sample split, sample unlink, scrub, search, send, show, site, status,
store add, store ls, store move, store rm, transfer cancel, transfer ls, transfer pause, transfer resume, transfer show,
transfer sync, user add, user invite, user ls, user retire, user show, verify, watch, watch add, watch ls, watch plan,
watch rm, watch run
"""
_NAMES: Final = sorted((" ".join(one.split()) for one in NODE_COMMANDS.split(",")), key=len, reverse=True)
_COMMAND: Final = re.compile(rf"\bdiadem (?:{'|'.join(_NAMES)})\b(?!-| verify\b)")


def node_option(node: Node) -> str:
    """`` --node PLACE``, as a terminal takes it; "" where this node is the one that is meant anyway."""
    place = str(getattr(node, "url", None) or node.path)
    known = {place, str(Path(place).parent)} if Path(place).name == "node" else {place}
    meant = [default_node(), os.environ.get(NODE_VARIABLE, default_node())]
    if all(one in known for one in meant):
        return ""
    return f" --node {quoted(place)}"


def with_node(text: str, option: str) -> str:
    """A text with the option in each command that acts on a node."""
    return _COMMAND.sub(lambda found: found[0] + option, text) if option and "--node" not in text else text

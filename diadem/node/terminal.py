"""Commands that a page, a command or a letter prints, as they act on its node when they are pasted into a terminal."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from diadem.errors import UsageError
from diadem.model.plain_text import quoted

#: Where the node is, for commands and programs that do not say.
NODE_VARIABLE: Final = "DIADEM_NODE"
#: Commands that act on a node, with their words; a group that is a command too is also alone. `page` is no part: it is
#: told of for other nodes. The command line itself, which is above this room and takes a second to load, is not asked:
#: a test compares both.
NODE_COMMANDS: Final = """
accept, amend, archive, assess, assessment export, assessment import, custody, decline, delete, derive, doctor, drop,
export, get, grant, grant add, grant ls, grant why, import, inbox, init --confirm-recovery, instruments, jobs, key
rotate, open, peer carrier add, peer carrier ls, peer carrier rm, peer compromised, peer confirm, peer drop, peer
invite, peer join, peer ls, peer refresh, peer rename, reindex, repair, rescan, revoke, rule add, rule ls, rule rm,
sample add, sample change, sample consume, sample export, sample import, sample link, sample lose, sample ls, sample
receive, sample retract, sample send, sample show, sample split, sample unlink, scrub, search, send, serve, service
install, service remove, service status, show, site, status, store add, store ls, store move, store rm, tell add, tell
ls, tell now, tell rm, tell test, transfer cancel, transfer ls, transfer pause, transfer resume, transfer show, transfer
sync, user add, user invite, user ls, user retire, user show, verify, watch, watch add, watch ls, watch plan, watch rm,
watch run
"""
_NAMES: Final = sorted((" ".join(one.split()) for one in NODE_COMMANDS.split(",")), key=len, reverse=True)
#: What stays as it is: words of others in quotation marks, and what somebody is asked to do on another node.
_LEFT: Final = (
    r"""(?<!\w)'[^'\n]*'(?!\w)|(?<!\w)"[^"\n]*"(?!\w)"""
    r"|(?:\b[Aa]sk (?!the node for)|\b[Oo]n the (?:other side|machine of)|\bpeople (?:run|there make)|\bmust repair)"
    r"(?:(?!, (?:and|or) |then:|;|\.(?:\s|$)).)*"
)
_COMMAND: Final = re.compile(
    rf"{_LEFT}|(\bdiadem (?:{'|'.join(_NAMES)})\b)(?!-|\.\w| verify\b|(?:(?!\bdiadem ).)*--(?:node|help)\b)"
)


def node_option(place: str, *, elsewhere: bool = False) -> str:
    """`` --node PLACE``, as a terminal takes it; "" where a bare command acts on this node anyway.

    What is pasted `elsewhere` meets a terminal of which nobody knows whether it has the variable DIADEM_NODE.
    """
    from diadem.node.open import default_node
    from diadem.store.addresses import local_path

    def known(one: str) -> str:
        try:
            folder = None if one.startswith("https://") else local_path(one)
        except UsageError:  # no command acts there, and it may have a password in it
            return ""
        return one.rstrip("/") if folder is None else str(folder.absolute())

    if not (here := known(place)):
        return ""
    same = {here, str(Path(here, "node")), *([str(Path(here).parent)] if Path(here).name == "node" else ())}
    default = default_node()
    meant = {os.environ.get(NODE_VARIABLE) or default, *([default] if elsewhere else ())}
    return "" if all(one and known(one) in same for one in meant) else f" --node {quoted(here)}"


def with_node(text: str, option: str) -> str:
    """A text with the option in each command that acts on a node, and has none."""
    return _COMMAND.sub(lambda found: f"{found[0]}{option if found[1] else ''}", text) if option else text

"""Advice in the words of Python: a command that a message names, as the call that does the same.

Messages name commands, which the command line and the page show as they are. Whoever works in Python reads them as
calls: ``diadem store ls`` is ``node.stores``. What has no call, such as ``diadem serve``, stays a command.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Final

#: A command in a text, and where it ends: prose goes on after a mark, or after more than one space.
COMMAND: Final = re.compile(
    r"(?:^|(?<=[\s(:'`]))diadem (?=[a-z-])(.*?)(?=$|  |\n|\)|`|[.,;:]?(?:\s[(A-Z]?[a-z]* ?\()|[.;,](?:\s|$)|…|\?)"
)
#: Commands of the same name as a verb of a node; what the words after them are, the verb's own parameters say.
_VERBS: Final = (
    "accept", "amend", "archive", "assess", "custody", "decline", "delete", "doctor", "drop", "export", "get", "grant",
    "inbox", "instruments", "reindex", "repair", "rescan", "revoke", "scrub", "search", "send", "show", "site",
    "status",
)  # fmt: skip
#: Commands of a group, and the calls of its verbs.
_GROUPS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "store": ("node.stores", ("add", "move", "rm")),
    "user": ("node.users", ("add", "invite", "retire", "show")),
    "sample": ("node.samples", ("add", "change", "consume", "export", "link", "receive", "send", "show", "split",
                                "unlink")),
    "rule": ("node.rules", ("add", "rm")),
    "peer": ("node.peers", ("confirm", "drop", "invite", "join", "refresh", "rename")),
    "peer carrier": ("node.peers.carriers", ("add", "rm")),
    "transfer": ("node.transfers", ("cancel", "pause", "resume", "show", "sync")),
    "tell": ("node.tell", ("add", "now", "rm", "test")),
    "watch": ("node.watched", ("add", "plan", "rm")),
    "service": ("node.services", ("install", "remove", "status")),
    "assessment": ("node.judgements", ("export",)),
    "key": ("node.keys", ("rotate",)),
}  # fmt: skip
#: All others.
_OTHERS: Final[Mapping[str, str]] = {
    "custody": "node.custody", "grant add": "node.grant", "import": "node.import_", "init --confirm-recovery":
    "node.confirm_recovery", "jobs --stop": "node.stop_job", "login": "diadem.login", "scan": "diadem.scan",
    "search --save": "node.queries.save", "store rm --lost": "node.stores.lose", "verify": "diadem.verify",
}  # fmt: skip
#: What is looked at, and not called.
_LISTS: Final[Mapping[str, str]] = {
    "grant ls": "node.grants()", "jobs": "node.jobs", "search --saved": "node.queries",
    **{f"{group} ls": holder for group, (holder, _) in _GROUPS.items()
       if group not in ("assessment", "key", "service")},
}  # fmt: skip
_CALLS: Final[Mapping[str, str]] = {
    **{verb: f"node.{verb}" for verb in _VERBS},
    **{f"{group} {verb}": f"{holder}.{verb}" for group, (holder, verbs) in _GROUPS.items() for verb in verbs},
    **_OTHERS,
}
#: Options that are called otherwise as parameters; those that are on or off; those of the command line alone.
_RENAMED: Final = {"as": "form", "for": "for_", "from": "from_", "max": "max_bytes", "option": "options"}
_FLAGS: Final = frozenset(
    {
        "anew",
        "as-one",
        "below-minimum",
        "clock-is-right",
        "dry-run",
        "due",
        "edited",
        "full",
        "in-place",
        "lost",
        "now",
        "replace",
        "set-aside",
        "wait",
    }
)
_SHOWN: Final = frozenset({"all", "files", "json"})
_ALONE: Final = frozenset({"node", "split", "url"})
#: What follows the name of a command where a sentence goes on.
_PROSE: Final = frozenset({"does", "has", "shows"})
#: Calls that are written otherwise where an option is given.
_SPECIAL: Final[Mapping[tuple[str, ...], str]] = {
    ("node.search", "save"): "node.queries.save({save}, {0})",
    ("node.amend", "set"): "node.amend({0}, {{{set}}})",
    ("node.amend", "dataset", "set"): "node.amend({0}, {{{set}}}, dataset={dataset})",
    ("diadem.scan", "plan"): "diadem.scan({0}).save({plan})",
    ("node.show", "dataset"): "node.get({0})[{dataset}]",
}
#: How many arguments a verb needs at least; ``...`` stands for what a person fills in.
_NEEDED: Final[Mapping[str, int]] = {
    **dict.fromkeys((f"node.{verb}" for verb in ("accept", "archive", "custody", "get", "show")), 1),
    **dict.fromkeys(("node.transfers.resume", "node.peers.refresh", "diadem.verify", "diadem.scan"), 1),
    **dict.fromkeys(("node.amend", "node.assess", "node.grant", "node.send", "node.peers.drop"), 2),
}
#: A word for the shells of Windows: in double quotation marks, in single ones, or bare.
_WORD: Final = re.compile(r"""\s*(?:"((?:[^"]|"")*)"|'((?:[^']|'')*)'|([^\s"']+))(?=\s|\Z)""")
_SIZES: Final = {"kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


def in_python(text: str, *, windows: bool = os.name == "nt") -> str:
    """The text with the call in place of each command that has one; `windows` says for which shells it was written."""
    return COMMAND.sub(lambda found: _call(found[1], windows) or found[0], text) if "diadem " in text else text


def _call(words: str, windows: bool) -> str | None:
    """The call that does what a command does; None where there is none."""
    try:
        given = unquoted(words, windows=windows)
    except ValueError:  # an apostrophe in prose
        return None
    for count in (3, 2, 1):
        name = " ".join(given[:count])
        if name in _LISTS and len(given) == count:
            return _LISTS[name]
        if name in _CALLS:
            if name == "store rm" and "--lost" in given:
                name, given = "store rm --lost", [*given[:2], *(word for word in given[2:] if word != "--lost")]
            return _written(_CALLS[name], given[count:])
    return None


def unquoted(command: str, *, windows: bool = os.name == "nt") -> list[str]:
    """The words of a command, its arguments written as `diadem.model.plain_text.quoted` does.

    Raises
    ------
    ValueError
        A quotation mark is open.
    """
    if not windows:
        return shlex.split(command)
    words, end = [], 0
    while end < len(command.rstrip()):
        found = _WORD.match(command, end)
        if found is None:
            raise ValueError("no closing quotation mark")
        double, single, plain = found.groups()
        if double is not None:
            plain = re.sub(r'(\\+)\1(?="|\Z)', r"\1", double.replace(2 * chr(34), chr(34)))
        words.append(single.replace("''", "'") if single is not None else plain)
        end = found.end()
    return words


def _written(call: str, given: Sequence[str]) -> str | None:
    """A call with its arguments; None for an option that has no parameter, and for prose."""
    arguments: list[str] = []
    named: dict[str, str] = {}
    rest = list(given)
    while rest:
        word = rest.pop(0)
        option = word.removeprefix("--")
        if word == option:
            arguments.append(_literal(word))
        elif option in _FLAGS:
            named[option.replace("-", "_")] = "True"
        elif option in _ALONE or (option not in _SHOWN and not rest):
            return None
        elif option not in _SHOWN:
            name = _RENAMED.get(option, option.replace("-", "_"))
            value = _value(name, rest.pop(0))
            if name == "options":  # as many as there are
                value = f"{named[name][:-1]}, {value}]" if name in named else f"[{value}]"
            elif name == "set" and name in named:
                value = f"{named[name]}, {value}"
            named[name] = value
    if any(word in _PROSE for word in given):
        return None
    written = _SPECIAL.get((call, *sorted(named.keys() & {"save", "set", "plan", "dataset"})))
    if written is not None:
        return written.format(", ".join(arguments) or "...", **named)
    if call == "node.get" and len(arguments) > 1:  # into a folder; of a package that has an id, or that lies somewhere
        call = "node.restore"
        if not re.fullmatch(r'"(?:ID|(?:diadem:)?[0-9a-f]{8,64})"|\.\.\.', arguments[0]):
            call = f"diadem.open({arguments.pop(0)}).restore"
    lacking = _NEEDED.get(call, 0) - len(arguments) - len(named.keys() & {"reason", "to"})
    arguments += ["..."] * lacking
    return f"{call}({', '.join([*arguments, *(f'{name}={value}' for name, value in named.items())])})"


def _literal(word: str) -> str:
    return "..." if word in ("...", "…") else '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _value(name: str, word: str) -> str:
    """An option's value: a size in bytes, a field and its value, a text."""
    number, unit = word[:-2], word[-2:]
    if name == "max_bytes" and unit in _SIZES:
        return f"{int(float(number) * _SIZES[unit])}"
    key, equals, value = word.partition("=")
    return f"{_literal(key)}: {_literal(value)}" if name == "set" and equals else _literal(word)

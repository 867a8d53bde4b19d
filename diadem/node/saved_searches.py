"""Searches that were saved under a name, for which ``@NAME`` stands in others.

They lie in `queries.toml` in the node's folder, and a copy of it in every store.
"""

from __future__ import annotations

import datetime
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final

from diadem.catalogue.query import MAX_LENGTH, pointing
from diadem.errors import DiademError, DocumentError, NotFound, Refused, UsageError
from diadem.model.display import Display, DisplayList, Rows
from diadem.model.times import time_text
from diadem.node.context import Context
from diadem.node.mirrors import QUERIES_FILE, mirror_settings
from diadem.store.own_files import home_of
from diadem.store.whole import write_whole

FORMAT: Final = "diadem-queries/1"
#: How many saved searches may stand on one another.
MAX_LEVELS: Final = 20
#: A quoted text, which is left as it is, or a name with its sign.
_PIECE: Final = re.compile(r"[\"“”„][^\"“”„]*[\"“”„]|(?<![^\s(])@(?P<name>[^\s()\"“”„]+)(?=[\s()]|\Z)")
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}\Z")


@dataclass(frozen=True, slots=True)
class SavedQuery(Display):
    """A search with a name.

    Attributes
    ----------
    name : str
        ``@name`` stands for it in other searches.
    query : str
        As it was saved.
    by : str
        Who saved it: ``alice@hu-berlin``.
    saved : datetime
        When, UTC.
    """

    name: str
    query: str
    by: str
    saved: datetime.datetime

    def to_dict(self) -> dict[str, Any]:
        """A JSON object with every attribute."""
        return {"name": self.name, "query": self.query, "by": self.by, "saved": time_text(self.saved)}


@dataclass(frozen=True, slots=True)
class QueryVerbs(DisplayList):
    """The saved searches of a node: `node.queries`.

    Parameters
    ----------
    context : Context
        The node.
    """

    _display_name = "saved searches"

    context: Context

    def __iter__(self) -> Iterator[SavedQuery]:
        """Each, by name."""
        return iter(self.ls())

    def ls(self) -> list[SavedQuery]:
        """Each, by name. Raises `DocumentError` where the file cannot be understood."""
        return Rows(saved for _, saved in sorted(self._read().items()))

    def get(self, name: str) -> SavedQuery:
        """One of them. Raises `NotFound`."""
        known, chosen = self._read(), _plain_name(name)
        if chosen not in known:
            raise NotFound(f"there is no saved search '@{chosen}'", next=f"There are: {_listed(known)}")
        return known[chosen]

    def save(self, name: str, query: str, *, overwrite: bool = False) -> SavedQuery:
        """Save a search under a name.

        Parameters
        ----------
        name : str
            Letters, digits, dots, hyphens and underscores.
        query : str
            As for `Node.search`; may refer to other saved searches.
        overwrite : bool
            In the place of one of this name.

        Raises
        ------
        UsageError
            The search cannot be understood, finds everything, or would refer to itself.
        Refused
            There is another one of this name.
        """
        context, chosen = self.context, _plain_name(name)
        context.require_writable()
        if not query.strip():
            raise UsageError("a search for everything needs no name", next="diadem search --save NAME 'HAADF kV>=200'")
        with context.locked("queries"):
            known = self._read()
            before = known.get(chosen)
            if before is not None and before.query != query and not overwrite:
                raise Refused(
                    f"there is a saved search '@{chosen}' already: {before.query}",
                    next="Choose another name, or add --overwrite.",
                )
            texts = {one.name: one.query for one in known.values()} | {chosen: query}
            context.catalogue.search(expanded(query, texts), limit=0)  # it must be understood
            saved = SavedQuery(chosen, query, context.address, context.clock().replace(microsecond=0))
            self._write(known | {chosen: saved})
        mirror_settings(context)
        return saved

    def delete(self, name: str) -> SavedQuery:
        """Remove a saved search.

        Raises
        ------
        NotFound
            There is none of this name.
        Refused
            Others refer to it.
        """
        self.context.require_writable()
        with self.context.locked("queries"):
            gone = self.get(name)
            kept = {other: saved for other, saved in self._read().items() if other != gone.name}
            if users := [f"@{one.name}" for one in kept.values() if gone.name in references(one.query)]:
                raise Refused(
                    f"other saved searches refer to '@{gone.name}': {', '.join(users)}",
                    next="Save or delete them first.",
                )
            self._write(kept)
        mirror_settings(self.context)
        return gone

    def expanded(self, query: str) -> str:
        """A search with saved ones in the place of their names. Raises `UsageError` where one is not known."""
        if not references(query):
            return query
        return expanded(query, {name: saved.query for name, saved in self._read().items()})

    def _read(self) -> dict[str, SavedQuery]:
        data = self._data()
        if data is None:
            return {}
        try:
            document = tomllib.loads(data.decode())
            if document.get("format") != FORMAT:
                raise Refused(
                    f"{QUERIES_FILE} is of format '{document.get('format', '')}', not {FORMAT}",
                    where=self._where(),
                    next="Update DIADEM.",
                )
            return {name: _saved(name, said) for name, said in document.get("queries", {}).items()}
        except (UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError, TypeError, AttributeError, UsageError) as error:
            raise DocumentError(
                f"the saved searches cannot be read: {error}", where=self._where(), next="Mend what it names."
            ) from error

    def _where(self) -> str:
        return str(self.context.folder / QUERIES_FILE)

    def _data(self) -> bytes | None:
        """The file; of a node that is read from another PC what its store has."""
        if self.context.writable:
            path = self.context.folder / QUERIES_FILE
            return path.read_bytes() if path.exists() else None
        for _, store in self.context.stores.opened():
            try:
                return store.get(f"{home_of(self.context.settings.id)}/{QUERIES_FILE}")
            except DiademError:
                continue
        return None

    def _write(self, queries: Mapping[str, SavedQuery]) -> None:
        import tomlkit

        document = tomlkit.document()
        document.add(tomlkit.comment("Saved searches. Change them with: diadem search QUERY --save NAME"))
        document["format"] = FORMAT
        document["queries"] = {
            name: {"query": one.query, "by": one.by, "saved": one.saved} for name, one in sorted(queries.items())
        }
        write_whole(self.context.folder / QUERIES_FILE, tomlkit.dumps(document).encode())


def _saved(name: str, said: Mapping[str, Any]) -> SavedQuery:
    """One entry of the file. Raises `KeyError`, `TypeError` or `UsageError` where it is none."""
    query, by, saved = said["query"], said["by"], said["saved"]
    if not (isinstance(query, str) and isinstance(by, str) and isinstance(saved, datetime.datetime)):
        raise TypeError(f"'{name}' needs a query, by whom, and when it was saved")
    return SavedQuery(_plain_name(name), query, by, saved)


def _listed(known: Mapping[str, SavedQuery]) -> str:
    return ", ".join(f"@{name}" for name in sorted(known)) or "none. Save one: diadem search --save NAME 'QUERY'"


def references(query: str) -> list[str]:
    """Names of the saved searches that a search stands on, directly."""
    return list(dict.fromkeys(found["name"].lower() for found in _PIECE.finditer(query) if found["name"] is not None))


def expanded(query: str, saved: Mapping[str, str], path: tuple[str, ...] = ()) -> str:
    """The search with the saved ones in the place of their names, in parentheses; `path` is what led to it.

    Raises
    ------
    UsageError
        There is none of this name, they stand on one another in a ring or too deep, or what comes out is too long.
    """
    parts, end, size = [], 0, len(query)
    for found in _PIECE.finditer(query):
        if found["name"] is None:
            continue
        name = found["name"].lower()
        if name not in saved:
            near = get_close_matches(name, list(saved), n=3, cutoff=0.6)
            advice = (
                f"Did you mean {' or '.join(f'@{one}' for one in near)}?" if near else "See: diadem search --saved."
            )
            what = f"there is no saved search '@{name}'"
            raise pointing(query, found.start(), found.end(), what, next=f'{advice} For the word itself: "@{name}"')
        if name in path:
            ring = " → ".join(f"@{one}" for one in (*path[path.index(name) :], name))
            raise UsageError(
                f"saved searches refer to one another in a circle: {ring}", next=f"Save one of them again: @{name}."
            )
        if len(path) == MAX_LEVELS:
            raise UsageError(
                f"more than {MAX_LEVELS} saved searches refer to one another", next="Save the search itself."
            )
        inner = f"({expanded(saved[name], saved, (*path, name))})"
        parts += [query[end : found.start()], inner]
        end, size = found.end(), size + len(inner)
        if size > MAX_LENGTH:
            raise UsageError(f"with @{name} filled in, the search is longer than {MAX_LENGTH} characters")
    return "".join(parts) + query[end:]


def _plain_name(name: str) -> str:
    """The name of a saved search, lower-cased.

    Raises
    ------
    UsageError
        It has other characters than letters, digits, dots, hyphens and underscores, or more than 64.
    """
    plain = name.strip().removeprefix("@").lower()
    if not _NAME.match(plain):
        raise UsageError(
            f"'{name}' cannot be the name of a saved search",
            next="Use letters a-z, digits, dots, hyphens and underscores, 64 at most: zno-haadf",
        )
    return plain

"""Whether candidates match: from how far each single condition holds in them, and in doubt dataset by dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, select

from diadem.catalogue import tables
from diadem.catalogue.conditions import Conditions
from diadem.catalogue.database import CHUNK
from diadem.catalogue.driving import Driver
from diadem.catalogue.expressions import among
from diadem.catalogue.judging import DOUBT, EVERY, NONE, SOME, YES, differs, doubtful, judge, leaves
from diadem.catalogue.matching import matching, sizes_of
from diadem.catalogue.meaning import Condition, Leaf, Phrase
from diadem.catalogue.package_key import Stretch
from diadem.catalogue.wording import Wording, every, everywhere

_packages = tables.packages.c


@dataclass
class Noted:
    """What became known of packages on the way.

    Attributes
    ----------
    condition : Condition
        What is looked for.
    datasets : dict of int to int
        Datasets that fulfil it, as bits, by package: of those that had to be looked at dataset by dataset.
    sizes : dict of int to int
        How many datasets packages have.
    held : dict of Leaf to dict
        How far single conditions hold in packages.
    """

    condition: Condition
    datasets: dict[int, int] = field(default_factory=dict)
    sizes: dict[int, int] = field(default_factory=dict)
    held: dict[Leaf, dict[int, int]] = field(default_factory=dict)

    def note(self, sizes: Mapping[int, int], held: Mapping[Leaf, Mapping[int, int]]) -> None:
        """Note sizes, and how far conditions hold."""
        self.sizes |= sizes
        for leaf, found in held.items():
            self.held.setdefault(leaf, {}).update(found)


class Scales:
    """Weighs candidates of one source for one condition.

    Parameters
    ----------
    conditions : Conditions
        Conditions as SQL.
    condition : Condition
        What is looked for.
    source : Driver
        Where the candidates come from.
    noted : Noted, optional
        Where datasets are noted that are found, if they are those of its condition.
    """

    most = CHUNK

    def __init__(
        self, conditions: Conditions, condition: Condition, source: Driver, noted: Noted | None = None
    ) -> None:
        self._conditions, self._condition, self._source = conditions, condition, source
        self._noted = noted if noted is not None and noted.condition is condition else Noted(condition)
        self._leaves = leaves(condition)
        self._certain = condition in source.covered or not self._leaves
        self._doubtful = doubtful(condition)
        self._texts, self._asked = self._parted()
        self._held = [conditions.held(leaf, SOME if leaf in source.covered else NONE) for leaf in self._asked]
        self._seen: dict[tuple[int, ...], int] = {}

    def _parted(self) -> tuple[list[Phrase], list[Leaf]]:
        """Words that are looked up in the index of words, where candidates lie close together; and all the rest.

        What holds for all candidates is asked again only where it matters in how many datasets.
        """
        open_ = [leaf for leaf in self._leaves if leaf not in self._source.covered or self._matters(leaf)]
        close = self._source.ordered and not self._source.sparse and self._conditions.database.LOOKS_UP_WORDS
        texts = [leaf for leaf in open_ if isinstance(leaf, Phrase) and close]
        return texts, [leaf for leaf in open_ if leaf not in texts]

    def _matters(self, leaf: Leaf) -> bool:
        return self._doubtful and differs(leaf)

    def verdicts(self, connection: Connection, keys: Sequence[int]) -> dict[int, bool]:
        """Whether each of some candidates matches; they stand in the order of their source."""
        if self._certain:
            return dict.fromkeys(keys, True)
        held: dict[Leaf, dict[int, int]] = {leaf: self._in_texts(connection, leaf, keys) for leaf in self._texts}
        sizes, in_facts = self._in_facts(connection, keys)
        held |= in_facts
        self._noted.note(sizes, held)
        said = {key: self._said(tuple([one[key] for one in held.values()])) for key in keys}
        verdicts = {key: verdict == YES for key, verdict in said.items()}
        if doubted := [key for key, verdict in said.items() if verdict == DOUBT]:
            known = {key: sizes[key] for key in doubted} if sizes else sizes_of(connection, doubted)
            found = matching(connection, self._conditions, self._condition, known, held)
            self._noted.datasets |= found
            verdicts |= {key: bits != 0 for key, bits in found.items()}
        return verdicts

    def _in_texts(self, connection: Connection, leaf: Phrase, keys: Sequence[int]) -> dict[int, int]:
        """How far a phrase holds."""
        text = self._conditions.text(leaf)
        some = keys if leaf in self._source.covered else self._found(connection, text, keys)
        all_of = self._found(connection, everywhere(text), keys) if self._doubtful else ()
        return dict.fromkeys(keys, NONE) | dict.fromkeys(some, SOME) | dict.fromkeys(all_of, EVERY)

    def _found(self, connection: Connection, text: Wording, keys: Sequence[int]) -> set[int]:
        """Candidates whose texts fulfil a wording."""
        match = every([self._source.match, text]) if self._source.match else text
        hits = self._conditions.database.text_search(match, Stretch(min(keys), max(keys) + 1))
        return set(connection.scalars(hits.source, dict(hits.values))).intersection(keys)

    def _in_facts(
        self, connection: Connection, keys: Sequence[int]
    ) -> tuple[dict[int, int], dict[Leaf, dict[int, int]]]:
        """How many datasets each has, and how far each of the other conditions holds; nothing where there are none."""
        if not self._asked:
            return {}, {}
        asked = select(_packages.seq, _packages.datasets, *self._held).where(among(_packages.seq, keys))
        rows = connection.execute(asked).all()
        held = {leaf: {row[0]: row[at] for row in rows} for at, leaf in enumerate(self._asked, 2)}
        return {row[0]: row[1] for row in rows}, held

    def _said(self, held: tuple[int, ...]) -> int:
        """What follows of it; there are few different cases."""
        if held not in self._seen:
            known = {leaf: SOME if differs(leaf) else EVERY for leaf in self._leaves}
            known |= dict(zip((*self._texts, *self._asked), held, strict=True))
            self._seen[held] = judge(self._condition, known)
        return self._seen[held]

"""The sheet that goes with a package: what its owners amended, how its data are judged, and the keys that prove it.

::

    {"format":"diadem-corrections/1", "node", "package",
     "owners":[…]        whose the package is and was at that node, as its log says
     "keys":[…]          the key statements that lead from the node's id to every signature here
     "amendments":[…]    the owners', in the order of the log
     "earlier":[…],      the sheets with which the package came to that node, each as its node signed it
     "judgements":{…}}   see `judgements.py`; not there where nobody judged anything, or by an older version

It goes as a DSSE envelope that the node's online key signs. Items are ``{epoch, index, line}``, as in a ``chain.json``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from diadem.custody.judgements import ProvenJudgements, proven
from diadem.custody.keyring import KeyRing
from diadem.custody.log_entry import Entry
from diadem.custody.statements import ONLINE
from diadem.errors import DocumentError, IntegrityError
from diadem.model.canonical import decode, encode
from diadem.model.manifest import PREFIX
from diadem.model.peer_checks import HEX, matches
from diadem.serialization.validation import validate_statement
from diadem.trust.envelope import Envelope, sign
from diadem.trust.keys import PrivateKey

FORMAT: Final = "diadem-corrections/1"
#: Bytes of a sheet that are read, with the earlier ones in it: some 3,000 amendments.
MAX_SHEET: Final = 6 << 20
#: Nodes that a package has passed through, each of which corrected it.
MAX_EARLIER: Final = 8
_TYPE: Final = "application/vnd.diadem.corrections+json"
_MEMBERS: Final = frozenset({"format", "node", "package", "owners", "keys", "amendments", "earlier"})
_ADDRESS: Final = re.compile(r"[^@\s]{1,100}@[^@\s]{1,100}")
_DISTRUST: Final = "Do not trust it; ask its sender for it again."


@dataclass(frozen=True, slots=True)
class CorrectionSheet:
    """What one node's owners corrected (as that node calls them), and the sheets of the nodes before it."""

    node: str
    package: str
    owners: tuple[str, ...]
    keys: tuple[Entry, ...]
    amendments: tuple[Entry, ...]
    earlier: tuple[CorrectionSheet, ...]
    envelope: Envelope
    judged: Any  # the member as it came; None for none

    @classmethod
    def signed(
        cls,
        node: str,
        package: str,
        owners: Sequence[str],
        *,
        keys: Sequence[Entry],
        amendments: Sequence[Entry],
        earlier: Sequence[CorrectionSheet],
        judgements: Mapping[str, Any] | None = None,
        key: PrivateKey,
    ) -> Self:
        """A new sheet, signed by the node's online key."""
        document = {
            "format": FORMAT,
            "node": node,
            "package": package,
            "owners": list(owners),
            "keys": [entry.to_item() for entry in keys],
            "amendments": [entry.to_item() for entry in amendments],
            "earlier": [sheet.to_line().decode("ascii") for sheet in earlier],
            **({"judgements": judgements} if judgements is not None else {}),
        }
        return cls.from_line(sign(encode(document, where="corrections"), [key], _TYPE).to_line())

    def to_line(self) -> bytes:
        """The envelope."""
        return self.envelope.to_line()

    @classmethod
    def from_line(cls, line: bytes, *, depth: int = MAX_EARLIER) -> Self:
        """The sheet of an envelope from anyone, else `DocumentError`. Nothing of it is proven: see `prove`."""
        if len(line) > MAX_SHEET:
            raise _fault(f"it has {len(line):,} bytes; {MAX_SHEET:,} are read")
        envelope = Envelope.from_line(line)
        if envelope.payload_type != _TYPE:
            raise _fault("it is something else")
        found = decode(envelope.payload, where="corrections", limit=MAX_SHEET)
        if not isinstance(found, dict) or found.keys() - {"judgements"} != _MEMBERS or found["format"] != FORMAT:
            raise _fault(f"it is not of the form {FORMAT}")
        if not matches(HEX, found["node"]) or not matches(HEX, str(found["package"]).removeprefix(PREFIX)):
            raise _fault("it names no node and package")
        lists = [found[name] for name in ("owners", "keys", "amendments", "earlier")]
        if not all(isinstance(one, list) for one in lists) or not all(matches(_ADDRESS, one) for one in lists[0]):
            raise _fault("owners, key statements, amendments and earlier sheets are lists")
        if lists[3] and not depth:
            raise _fault(f"it has passed through more than {MAX_EARLIER} nodes")
        earlier = [cls.from_line(str(one).encode("utf-8", "replace"), depth=depth - 1) for one in lists[3]]
        if any(one.package != found["package"] for one in earlier):
            raise _fault("an earlier sheet in it is of another package")
        try:
            keys, amendments = (tuple(map(Entry.from_item, one)) for one in lists[1:3])
        except DocumentError as error:
            raise _fault(error.message) from error
        judged, owners = found.get("judgements"), tuple(lists[0])
        return cls(found["node"], found["package"], owners, keys, amendments, tuple(earlier), envelope, judged)

    def prove(self) -> str:
        """That its node signed it, and each amendment its owner, by the cards that lead from the node's id.

        Returns what the node calls itself. Raises `IntegrityError` where something does not hold.
        """
        for sheet in self.earlier:
            sheet.prove()
        ring = KeyRing(self.node, self.keys)
        online = ring.newest(ONLINE)
        if online is None or not self.envelope.signers([online.public]):
            raise _untrue("it is not signed by the node that it names")
        known = {entry.statement_id for sheet in self.earlier for entry, _ in sheet.all()}
        for entry in self.amendments:
            self._prove(ring, entry, known)
            known.add(entry.statement_id)
        return ring.name

    def judgements(self, *, said: bool = True) -> ProvenJudgements:
        """What holds of the judgements in it: each is looked at for itself, and none of them costs the others.

        Unless `said` nobody's signature is looked at: only what the node says itself.
        """
        if self.judged is None:
            return ProvenJudgements()
        return proven(self.judged, self.package, KeyRing(self.node, self.keys) if said else None)

    def _prove(self, ring: KeyRing, entry: Entry, known: set[str]) -> None:
        said, about = entry.statement.predicate, {one.name for one in entry.statement.subjects}
        validate_statement(entry.statement)
        if entry.statement.kind != "amendment" or self.package not in about:
            raise _untrue("a statement in it amends another package, or nothing")
        judged, by = ring.judge(entry), str(said.get("by", ""))
        if judged.problem is not None or by not in {card.name for card in judged.signers}:
            raise _untrue(f"an amendment in it is not signed by {by or 'anybody'}")
        if by not in self.owners:
            raise _untrue(f"an amendment in it is by {by}, who does not own the package")
        follows = {str(one) for one in (said["predecessor"], *said.get("joins", ())) if one}
        if entry.epoch == 1 and not follows <= known:  # a log that began anew may have lost what was said before
            raise _untrue("an amendment follows one that was left out")

    def all(self) -> Iterator[tuple[Entry, CorrectionSheet]]:
        """Every amendment with the sheet that it stands in: those of the first node first."""
        for sheet in self.earlier:
            yield from sheet.all()
        yield from ((entry, self) for entry in self.amendments)

    def nodes(self) -> Iterator[CorrectionSheet]:
        """Itself, and every earlier sheet."""
        yield self
        for sheet in self.earlier:
            yield from sheet.nodes()


def _fault(message: str) -> DocumentError:
    return DocumentError(message, where="corrections", next=_DISTRUST)


def _untrue(message: str) -> IntegrityError:
    return IntegrityError(f"the corrections that came with the package do not hold: {message}", next=_DISTRUST)

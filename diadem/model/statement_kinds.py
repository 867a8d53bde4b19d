"""The kinds of statement: what each means and whose signature makes it one (DESIGN section 6)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

NODE: Final = "node"
USER: Final = "user"
ROOT: Final = "root"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of statement.

    Attributes
    ----------
    name : str
        As in the predicate type.
    signers : frozenset of str
        ``node``, ``user``, ``root``: a signature by a key of one of these roles makes the statement hold.
    meaning : str
        What it says, in one sentence.
    """

    name: str
    signers: frozenset[str]
    meaning: str


def _kinds(*rows: tuple[str, str, str]) -> Mapping[str, Kind]:
    return MappingProxyType({name: Kind(name, frozenset(signers.split()), says) for name, signers, says in rows})


#: Every kind of statement by its name.
KINDS: Final[Mapping[str, Kind]] = _kinds(
    ("ingest", NODE, "A package was made of these files and written to a store."),
    ("fixity", NODE, "The bytes of these packages in a store were checked."),
    ("replicate", NODE, "A further copy of the package was written and proven."),
    ("repair", NODE, "Damaged bytes of a copy were replaced by proven ones."),
    ("drop", NODE, "A copy was removed from a store while others were proven."),
    ("tombstone", NODE, "The package was deleted from every store, or written off; its statements remain."),
    ("receipt", NODE, "The package was received and proven."),
    ("closure", NODE, "The sender saw the receipt; the transfer is over."),
    ("permit", NODE, "A hub may carry sealed packages for a transfer."),
    ("relay", NODE, "Sealed packages were stored or delivered."),
    ("audit", NODE, "Someone was refused, or an administrator acted."),
    ("handover", NODE, "The package was given out on a disk or to a program outside."),
    ("peer", NODE, "Another node's key was pinned or dropped."),
    ("head", NODE, "The last statement on a subject, and how many there are."),
    ("grant", USER, "Someone may list, read or assess packages."),
    ("revocation", USER, "A grant was revoked."),
    ("offer", USER, "A package is offered to someone."),
    ("decline", USER, "An offer is declined."),
    ("rule", USER, "Matching offers are accepted automatically."),
    ("sample", USER, "A physical sample, its names and its origin."),
    ("assessment", USER, "An assessment of a dataset for a purpose."),
    ("amendment", USER, "The effective record differs from the sealed one."),
    ("corrections", NODE, "The package came with amendments that its owners at other nodes had signed."),
    ("derivation", USER, "A result was made from packages."),
    ("countersign", USER, "The user vouches for another's statement."),
    ("acceptance", f"{USER} {NODE}", "An offer is accepted, with a ceiling of bytes."),
    ("key", f"{ROOT} {NODE}", "A key belongs to a node or a user."),
    ("recovery", ROOT, "The log starts again after a loss."),
)

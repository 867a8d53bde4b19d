"""The kinds of statement: what each means, whose signature makes it one, and what a catalogue makes of it.

To add a kind: a row here, ``schemas/statement/…/KIND.schema.json``, a builder in `diadem.custody.statements` and a
sentence in `diadem.custody.sentences`; a new effect goes into `diadem.node.follow.follow`.
"""

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
    effect : str
        What the catalogue of a node makes of it, by the name under which `diadem.node.follow.follow` has it; "" for
        nothing but that it was said.
    """

    name: str
    signers: frozenset[str]
    meaning: str
    effect: str = ""


def _kinds(*rows: tuple[str, str, str, str]) -> Mapping[str, Kind]:
    kinds = {name: Kind(name, frozenset(signers.split()), says, effect) for name, signers, effect, says in rows}
    return MappingProxyType(kinds)


#: Every kind of statement by its name.
KINDS: Final[Mapping[str, Kind]] = _kinds(
    ("ingest", NODE, "copy written", "A package was made of these files and written to a store."),
    ("fixity", NODE, "copies checked", "The bytes of these packages in a store were checked."),
    ("replicate", NODE, "copy written", "A further copy of the package was written and proven."),
    ("repair", NODE, "", "Damaged bytes of a copy were replaced by proven ones."),
    ("drop", NODE, "copy dropped", "A copy was removed from a store while others were proven."),
    (
        "tombstone",
        NODE,
        "package deleted",
        "The package was deleted from every store, or written off; its statements remain.",
    ),
    ("receipt", NODE, "package received", "The package was received and proven."),
    ("closure", NODE, "", "The sender saw the receipt; the transfer is over."),
    ("permit", NODE, "", "A hub may carry sealed packages for a transfer."),
    ("relay", NODE, "", "Sealed packages were stored or delivered."),
    ("audit", NODE, "", "Someone was refused, or an administrator acted."),
    ("handover", NODE, "identified", "The package was given out on a disk or to a program outside."),
    ("peer", NODE, "", "Another node's key was pinned or dropped."),
    ("head", NODE, "", "The last statement on a subject, and how many there are."),
    ("grant", USER, "", "Someone may list, read or assess packages."),
    ("revocation", USER, "", "A grant was revoked."),
    ("offer", USER, "", "A package is offered to someone."),
    ("decline", USER, "", "An offer is declined."),
    ("rule", USER, "", "Matching offers are accepted automatically."),
    ("sample", USER, "sample", "A physical sample, its names and its origin."),
    ("assessment", USER, "judged", "An assessment of a dataset for a purpose."),
    ("amendment", USER, "corrected", "The effective record differs from the sealed one."),
    (
        "corrections",
        NODE,
        "corrected",
        "The package came with amendments and assessments that others had signed.",
    ),
    ("derivation", USER, "derived", "A result was made from packages."),
    ("countersign", USER, "", "The user vouches for another's statement."),
    ("acceptance", f"{USER} {NODE}", "", "An offer is accepted, with a ceiling of bytes."),
    ("key", f"{ROOT} {NODE}", "succession", "A key belongs to a node or a user."),
    ("recovery", ROOT, "", "The log starts again after a loss."),
)

#: Kinds that say that a copy of a package is there.
COPY_KINDS: Final = tuple(name for name, kind in KINDS.items() if kind.effect == "copy written")
#: Kinds by which a package comes to a node: made here, or received from another.
ARRIVAL_KINDS: Final = ("ingest", "receipt")
#: Kinds that say whose a package is.
OWNER_KINDS: Final = ("ingest", "acceptance", "receipt")
#: Kinds that say which keys belong to whom; and those that say who may what.
KEY_KINDS: Final = ("key", "recovery")
ACCESS_KINDS: Final = ("grant", "revocation")

"""Records of earlier versions, as this version means them: pure functions, kept for ever.

A later *minor* version only adds keys, which are kept as they are; a later *major* version means something else by what
is there, and cannot be read. A record of an earlier version goes through every step between it and this version. Steps
get a copy and return the document that the next version would have written; the record in the package stays as it is.

1.0.0 is the first version, so there is no step yet.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Final

from diadem.errors import DocumentError
from diadem.model.manifest import RECORD_PATH

#: Of the records that this version writes.
SCHEMA: Final = "diadem-record/1.0.0"
#: Major and minor: patches change no record.
Version = tuple[int, int]
Change = Callable[[dict[str, Any]], dict[str, Any]]

_SCHEMA = re.compile(r"diadem-record/(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})\Z")


def unchanged(document: dict[str, Any]) -> dict[str, Any]:
    """The change of a step that leaves this part alone."""
    return document


@dataclass(frozen=True, slots=True)
class Migration:
    """One step from a version to a later one.

    Attributes
    ----------
    before, after : (int, int)
        Major and minor version.
    head : callable
        From the record without its datasets to the same of the later version; the key `schema` is seen to.
    dataset : callable
        From one dataset, references resolved, to the same of the later version.
    """

    before: Version
    after: Version
    head: Change = unchanged
    dataset: Change = unchanged

    def __post_init__(self) -> None:
        """Refuse a step that leads nowhere."""
        if self.after <= self.before:
            raise ValueError(f"a migration leads to a later version, not from {self.before} to {self.after}")


#: Every step there is.
MIGRATIONS: Final[Sequence[Migration]] = ()


def steps_from(schema: object, migrations: Sequence[Migration] = MIGRATIONS) -> tuple[Migration, ...]:
    """The steps from a record's version to this one; none for this version and for later minor ones.

    Raises
    ------
    DocumentError
        Not a version, or one that means something else.
    """
    version, current = _version(schema), _version(SCHEMA)
    steps: list[Migration] = []
    while version < current:
        step = next((one for one in migrations if one.before == version), None)
        if step is None:
            break
        steps.append(step)
        version = step.after
    if version[0] != current[0]:
        raise _unknown(schema)
    return tuple(steps)


def migrated_head(head: Mapping[str, Any], steps: Sequence[Migration]) -> dict[str, Any]:
    """The record without its datasets, as this version means it."""
    document = dict(head)
    for step in steps:
        document = {**step.head(deepcopy(document)), "schema": SCHEMA}
    return document


def migrated_dataset(dataset: dict[str, Any], steps: Sequence[Migration]) -> dict[str, Any]:
    """One dataset, as this version means it."""
    for step in steps:
        dataset = step.dataset(deepcopy(dataset))
    return dataset


def _version(schema: object) -> Version:
    match = _SCHEMA.match(schema) if isinstance(schema, str) else None
    if match is None:
        raise _unknown(schema)
    return int(match[1]), int(match[2])


def _unknown(schema: object) -> DocumentError:
    return DocumentError(
        f"'{str(schema)[:80]}' is not a record that this version reads",
        where=RECORD_PATH,
        next="Records of diadem-record/1.x can be read; a newer DIADEM may read others.",
    )

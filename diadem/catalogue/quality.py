"""`QualityCatalogue`: what people say of packages: judgements, corrections, and what was made from what."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from sqlalchemy import or_, select

from diadem.catalogue import amending, assessing, deriving, owning, reading, saying, tables, writing
from diadem.catalogue import facet_counts as faceting
from diadem.catalogue.facts import storable
from diadem.catalogue.opening import CatalogueFile
from diadem.catalogue.results import DatasetRow
from diadem.errors import NotFound
from diadem.model.amendments import Corrections
from diadem.model.assessments import Assessment
from diadem.model.lineage import Caution, Derivation
from diadem.model.manifest import PREFIX
from diadem.model.ownership import Succession

#: Datasets whose names an error proposes from.
_COMPARED = 2_000


class QualityCatalogue(CatalogueFile):
    """The part of the catalogue that holds judgements, amendments and derivations."""

    def speaks_for(self, signers: Iterable[str], name: str) -> bool:
        """Whether one of some keys is, by a card of the log, that of the user ``alice@hu-berlin``."""
        with self._reading() as connection:
            return saying.speaks_for(connection, signers, name)

    def dataset(self, package_id: str, name: str) -> DatasetRow:
        """A dataset of a package by its id, the path of its primary file, or the end of the path.

        Raises
        ------
        NotFound
            There is none, or several end so; names those that come close.
        """
        columns, name = tables.datasets.c, storable(name)
        with self._reading() as connection:
            seq = reading.resolve(connection, package_id)
            rows = select(columns.id, columns.path).where(columns.package == seq)
            exact = or_(columns.id == name, columns.path == name, "data/" + columns.path == name)
            whole = connection.execute(rows.where(exact)).all()
            found = whole or connection.execute(rows.where(columns.path.endswith("/" + name, autoescape=True))).all()
            if len(found) == 1:
                return DatasetRow(*found[0])
            paths = [path for _, path in connection.execute(rows.order_by(columns.number).limit(_COMPARED))]
        near = get_close_matches(name, paths, 3, 0.5) or paths[:3]
        what = f"several datasets end in '{name}'" if found else f"the package has no dataset '{name}'"
        named = ", ".join(path for _, path in found[:3]) if found else ", ".join(near)
        raise NotFound(what, where=package_id, next=f"It has for example {named}." if named else None)

    def dataset_paths(self, package_id: str, ids: Sequence[str]) -> dict[str, str]:
        """Primary files of some datasets of a package, by their ids. Raises `NotFound`."""
        with self._reading() as connection:
            seq = reading.resolve(connection, package_id)
            return {id_: path for (_, id_), path in assessing.paths_of(connection, [seq], ids).items()}

    def datasets_of(self, package_id: str) -> list[DatasetRow]:
        """The datasets of a package, in the order of its record. Raises `NotFound`."""
        columns = tables.datasets.c
        with self._reading() as connection:
            seq = reading.resolve(connection, package_id)
            rows = select(columns.id, columns.path).where(columns.package == seq).order_by(columns.number)
            return [DatasetRow(*row) for row in connection.execute(rows)]

    # Judgements

    def add_assessment(self, package_id: str, assessment: Assessment) -> None:
        """Let a judgement count, unless a later one stands in its place. Raises `NotFound`."""
        with self._writing() as connection:
            seq = writing.require(connection, package_id)
            assessing.add(connection, seq, assessment)
            faceting.touch(connection, [seq])

    def assessments(self, package_id: str) -> list[Assessment]:
        """Every judgement of a package, in the order of the log, also those that count no longer. Raises `NotFound`."""
        with self._reading() as connection:
            return saying.assessments_of(connection, reading.hex_of(connection, package_id))

    # Amendments

    def restate_record(self, package_id: str) -> None:
        """Make what is searched of amended fields anew. Raises `NotFound`."""
        hex_id = package_id.removeprefix(PREFIX)
        with self._writing() as connection:
            seq = writing.require(connection, package_id)
            faceting.touch(connection, [seq])
            faceting.touch(connection, [amending.restate(connection, seq, hex_id)])

    def succeed(self, name: str, succession: Succession) -> None:
        """Note that a user retired and who follows; what is searched of corrected records is made anew."""
        with self._writing() as connection:
            if owning.write_succession(connection, name, succession):
                for seq, digits in owning.amended_packages(connection, name):
                    faceting.touch(connection, [seq])
                    faceting.touch(connection, [amending.restate(connection, seq, digits)])

    def corrections(self, package_id: str) -> Corrections:
        """All that is said of a package's record. Raises `NotFound`."""
        with self._reading() as connection:
            seq = reading.resolve(connection, package_id)
            return amending.corrections_of(connection, seq, reading.hex_of(connection, package_id))

    def sheets(self, package_id: str) -> list[saying.Brought]:
        """The sheets of corrections with which a package came, the oldest first."""
        with self._reading() as connection:
            return saying.sheets_of(connection, package_id.removeprefix(PREFIX))

    # Derivations

    def add_derivation(self, derivation: Derivation) -> None:
        """Note from what a package was made, whether or not it is known here."""
        with self._writing() as connection:
            deriving.add(connection, derivation.statement_id, derivation.result, derivation.sources)

    def derivations(self, package_id: str) -> list[Derivation]:
        """Every derivation in which a package is result or source, in the order of the log. Raises `NotFound`."""
        with self._reading() as connection:
            return saying.derivations_of(connection, reading.hex_of(connection, package_id))

    def cautions(self, package_ids: Sequence[str]) -> dict[str, list[Caution]]:
        """Doubts about packages and what they were made from; nothing for those without any."""
        with self._reading() as connection:
            return deriving.cautions_of(connection, package_ids)

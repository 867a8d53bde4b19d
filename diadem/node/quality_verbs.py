"""What people say of data: the verbs of a node that judge, correct and link. `diadem.Node` has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from diadem.errors import NotFound
from diadem.model.display import Rows
from diadem.model.ports import Listener
from diadem.model.progress_bar import progress_bar
from diadem.node.context import Context

if TYPE_CHECKING:
    from diadem.model.amendments import Amendment
    from diadem.model.assessments import Assessment
    from diadem.model.lineage import Caution, Derivation
    from diadem.node.quality.amend import Amendments
    from diadem.node.quality.assess import Assessments
    from diadem.node.quality.machine import MachineJudged
    from diadem.node.take.derive import Derived


class QualityVerbs:
    """Assessments, amendments, derivations.

    Parameters
    ----------
    context : Context
        The opened node.
    """

    def __init__(self, context: Context) -> None:
        self.context = context

    def assess(
        self,
        package: str,
        verdict: str,
        *,
        purpose: str = "",
        criterion: str | None = None,
        dataset: str | None = None,
        signal: str | None = None,
        value: float | None = None,
        unit: str = "",
        comment: str = "",
        evidence: Sequence[str] = (),
        scheme: str | None = None,
        replaces: str | None = None,
    ) -> Assessment:
        """Assess a package, or a dataset of it, for a purpose: a statement signed by the current user.

        Of one assessor the last on a target, purpose and criterion counts. Those of others are kept beside it, and
        where they differ that is shown; nothing is averaged.

        Parameters
        ----------
        package : str
            Its id or the beginning of it.
        verdict : {"accept", "limited", "reject"}
            The assessment.
        purpose : str
            What the data are to be used for: ``imaging``. May be left out where a scheme has one.
        criterion : str, optional
            What was looked at: ``drift``.
        dataset : str, optional
            Its id, or the path of its primary file; default the whole package.
        signal : str, optional
            Id of a signal of the dataset.
        value : float, optional
            What was measured, in `unit`.
        comment : str
            Why.
        evidence : sequence of str
            Packages and addresses that show it.
        scheme : str, optional
            One of the policy's lists of criteria; `criterion` must be of it.
        replaces : str, optional
            The beginning of the id of one's own assessment that no longer counts, as where its purpose was mistyped.

        Raises
        ------
        NotFound
            There is no such package, dataset or scheme.
        UsageError
            The verdict or the criterion is none of those that there are.
        """
        from diadem.node.quality.assess import Judgement, assess

        found = self._living(package)
        said = Judgement(
            verdict=verdict,
            purpose=purpose,
            criterion=criterion or "",
            dataset=dataset or "",
            signal=signal or "",
            value=value,
            unit=unit,
            comment=comment,
            evidence=evidence,
            scheme=scheme or "",
            replaces=replaces or "",
        )
        return assess(self.context, found, said)

    def assess_by_machine(self, package: str, *, purpose: str = "", listener: Listener = progress_bar) -> MachineJudged:
        """Let the checks of all plugins assess the data, and state what they find in the current user's name.

        What they find is ``limited`` with the reason, never ``reject``; where they find nothing they say nothing.

        Parameters
        ----------
        package : str
            Its id or the beginning of it.
        purpose : str
            What the data are to be used for; default any use.
        listener : Listener
            Told of progress.

        Raises
        ------
        NotFound
            There is no such package, or no store that has it answers.
        DigestMismatch
            A file is damaged.
        """
        from diadem.node.quality.machine import assess_by_machine

        found = self._living(package)
        return assess_by_machine(self.context, found, purpose=purpose, listener=listener)

    def assessments(self, package: str) -> Assessments:
        """Every assessment of a package: what counts, what was said before, and who disagrees."""
        from diadem.node.quality.assess import assessments

        return assessments(self.context, self.context.catalogue.get(package).id)

    def amend(
        self, package: str, values: Mapping[str, Any], *, dataset: str | None = None, reason: str = ""
    ) -> Amendment:
        """Correct the record of a package; the package itself stays as it was sealed.

        The owner's amendments change what `get` gives as ``record`` and what `search` finds. Anybody else's is an
        extra assertion, which is shown and found and never preferred.

        Parameters
        ----------
        package : str
            Its id or the beginning of it.
        values : mapping of str to Any
            By field: ``{"sample.identifier": "S-12", "voltage …": "300 kV"}``; None withdraws what is stated.
        dataset : str, optional
            Its id, or the path of its primary file; default all datasets and the session.
        reason : str
            Why.

        Raises
        ------
        UnknownField, UsageError
            There is no such field, or it cannot hold the value.
        NotFound
            There is no such package or dataset.
        """
        from diadem.node.quality.amend import amend

        found = self._living(package)
        return amend(self.context, found, values, dataset=dataset or "", reason=reason)

    def amendments(self, package: str) -> Amendments:
        """Every amendment of a package's record, and where the owner's contradict each other."""
        from diadem.node.quality.amend import amendments

        return amendments(self.context, self.context.catalogue.get(package).id)

    def derive(
        self,
        result: Any,
        from_: Any,
        *,
        software: Mapping[str, str] | None = None,
        parameters: Mapping[str, Any] | None = None,
        name: str | None = None,
        comment: str = "",
        listener: Listener = progress_bar,
    ) -> Derived:
        """Archive what an analysis has made, and state what it was made from.

        Parameters
        ----------
        result : HyperSpy signal, Matplotlib figure, path, or package id
            A signal is written as .hspy, a figure as .png; a package of this node is only linked.
        from_ : iterable
            Packages (ids, `Package`, rows of a search), datasets (``ID:path``), or signals loaded from packages.
        software : mapping of str to str, optional
            Version by name; default what this process works with, as far as it is known: HyperSpy, NumPy, Python …
        parameters : mapping, optional
            Parameters of the programs, JSON values.
        name : str, optional
            What the result is called; default its title.
        comment : str
            In a person's words.
        listener : Listener
            Told of progress.

        Returns
        -------
        Derived
            The package and what was stated.

        Raises
        ------
        NotFound
            There is no such source, or no such file.
        UsageError
            There is no source; the result cannot be archived; parameters that are not a JSON object.
        """
        from diadem.node.take.derive import derive_result

        return derive_result(
            self.context,
            result,
            from_,
            software=software,
            parameters=parameters,
            comment=comment,
            name=name or "",
            listener=listener,
        )

    def derivations(self, package: str) -> list[Derivation]:
        """What is stated of what a package was made from, and of what was made from it."""
        found = self.context.catalogue.get(package).id
        return Rows(self.context.catalogue.derivations(found))

    def warnings(self, package: str) -> list[Caution]:
        """Warnings about a package and about everything that it was made from, each with its purpose and assessor."""
        found = self.context.catalogue.get(package).id
        return Rows(self.context.catalogue.cautions([found]).get(found, []))

    def _living(self, package: str) -> str:
        """The whole id of a package that was not deleted."""
        row = self.context.catalogue.get(package)
        if row.tombstone is not None:
            raise NotFound("the package was deleted", where=row.id, next=f"See: diadem custody {row.id[7:19]}")
        return row.id

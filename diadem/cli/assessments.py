"""Commands by which people say what data are worth, and what is made of them: assess, assessment, amend, derive."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from diadem.cli.options import Argument, As, Json, Listener, Node, NodeAt, Option, Package, Quiet
from diadem.cli.output import warning_lines
from diadem.cli.packages import read_object
from diadem.cli.sheets import DryRun, FromSheet, Replace, ToSheet, Yes, take_in, written
from diadem.cli.verb import Answer, Commands, opened
from diadem.errors import UsageError

root = Commands()
assessments = root.add(Commands("assessment", "Assessments of many packages, as a sheet to edit."))

# -- assess --------------------------------------------------------------------------------------------------------


@root.verb()
def assess(
    listener: Listener,
    package: Package,
    verdict: Annotated[str | None, Argument("accept, limited or reject. Without one: what was said so far.")] = None,
    for_: Annotated[str, Option("What the data are to be used for: --for imaging")] = "",
    criterion: Annotated[str | None, Option("What was looked at: --criterion drift")] = None,
    dataset: Annotated[list[str] | None, Option("Assess this dataset, by path or id. May be repeated.")] = None,
    signal: Annotated[str | None, Option("Assess this signal of the dataset: s1")] = None,
    value: Annotated[float | None, Option("What was measured.")] = None,
    unit: Annotated[str, Option("Unit of the value.")] = "",
    comment: Annotated[str, Option("Why.")] = "",
    evidence: Annotated[list[str] | None, Option("A package or an address that shows it. May be repeated.")] = None,
    scheme: Annotated[str | None, Option("A list of criteria of the policy.")] = None,
    replaces: Annotated[str | None, Option("Id of your earlier assessment that this one replaces.")] = None,
    machine: Annotated[bool, Option("Let the plugins' checks assess the data.")] = False,
    node: NodeAt = None,
    user: As = None,
) -> Answer:
    """Assess data for a purpose, or show what others have said. Nothing is averaged."""
    if machine and verdict is not None:
        raise UsageError("--machine finds the verdict itself", next="Example: diadem assess 406f3245b359 --machine")
    if verdict is None and not machine and (for_ or criterion or comment or value is not None or scheme):
        raise UsageError("what is the verdict?", next="Write accept, limited or reject behind the id.")
    more: dict[str, Any] = {"purpose": for_, "criterion": criterion, "signal": signal, "value": value, "unit": unit}
    more |= {"comment": comment, "evidence": evidence or (), "scheme": scheme, "replaces": replaces}
    document: dict[str, Any] = {}
    with opened(node, user) as at:
        if machine:
            document["machine"] = at.assess_by_machine(package, purpose=for_, listener=listener).to_dict()
        elif verdict is not None:
            named: Sequence[str | None] = dataset or [None]
            said = [at.assess(package, verdict, dataset=one, **more) for one in named]
            document["stated"] = [one.to_dict() for one in said]
        document |= at.assessments(package).to_dict()
        document["warnings"] = [one.to_dict() for one in at.warnings(package) if one.way]
    return Answer(document, _assessment_lines(document))


def _assessment_lines(document: Mapping[str, Any]) -> Iterator[str]:
    yield f"assessments of   {document['package']}"
    yield from (f"NOT CHECKED      {one}" for one in document.get("machine", {}).get("failures", ()))
    if "machine" in document:
        yield f"checked          {document['machine']['datasets']} datasets by {document['machine']['checks']} checks"
    counting = [one for one in document["assessments"] if one["counts"]]
    for one in counting:
        yield from _assessed(one["verdict"], one)
    if not counting:
        yield "                 nobody has assessed it"
    for dispute in document["disputes"]:
        said = ", ".join(f"{one['by']}: {one['verdict']}" for one in dispute["said"])
        yield f"DISPUTED         {_question(dispute)}: {said}"
    for one in document["assessments"]:
        if not one["counts"]:
            yield from _assessed(f"({one['verdict']})", one)
    yield from warning_lines([one["sentence"] for one in document["warnings"]])


def _assessed(verdict: str, one: Mapping[str, Any]) -> Iterator[str]:
    value = f" = {one['value']:g} {one['unit']}".rstrip() if one["value"] is not None else ""
    who = f"{one['by']} with {one['plugin']} {one['version']}" if one["plugin"] else one["by"]
    where = one["path"] or one["dataset"]
    place = f", {where}{' ' + one['signal'] if one['signal'] else ''}" if where else ""
    yield f"{verdict:16} {_question(one)}{value}{place}   {who}, {one['time'][:10]}, {one['statement'][:12]}"
    if one["comment"]:
        yield f"{'':16}   {one['comment']}"


def _question(one: Mapping[str, Any]) -> str:
    return f"{one['purpose']} ({one['criterion']})" if one["criterion"] else str(one["purpose"])


# -- assessments as a sheet ------------------------------------------------------------------------------------------


@assessments.verb()
def export(
    node: Node,
    file: ToSheet,
    query: Annotated[list[str] | None, Argument("Of which packages, as for search. Default: all.")] = None,
    todo: Annotated[bool, Option("A row for each dataset that nobody has assessed.")] = False,
    for_: Annotated[str, Option("With --todo: the purpose, which is filled in.")] = "",
    replace: Replace = False,
) -> Answer:
    """Write the assessments that count to a sheet to edit and import. For Excel or LibreOffice, a row each."""
    return written(node.judgements.export(file, " ".join(query or ()), todo=todo, purpose=for_, replace=replace))


@assessments.verb("import", user=True)
def import_(
    node: Node, file: FromSheet, yes: Yes = False, dry_run: DryRun = False, json: Json = False, quiet: Quiet = False
) -> int:
    """Import an edited sheet. It shows what would change, and writes that if you agree.

    Unedited cells and removed rows are ignored. Only your own assessments can be changed; a row with a verdict and
    nothing under 'statement' is a new one of yours.
    """
    return take_in(node.judgements.import_, file, "assessment", yes=yes, dry_run=dry_run, as_json=json, quiet=quiet)


# -- amend ---------------------------------------------------------------------------------------------------------


@root.verb()
def amend(
    package: Package,
    set_: Annotated[
        list[str] | None, Option("key=value, with a unit if it has one; empty withdraws. May be repeated.")
    ] = None,
    dataset: Annotated[str | None, Option("Of this dataset alone, by path or id. Default: of all.")] = None,
    reason: Annotated[str, Option("Why.")] = "",
    node: NodeAt = None,
    user: As = None,
) -> Answer:
    """Correct a package's record; its files stay as they are. Without --set: show the corrections."""
    values = _pairs(set_ or ())
    if not values and (dataset or reason):
        raise UsageError("what is to be corrected?", next="Example: --set sample.identifier=S-12")
    document: dict[str, Any] = {}
    with opened(node, user) as at:
        if values:
            document["stated"] = at.amend(package, values, dataset=dataset, reason=reason).to_dict()
        document |= at.amendments(package).to_dict()
    return Answer(document, _amendment_lines(document))


def _pairs(pairs: Sequence[str]) -> dict[str, str | None]:
    """Fields and their new values; None for one that is withdrawn."""
    found: dict[str, str | None] = {}
    for pair in pairs:
        key, divided, value = (part.strip() for part in pair.partition("="))
        if not divided or not key:
            raise UsageError(f"'{pair[:80]}' is not key=value", next='Example: --set "voltage=300 kV"')
        if key in found:
            raise UsageError(f"'{key}' is given twice", next="Give it once.")
        found[key] = value or None
    return found


def _amendment_lines(document: Mapping[str, Any]) -> Iterator[str]:
    yield f"record of        {document['package']}"
    for one in document["amendments"]:
        for change in one["changes"]:
            mark = "by others" if not one["effective"] else "replaced" if change["replaced"] else "corrected"
            where = f" of {change['dataset']}" if change["dataset"] else ""
            yield f"{mark:16} {change['field']}{where}: {_value(change)}   {one['by']}, {one['time'][:10]}"
        if one["reason"]:
            yield f"{'':16}   {one['reason']}"
    if not document["amendments"]:
        yield "                 no corrections"
    for conflict in document["conflicts"]:
        where = f" of {conflict['dataset']}" if conflict["dataset"] else ""
        said = " or ".join(_value(one) for one in conflict["said"])
        yield f"CONTRADICTION    {conflict['field']}{where}: {said}; until it is corrected again, the old value counts"
    if any(not one["effective"] for one in document["amendments"]):
        yield f"{'':16} only corrections by {document['owner'] or 'an owner'} change the record"


def _value(change: Mapping[str, Any]) -> str:
    from diadem.model.quantities import quantity_text

    value = change.get("value")
    return "withdrawn" if value is None else quantity_text(value, change.get("unit") or "")


# -- derive --------------------------------------------------------------------------------------------------------


@root.verb()
def derive(
    listener: Listener,
    result: Annotated[str, Argument("A file or folder; or the id of a package that is the result.")],
    from_: Annotated[list[str] | None, Option("A package, or ID:path of a dataset. May be repeated.")] = None,
    software: Annotated[list[str] | None, Option("What made it: --software imagej=1.54. May be repeated.")] = None,
    parameters: Annotated[Path | None, Option("Parameters of the programs: a JSON or TOML file.")] = None,
    name: Annotated[str | None, Option("What the result is called.")] = None,
    comment: Annotated[str, Option("A comment.")] = "",
    node: NodeAt = None,
    user: As = None,
) -> Answer:
    """Archive the result of an analysis with what it was made from. Warnings about the data are shown on the result."""
    if not from_:
        raise UsageError("what was it made from?", next="Name packages: --from 406f3245b359")
    made_by = {key: str(value) for key, value in _pairs(software or ()).items()}
    given = read_object(parameters, "--parameters", example={"threshold": 0.5}) if parameters else None
    with opened(node, user) as at:
        done = at.derive(
            result, from_, software=made_by, parameters=given, name=name, comment=comment, listener=listener
        )
        document = done.to_dict() | {"warnings": [one.to_dict() for one in at.warnings(done.package)]}
    return Answer(document, _derived_lines(document))


def _derived_lines(document: Mapping[str, Any]) -> Iterator[str]:
    from diadem.cli.archive import archived_lines

    if document["archived"] is not None:
        yield from archived_lines(document["archived"])
    else:
        yield f"package          {document['package']}"
    for said in document["derivations"]:
        for source in said["sources"]:
            yield f"made from        {source['package']}{'  ' + source['path'] if source.get('path') else ''}"
        used = ", ".join(f"{one['name']} {one['version']}" for one in said["software"])
        if used:
            yield f"by               {used}"
    yield from warning_lines([one["sentence"] for one in document["warnings"]])

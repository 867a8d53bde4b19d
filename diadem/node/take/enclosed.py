"""What came beside a package that no node has: what one that never heard of it would take over, and nothing is kept."""

from __future__ import annotations

from pathlib import Path

from diadem.archive.export import Enclosure
from diadem.archive.package import Package
from diadem.custody.brought import Brought, amendments_brought, assessments_brought, called, doubts_brought
from diadem.model.amendments import Corrections
from diadem.model.assessments import current
from diadem.model.lineage import cautions
from diadem.node.take.files_beside import files_beside, sheets_in


def enclosure_of(path: Path, package: Package) -> Enclosure:
    """What the corrections beside a package say of it; `path` is its folder, or the ZIP in which it lies.

    Raises `IntegrityError` where corrections do not hold; judgements that do not are left out, and told.
    """
    came: list[Brought] = []
    for sheet in (one for one in sheets_in(files_beside(path)) if one.package == str(package.id)):
        sheet.prove()
        before = not came or sheet.node == came[0].sheet.node  # as `import` believes, of nodes that it does not know
        came.append(Brought(sheet, called(sheet, {}), before, ""))
    counting = current(assessments_brought(came))
    paths = {one.id: one.path for one in package.sealed_record.datasets} if counting else {}
    doubts = cautions(str(package.id), counting, paths)
    doubts += [one.caution(node, name) for node, name, one in doubts_brought(came)]
    refused = [
        f"{names[one.node]}: {why}"
        for sheet, names, *_ in came
        for one in sheet.nodes()
        if one.judged is not None
        for why in one.judgements().refused
    ]
    return Enclosure(Corrections(amendments_brought(came), ""), counting, doubts, list(dict.fromkeys(refused)))

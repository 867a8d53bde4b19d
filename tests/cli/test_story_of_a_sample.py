"""One sample through two labs, two instruments, two people's judgements and an analysis, on the command line.

Two nodes do not speak to each other yet. What reaches lab A here is what can reach it today: B's folder, which a person
hands over and A archives under B's name for the sample, and what B says of the sample, which a person of A types. B's
own node keeps its own packages, statements and log; nothing of them is merged, and none of B's statements gets into A's
log. What B exports for a person without DIADEM is only looked into.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import diadem
from tests.cli.inside import said, said_json


@pytest.fixture
def labs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the nodes of lab A (users alice and bob) and lab B (user marie); A's is the default one."""
    monkeypatch.setenv("DIADEM_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("DIADEM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "200")
    for lab, name, user in (("b", "nmi", "marie"), ("a", "hu-berlin", "alice")):
        store = str(tmp_path / lab / "store")
        diadem.Node.create(tmp_path / lab / "node", name=name, user=user, store=store).close()
    monkeypatch.setenv("DIADEM_NODE", str(tmp_path / "a/node"))
    said("user", "add", "bob")
    return tmp_path


def session(folder: Path, *files: str) -> Path:
    """A folder with files of no known format."""
    folder.mkdir(parents=True)
    for number, name in enumerate(files):
        (folder / name).write_bytes(f"{folder.name}{name}".encode() * (50 + number))
    return folder


def package_of(folder: Path, *more: str) -> str:
    """Archive a session; the first digits of the package's id."""
    return str(said_json("archive", folder, "--now", *more)["package"]["id"])[7:19]


def edit(path: Path, change: Callable[[list[dict[str, str]]], object]) -> None:
    """Change a sheet as a program does that knows CSV and nothing of DIADEM."""
    rows = list(csv.DictReader(io.StringIO(path.read_text("utf-8-sig"), newline="")))
    change(rows)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def test_the_story_of_a_sample(labs: Path) -> None:
    in_b = ("--node", labs / "b/node")

    # Lab B makes the rods and calls them K-2026-007; what it has measured of them lies on its own node.
    said("sample", "add", "K-2026-007", "--name", "ZnO nanorods", "--lab", "NMI", "--made", "2026-03-01", *in_b)
    sem = session(labs / "b/2026-03-02 SEM", "rods.raw")
    at_b = package_of(sem, "--set", "sample.identifier=K-2026-007", "--set", "instrument.name=Gemini", *map(str, in_b))
    said("export", at_b, labs / "from NMI.zip", "--for", "Alice <alice@hu-berlin.de>", *in_b)
    assert any(name.endswith("rods.raw") for name in zipfile.ZipFile(labs / "from NMI.zip").namelist())

    # Lab A makes S of what it was sent, and splits it. One parcel was written down by mistake.
    said("sample", "add", "S", "--name", "ZnO nanorods", "--made", "2026-03-04")
    said("sample", "split", "S", "S-1", "S-2")
    said("sample", "send", "S-1", "--to", "NMI", "--date", "2026-03-05")
    told = said("sample", "retract", "S-1", "sent", "--reason", "that was S-2")
    assert "where" not in told
    said("sample", "send", "S-2", "--to", "NMI", "--date", "2026-03-05")

    # TEM at A, SEM at B, whose folder was handed over: two instruments, two names.
    tem = package_of(session(labs / "a/2026-03-14 TEM", "scan 1.raw", "scan 2.raw"), "--set",
                     "sample.identifier=S-1", "--set", "instrument.name=Titan")  # fmt: skip
    handed = package_of(sem, "--set", "sample.identifier=K-2026-007", "--set", "instrument.name=Gemini")
    assert said_json("search", "sample:S")["total"] == 1
    said("sample", "link", "S", "K-2026-007", "--lab", "NMI", "--reason", "the label on the box")
    found = said_json("search", "sample:S")
    assert {row["id"][7:19] for row in found["rows"]} == {tem, handed}
    (story,) = said_json("sample", "show", "K-2026-007")["samples"]
    assert {row["instrument"] for row in story["datasets"]} == {"Titan", "Gemini"}
    struck = said("sample", "show", "S-1")
    assert "(2026-03-05  sent from hu-berlin to NMI [alice@hu-berlin])" in struck
    assert "retracted by alice@hu-berlin, because: that was S-2" in struck

    # Two people judge one dataset for two purposes; the raw file is rejected for one of them.
    said("assess", tem, "accept", "--for", "imaging", "--dataset", "scan 1.raw", "--comment", "sharp")
    said("assess", tem, "reject", "--for", "EELS", "--criterion", "drift", "--dataset", "scan 1.raw", "--user", "bob")
    assert said_json("search", "quality:disputed")["total"] == 0  # two questions

    # What is made of it carries the doubt wherever that is promised.
    (labs / "thickness.dat").write_text("0.5,0.6\n")
    made = said("derive", labs / "thickness.dat", "--from", f"{tem}:scan 1.raw", "--software", "script=1")
    doubt = "bob@hu-berlin: scan 1.raw"
    assert doubt in made
    (row,) = said_json("search", f"derived-from:{tem}")["rows"]
    result = row["id"]
    assert doubt in said("search", "thickness")
    assert doubt in said("custody", result)
    assert doubt in said("assess", result)
    assert doubt in said("get", result, labs / "back")

    # Judgements go out as CSV, are edited, and come back; the changes are shown before anything is written.
    sheet = labs / "judgements.csv"
    said("assessment", "export", sheet)
    todo = labs / "todo.csv"
    said("assessment", "export", todo, "sample:S", "--todo")

    def change(rows: list[dict[str, str]]) -> None:
        mine, bobs = rows
        mine |= {"verdict": "limited", "comment": "=drifts in the last rows"}
        rows.append(dict.fromkeys(mine, "") | {"package": bobs["package"], "dataset": "scan 2.raw",
                                               "purpose": "imaging", "verdict": "accept"})  # fmt: skip

    edit(sheet, change)
    before = said_json("assess", tem)["assessments"]
    shown = (
        f"changed          row 2: imaging, scan 1.raw of {tem}\n"
        "                   verdict: “accept” → “limited”\n"
        "                   comment: “sharp” → “=drifts in the last rows”\n"
        f"new              row 4: imaging, scan 2.raw of {tem}\n"
        "                   purpose: imaging\n"
        "                   verdict: accept\n"
        "unchanged        1 row\n"
    )
    assert said("assessment", "import", sheet, "--dry-run") == shown + "nothing was written\n"
    refused = said("assessment", "import", sheet, code=4)
    assert refused.startswith(shown)
    assert "it was not confirmed" in refused
    assert said_json("assess", tem)["assessments"] == before
    assert said("assessment", "import", sheet, "--yes") == shown + "written          2 statements\n"
    assert said("assessment", "import", sheet, "--yes") == "unchanged        3 rows\n"
    assert "made from data with a warning; alice@hu-berlin:" in said("assess", result)

    # Nobody changes another's judgement, and what is still to be judged is a list to be filled in.
    edit(sheet, lambda rows: rows[1].update(verdict="accept"))
    text = said("assessment", "import", sheet, "--yes", code=2)
    assert "NOT UNDERSTOOD   row 3, verdict: only bob@hu-berlin can change what bob@hu-berlin has assessed" in text
    edit(todo, lambda rows: [row.update(purpose="imaging", verdict="accept") for row in rows])
    assert "written" in said("assessment", "import", todo, "--yes", "--user", "bob")
    assert said_json("search", "not:assessed sample:S")["total"] == 0


def test_samples_come_from_a_sheet(labs: Path) -> None:
    sheet = labs / "samples.csv"
    sheet.write_text("Identifier;Name;Made from\nW-1;wafer;\nW-1-a;;W-1 (split)\n")
    document = said_json("sample", "import", sheet)
    assert (len(document["changes"]), document["written"]) == (2, 0)
    text = said("sample", "import", sheet, "--yes")
    assert "new              row 2: W-1\n                   identifier: W-1\n                   name: wafer\n" in text
    assert said("sample", "export", labs / "out.csv") == f"written          {labs / 'out.csv'}, 2 rows\n"
    assert "this file exists already" in said("sample", "export", labs / "out.csv", code=2)
    said("sample", "change", "W-1", "--comment", "scratched")

    def change(rows: list[dict[str, str]]) -> None:
        rows[0] |= {"name": "", "comment": "clean"}
        rows[1] |= {"elements": "Zinc"}

    edit(labs / "out.csv", change)
    text = said("sample", "import", labs / "out.csv", "--yes", code=2)
    assert "NOT UNDERSTOOD   row 3, elements: " in text
    assert "diadem: nothing was written: 1 cell cannot be understood" in text
    edit(labs / "out.csv", lambda rows: rows[1].update(elements="Si"))
    text = said("sample", "import", labs / "out.csv", "--yes", code=1)
    assert "                   name: “wafer” is withdrawn\n" in text
    assert "CONFLICT         row 2: W-1: comment\n" in text
    assert "when exported nothing, now “scratched”\n                   in the sheet “clean”\n" in text
    assert said_json("sample", "show", "W-1-a")["samples"][0]["elements"] == ["Si"]

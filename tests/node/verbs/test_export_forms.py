"""A package leaves in a form that a plugin offers: as it holds now, proven, stated, whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest

import diadem
from diadem.advice import unquoted
from diadem.api.nodes import Node
from diadem.api.tools import trying
from diadem.cli.main import run as command_line
from diadem.custody.corrections import CorrectionSheet
from diadem.errors import IntegrityError, Interrupted, PluginError, Refused, UsageError
from diadem.model.plain_text import quoted
from diadem.model.ports import Progress
from diadem.testing.stores import Fault, FaultyStore
from tests.cli.inside import said, said_json
from tests.hooks.distributions import install
from tests.node.verbs.conftest import Lab, damage

PLUGIN = """
import json, logging, sys, time, warnings
from diadem.hooks.offers import ExporterOffer, hookimpl

SIZES = {"size": {"type": "integer", "description": "How many."}, "deep": {"type": "boolean", "default": False}}

@hookimpl
def diadem_exporters():
    every = ("package", "dataset", "search")
    yield ExporterOffer("lines", "Lines", "forms_of_mine:lines", takes=every, suffix=".txt", options=SIZES)
    yield ExporterOffer("tree", "Tree", "forms_of_mine:tree", writes="folder")
    yield ExporterOffer("box", "A box", "forms_of_mine:box", writes="service")
    yield ExporterOffer("nothing", "Nothing", "forms_of_mine:nothing", suffix=".txt")
    yield ExporterOffer("loud", "Loud", "forms_of_mine:loud", suffix=".txt")
    yield ExporterOffer("slow", "Slow", "forms_of_mine:slow", suffix=".txt")

def lines(source, target, deep, size=0):
    out = [json.dumps([source.by, source.node, source.query, source.moment.isoformat(), deep, size])]
    for number, package in enumerate(source.packages):
        source.progress(number, len(source.packages), package.facts.name)
        told = [package.id, package.facts.name, package.record.sample, len(package.datasets)]
        told += [[one.change.field, one.sealed] for one in package.corrections]
        told += [[one.verdict, one.by] for one in package.assessments]
        told += [len(package.cautions)]
        out.append(json.dumps(told))
        for entry in package.files:
            with package.open(entry.name) as stream:
                out.append(f"{len(stream.read())} {entry.sha256}")
    target.path.write_text("\\n".join(out))
    return {"lines": len(out)}

def tree(source, target):
    (target.path / "deep").mkdir()
    (target.path / "deep" / "b.txt").write_text("b")
    (target.path / "a.txt").write_text("a")

def box(source, target):
    tries = target.notes.get("tries", 0)
    target.note({"tries": tries + 1})
    if tries < 2:
        target.leave(target.url + "/7", ["doi:10.1234/7"])
        target.leave(target.url + "/7", ["doi:10.1234/7"])
    if tries < 2:
        (target.path / "made").write_text(str(tries))
        raise OSError("the line was cut")
    target.note({})
    return {"tries": tries, "kept": (target.path / "made").read_text()}

def nothing(source, target):
    pass

def loud(source, target):
    print("a library speaks")
    handler = logging.StreamHandler(sys.stdout)
    logging.getLogger("loud").addHandler(handler)
    logging.getLogger("loud").warning("\\x1b[33;20mWARNING\\x1b[0m of a library")
    warnings.warn("for who writes programs")
    target.path.write_text("loud")

def slow(source, target):
    with target.path.open("wb") as stream:
        for _ in range(600):
            stream.write(b"x" * 1000)
            stream.flush()
            time.sleep(0.1)
"""


@pytest.fixture
def forms(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    """The lab's node, opened where the plugin is at hand."""
    install(lab.root / "site", "forms_of_mine", PLUGIN)
    monkeypatch.syspath_prepend(lab.root / "site")
    with trying():
        node = lab.reopened()
        yield node
        node.close()


def handovers(node: Node, package: str) -> list[dict[str, Any]]:
    entries = node.context.ledger.of_subject(package.removeprefix("diadem:"))
    return [dict(entry.statement.predicate) for entry in entries if entry.statement.kind == "handover"]


def audits(node: Node, package: str) -> list[dict[str, Any]]:
    entries = node.context.ledger.of_subject(package.removeprefix("diadem:"))
    return [dict(entry.statement.predicate) for entry in entries if entry.statement.kind == "audit"]


def test_what_holds_now_leaves_and_the_log_says_what_to_whom_and_in_which_form(lab: Lab, forms: Node) -> None:
    package = lab.archived("monday")
    forms.amend(package, {"sample.name": "S-12"}, reason="mixed up")
    forms.assess(package, verdict="limited", purpose="strain")
    out = lab.root / "out.txt"
    done = forms.export(package, out, form="lines", for_="Marie Curie", options={"size": 3})
    head, told, *files = out.read_text().splitlines()
    assert json.loads(head)[:3] == ["alice@hu-berlin", "hu-berlin", ""]
    assert json.loads(head)[4:] == [False, 3]
    id_, name, sample, _, correction, judgement, cautions = json.loads(told)
    assert (id_, name, sample) == (package, "monday", {"name": "S-12"})
    assert (correction[0], judgement, cautions) == ("sample.name", ["limited", "alice@hu-berlin"], 1)
    assert len(files) == 3
    (said,) = handovers(forms, package)
    digest = hashlib.sha256(out.read_bytes()).hexdigest()
    assert (said["to"], said["form"], said["by"]) == ("Marie Curie", "lines", "alice@hu-berlin")
    assert (said["name"], said["sha256"], said["bytes"]) == ("out.txt", digest, out.stat().st_size)
    assert (done.sha256, dict(done.told)["lines"]) == (digest, "5")
    assert "gave the package to Marie Curie (lines" in str(forms.custody(package))


def test_what_leaves_without_its_files_is_called_a_description(lab: Lab, forms: Node) -> None:
    package = lab.archived("monday")
    forms.export(package, lab.root / "tree", form="tree")
    told = forms.custody(package).steps[-1].sentence
    assert "alice@hu-berlin took out a description of the package (tree" in told
    forms.export(
        package,
        lab.root / "out.json",
        form="datacite",
        for_="Marie",
        options={"publisher": "HU", "creators": ["Marie Curie"]},
    )
    assert "gave a description of the package to Marie (datacite" in forms.custody(package).steps[-1].sentence
    for files, words in ((False, "a description of the package"), (True, "the package")):
        forms.export(package, lab.root / f"{files}.eln", form="eln", for_=f"{files}", options={"files": files})
        assert f"gave {words} to {files} (eln" in forms.custody(package).steps[-1].sentence
    assert [one.get("only") for one in handovers(forms, package)] == [*["description"] * 3, None]


def test_a_folder_appears_whole_and_an_empty_one_may_wait_for_it(lab: Lab, forms: Node) -> None:
    package, out = lab.archived("monday"), lab.root / "tree"
    out.mkdir()
    done = forms.export(package, out, form="tree")
    assert sorted(one.relative_to(out).as_posix() for one in out.rglob("*")) == ["a.txt", "deep", "deep/b.txt"]
    listed = "".join(
        f"{hashlib.sha256(one.read_bytes()).hexdigest()}  {one.relative_to(out).as_posix()}\n"
        for one in (out / "a.txt", out / "deep" / "b.txt")
    )
    assert (done.files, done.bytes, done.sha256) == (2, 2, hashlib.sha256(listed.encode()).hexdigest())
    with pytest.raises(Refused, match="exists already"):
        forms.export(package, out, form="tree")
    assert (out / "a.txt").read_text() == "a"


def test_a_search_takes_all_that_it_finds_and_a_dataset_one(lab: Lab, forms: Node) -> None:
    packages = {lab.archived(name) for name in ("monday one", "monday two", "tuesday")}
    done = forms.export("monday", lab.root / "out.txt", form="lines", search=True)
    assert {str(one) for one in done.packages} < packages
    assert len(done.packages) == 2
    assert len(done.statements) == 1
    with pytest.raises(UsageError, match="exports no search"):
        forms.export("monday", lab.root / "other", form="tree", search=True)
    with pytest.raises(diadem.errors.NotFound, match="nothing is found"):
        forms.export("friday", lab.root / "other.txt", form="lines", search=True)


@pytest.mark.parametrize(
    ("form", "options", "match"),
    [
        ("unknown", {}, "no form 'unknown'"),
        ("lines", {"wide": 1}, "no option 'wide'"),
        ("lines", {"size": "many"}, "option 'size'"),
        ("lines", ["deep=perhaps"], "is true or false, not 'perhaps'"),
    ],
)
def test_what_is_not_offered_is_refused(lab: Lab, forms: Node, form: str, options: Any, match: str) -> None:
    package = lab.archived("monday")
    with pytest.raises(UsageError, match=match):
        forms.export(package, lab.root / "out.txt", form=form, options=options)
    assert not handovers(forms, package)


def test_what_stands_in_the_way_is_called_what_it_is(lab: Lab, forms: Node) -> None:
    package = lab.archived("monday")
    (lab.root / "full").mkdir()
    (lab.root / "full" / "mine").touch()
    with pytest.raises(Refused, match="this folder exists already"):
        forms.export(package, lab.root / "full", form="tree")
    with pytest.raises(UsageError, match="this is a folder") as told:
        forms.export(package, lab.root / "full", form="lines")
    assert str(told.value.next).endswith("session.txt")
    with pytest.raises(UsageError, match="'lines' writes a file"):
        forms.export(package, "https://box.example/1", form="lines")


def test_a_damaged_file_stops_it_and_nothing_is_left(lab: Lab, forms: Node) -> None:
    package = lab.archived("monday")
    damage(lab.path(package, "main") / "data" / "scan 1.bin")
    with pytest.raises(IntegrityError):
        forms.export(package, lab.root / "out.txt", form="lines")
    assert not [name for name in os.listdir(lab.root) if "out" in name]
    assert not handovers(forms, package)


def test_a_second_copy_gives_what_is_damaged_in_the_first(lab: Lab, forms: Node) -> None:
    lab.add_second()
    package = str(diadem.open_node(lab.node.path).archive(lab.session("monday"), now=True).package.id)
    with lab.reopened() as node:
        assert len(node.context.catalogue.replicas(package)) == 2
        damage(lab.path(package, "main") / "data" / "scan 1.bin")
        assert node.export(package, lab.root / "out.txt", form="lines").damaged == ["main"]
    assert len((lab.root / "out.txt").read_text().splitlines()) == 5


def test_ctrl_c_and_an_exporter_that_fails_or_writes_nothing_leave_nothing(lab: Lab, forms: Node) -> None:
    package = lab.archived("monday")

    def stop(progress: Progress) -> None:
        if progress.stage == "export":
            raise KeyboardInterrupt

    with pytest.raises(Interrupted, match="nothing was exported"):
        forms.export(package, lab.root / "out.txt", form="lines", listener=stop)
    with pytest.raises(PluginError, match="wrote nothing"):
        forms.export(package, lab.root / "out.txt", form="nothing")
    assert not [name for name in os.listdir(lab.root) if "out" in name]
    assert not handovers(forms, package)


def test_a_name_that_somebody_takes_meanwhile_is_stated_as_failed(lab: Lab, forms: Node) -> None:
    package, out = lab.archived("monday"), lab.root / "out.txt"

    def take(progress: Progress) -> None:
        if progress.stage == "read back" and not out.exists():
            out.write_text("another's")

    with pytest.raises(Refused, match="exists already"):
        forms.export(package, out, form="lines", listener=take)
    assert out.read_text() == "another's"
    assert [one["outcome"] for one in audits(forms, package)] == ["failed"]


def test_a_service_is_told_once_and_goes_on_after_each_cut(lab: Lab, forms: Node) -> None:
    package = lab.archived("monday")
    for _ in range(2):
        with pytest.raises(diadem.errors.DiademError, match="the line was cut"):
            forms.export(package, "https://box.example", form="box")
    done = forms.export(package, "https://box.example", form="box")
    assert dict(done.told) == {"tries": "2", "kept": "1"}
    assert (done.place, list(done.identifiers)) == ("https://box.example/7", ["doi:10.1234/7"])
    (said,) = handovers(forms, package)
    assert (said["where"], said["identifiers"]) == ("https://box.example/7", ["doi:10.1234/7"])
    with pytest.raises(diadem.errors.DiademError, match="the line was cut"):  # what is done is not gone on with
        forms.export(package, "https://box.example", form="box")


@pytest.mark.parametrize("form", ["lines", "box"])
def test_where_no_store_can_hold_the_statement_it_is_taken_back_or_waits(lab: Lab, forms: Node, form: str) -> None:
    package = lab.archived("monday")
    place: Any = lab.root / "out.txt" if form == "lines" else "https://box.example"
    store = FaultyStore(forms.context.stores.open("main"))
    forms.context.stores.put("main", store)
    store.fail(Fault("put", "unreachable", times=None))
    for _ in range(1 if form == "lines" else 2):
        with pytest.raises(diadem.errors.Unreachable, match="no store holds the statement"):
            forms.export(package, place, form=form)
    store.heal()
    forms.context.ledger.mirrors.push()
    assert len(handovers(forms, package)) == 1
    assert [one["outcome"] for one in audits(forms, package)] == (["failed"] if form == "lines" else [])
    if form == "lines":
        assert not place.exists()


def test_a_zip_has_a_name_as_a_form_too(lab: Lab, forms: Node, capsys: pytest.CaptureFixture[str]) -> None:
    package = lab.archived("monday")
    words = ["export", package, str(lab.root / "o.zip"), "--as", "zip", "--for", "Marie Curie"]
    with pytest.raises(SystemExit) as left:
        command_line([*words, "--node", str(lab.node.path)])
    assert left.value.code == 0
    assert "every byte proven" in capsys.readouterr().out
    assert (lab.root / "o.zip").exists()


def test_what_libraries_print_is_no_part_of_the_answer(lab: Lab, forms: Node) -> None:
    package = lab.archived("monday")
    words = ["export", package, str(lab.root / "out.txt"), "--as", "loud", "--node", str(lab.node.path), "--json"]
    environment = {**os.environ, "PYTHONPATH": str(lab.root / "site")}
    command = [sys.executable, "-m", "diadem", *words]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    assert json.loads(done.stdout)["form"] == "loud"
    assert done.stderr == "a library speaks\nWARNING of a library\n"


def test_a_killed_export_leaves_a_part_that_the_next_one_removes(lab: Lab, forms: Node) -> None:
    package, out = lab.archived("monday"), lab.root / "out.txt"
    part = lab.root / ".out.txt.part"
    environment = {**os.environ, "PYTHONPATH": str(lab.root / "site")}
    words = ["export", package, str(out), "--as", "slow", "--node", str(lab.node.path)]
    command = [sys.executable, "-m", "diadem", *words]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
    deadline = time.monotonic() + 60
    while not (part / "export.txt").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert part.exists()
    assert not out.exists()
    forms.export(package, out, form="lines")
    assert out.exists()
    assert not part.exists()


def test_the_command_takes_options_and_a_dry_run_writes_nothing(
    lab: Lab, forms: Node, capsys: pytest.CaptureFixture[str]
) -> None:
    package = lab.archived("monday")
    words = ["export", package, str(lab.root / "out.txt"), "--as", "lines", "--node", str(lab.node.path)]

    def call(*more: str) -> tuple[Any, str]:
        with pytest.raises(SystemExit) as left:
            command_line([*words, *more])
        return left.value.code, capsys.readouterr().out

    code, told = call("--dry-run")
    assert code == 0
    assert "nothing was written" in told
    assert not (lab.root / "out.txt").exists()
    assert call("--chain")[0] == 2
    code, told = call("--option", "deep", "--option", "size=4", "--json")
    assert code == 0
    assert [json.loads(told)[name] for name in ("form", "done", "told")] == ["lines", True, {"lines": "5"}]
    assert json.loads((lab.root / "out.txt").read_text().splitlines()[0])[4:] == [True, 4]


def test_a_dry_run_of_a_search_names_every_package_that_cannot_be_read(lab: Lab, forms: Node) -> None:
    packages = [lab.archived(f"monday {name}") for name in ("one", "two", "three")]
    words = ["export", "monday", lab.root / "out.txt", "--as", "lines", "--search", "--dry-run"]
    whole = said_json(*words, "--node", lab.node.path)
    assert (sorted(whole["packages"]), whole["unopened"], whole["ok"]) == (sorted(packages), [], True)
    for package in packages[1:]:
        lab.path(package, "main").rename(lab.root / package[-8:])
    told = said(*words, "--node", lab.node.path, code=1)
    assert "would export     3 packages as lines" in told
    assert "whether they have all that lines needs is seen when it is made" in told
    assert [one for one in packages if f"CANNOT BE READ   {one}: " in told] == packages[1:]
    assert not (lab.root / "out.txt").exists()
    with pytest.raises(diadem.errors.DiademError):
        forms.export("monday", lab.root / "out.txt", form="lines", search=True)


def test_a_package_exports_itself_with_its_node_and_without(lab: Lab, forms: Node) -> None:
    package = lab.archived("monday")
    forms.get(package).export("lines", lab.root / "one.txt", for_="Marie")
    assert [one["to"] for one in handovers(forms, package)] == ["Marie"]
    alone = diadem.open(str(lab.path(package, "main")))
    done = alone.export("lines", lab.root / "two.txt", options={"deep": True})
    assert json.loads((lab.root / "two.txt").read_text().splitlines()[0])[:3] == ["", "", ""]
    assert done.sha256 == hashlib.sha256((lab.root / "two.txt").read_bytes()).hexdigest()
    with pytest.raises(Refused, match="whose log says so"):
        alone.export("box", "https://box.example")


@pytest.mark.parametrize("unpacked", [False, True])
def test_what_lies_beside_a_package_counts_where_no_node_has_it(lab: Lab, forms: Node, unpacked: bool) -> None:
    package = lab.archived("monday")
    forms.amend(package, {"sample.name": "S-12", "title": "Tuesday"}, reason="mixed up")
    forms.assess(package, verdict="limited", purpose="strain")
    given = lab.root / "given.zip"
    forms.export(package, given, for_="Marie Curie")
    if unpacked:
        with zipfile.ZipFile(given) as archive:
            archive.extractall(lab.root / "unpacked")
        given = next((lab.root / "unpacked").glob("*/bagit.txt")).parent
    done = diadem.open(given).export("lines", lab.root / "out.txt")
    told = json.loads((lab.root / "out.txt").read_text().split("\n")[1])
    id_, name, sample, _, *corrections, judgement, cautions = told
    assert (id_, name, sample) == (package, "Tuesday", {"name": "S-12"})
    assert [field for field, _ in corrections] == ["sample.name", "session.title"]
    assert (judgement, cautions) == (["limited", "alice@hu-berlin"], 1)
    assert f"by alice@hu-berlin (node {forms.id[:12]})" in dict(done.told)["corrected"]
    printed = said("export", given, lab.root / "said.txt", "--as", "lines", "--node", lab.root / "nowhere")
    assert "corrected        sample.name, session.title" in printed
    assert "Tuesday" in (lab.root / "said.txt").read_text()
    assert "log" not in printed
    with pytest.raises(Refused, match="whose log says so") as refused:
        diadem.open(given).export("box", "https://box.example")
    assert str(refused.value.next).endswith(f"diadem import {quoted(given)}")
    with pytest.raises(Refused, match="who made it") as refused:
        diadem.open(given).export("datacite", lab.root / "out.json")
    then = str(refused.value.next).partition("diadem ")[2].replace("OUT.json", quoted(lab.root / "out.json"))
    assert "creators         " in said(*unquoted(then), "--node", lab.root / "nowhere")


def test_corrections_that_do_not_hold_are_refused_and_broken_judgements_are_named(lab: Lab, forms: Node) -> None:
    package = lab.archived("monday")
    forms.amend(package, {"sample.name": "S-12"})
    forms.assess(package, verdict="limited", purpose="strain")
    given, sheets = lab.root / "given.zip", []
    forms.export(package, given, for_="Marie Curie")
    with zipfile.ZipFile(given) as archive:
        archive.extractall(lab.root / "unpacked")
    file = lab.root / "unpacked" / "corrections.jsonl"
    whole = next((lab.root / "unpacked").glob("*/bagit.txt")).parent
    sheet = CorrectionSheet.from_line(file.read_bytes().splitlines()[0])
    judged = {**sheet.judged, "said": [{**sheet.judged["said"][0], "line": "{}"}]}
    more = {"keys": sheet.keys, "earlier": (), "key": forms.context.keys.open("online")}
    for change in ({"owners": ["mallory@hu-berlin"]}, {"judgements": judged}):
        made = {"owners": sheet.owners, "amendments": sheet.amendments, "judgements": sheet.judged, **more, **change}
        sheets.append(CorrectionSheet.signed(sheet.node, sheet.package, **made))
    file.write_bytes(sheets[0].to_line())
    with pytest.raises(IntegrityError, match="by alice@hu-berlin, who does not own the package"):
        diadem.open(whole).export("lines", lab.root / "out.txt")
    assert not (lab.root / "out.txt").exists()
    file.write_bytes(sheets[1].to_line())
    told = dict(diadem.open(whole).export("lines", lab.root / "out.txt").told)
    assert "sample.name" in told["corrected"]
    assert "hu-berlin: judgement 1" in told["not taken over"]
    assert '["limited"' not in (lab.root / "out.txt").read_text()

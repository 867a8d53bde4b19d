"""A package leaves in a form that a plugin offers: as it holds now, proven, stated, whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

import diadem
from diadem.api.nodes import Node
from diadem.api.tools import trying
from diadem.cli.main import run as command_line
from diadem.errors import IntegrityError, Interrupted, PluginError, Refused, UsageError
from diadem.model.ports import Progress
from tests.hooks.distributions import install
from tests.node.verbs.conftest import Lab, damage

PLUGIN = """
import json, time
from diadem.hooks.offers import ExporterOffer, hookimpl

SIZES = {"size": {"type": "integer", "description": "How many."}, "deep": {"type": "boolean", "default": False}}

@hookimpl
def diadem_exporters():
    every = ("package", "dataset", "search")
    yield ExporterOffer("lines", "Lines", "forms_of_mine:lines", takes=every, suffix=".txt", options=SIZES)
    yield ExporterOffer("tree", "Tree", "forms_of_mine:tree", writes="folder")
    yield ExporterOffer("box", "A box", "forms_of_mine:box", writes="service")
    yield ExporterOffer("nothing", "Nothing", "forms_of_mine:nothing", suffix=".txt")
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
    return {"tries": tries, "kept": (target.path / "made").read_text()}

def nothing(source, target):
    pass

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
        ("lines", ["deep=perhaps"], "is a boolean"),
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

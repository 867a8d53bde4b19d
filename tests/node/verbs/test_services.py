"""What the operating system is given to run: files that it takes, and command lines that do their work.

No program of the system is started: `systemctl`, `launchctl` and `schtasks` are not there, or played by a few lines.
"""

from __future__ import annotations

import contextlib
import csv
import json
import os
import plistlib
import re
import shutil
import signal
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

import diadem
from diadem.api.nodes import Node
from diadem.errors import Refused, UsageError
from diadem.node.config import ServerSettings
from diadem.node.services import verbs
from diadem.node.services.launchd import Launchd
from diadem.node.services.task_scheduler import TaskScheduler
from tests.cli.inside import said, said_json
from tests.node.test_adopting import everything
from tests.node.verbs.conftest import Lab
from tests.services import free_ports

#: A folder as no unit, property list or command line likes it.
HARD = 'my 50% $HOME %h "ü" \\'
ANALYZE = shutil.which("systemd-analyze")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An account of its own, on whose path there is no program of the system: the tests start nothing for a person."""
    if sys.platform in ("win32", "darwin"):
        monkeypatch.setattr(verbs, "system_here", verbs.Systemd)
    programs = tmp_path / "programs"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home" / ".config"))
    monkeypatch.delenv("DIADEM_PLUGINS", raising=False)
    return tmp_path / "home"


@pytest.fixture
def units(home: Path) -> Path:
    return home / ".config" / "systemd" / "user"


@pytest.fixture
def hard(lab: Lab) -> Iterator[Node]:
    """A node in a folder that has to be quoted."""
    with diadem.Node.create(lab.root / HARD, name="nmi", user="bob", store=str(lab.root / "hard store")) as node:
        yield node


def unquoted(line: str) -> list[str]:
    """The words of a line as systemd.syntax(7) has them: quotation marks, backslashes, per cent signs."""
    words = re.findall(r'"((?:[^"\\]|\\.)*)"(?: |\Z)', line.removeprefix(":"))
    found = [re.sub(r"\\(.)", r"\1", word) for word in words]
    assert all("%" not in word.replace("%%", "") for word in found), "a specifier"
    assert line.startswith(":") or "$" not in line, "a variable"
    return [word.replace("%%", "%") for word in found]


def unit(path: Path) -> dict[str, list[str]]:
    """What stands in a unit, by its keys."""
    found: dict[str, list[str]] = {}
    for line in path.read_text("utf-8").splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


def environment_of(path: Path) -> dict[str, str]:
    """What a unit sets, and what any program needs; nothing of the person who runs the tests."""
    pairs = [unquoted(line)[0].partition("=") for line in unit(path)["Environment"]]
    return {"HOME": os.environ["HOME"], "PATH": "/usr/bin:/bin"} | {key: value for key, _, value in pairs}


def stand_in(home: Path, name: str, code: str) -> Path:
    """A program of the system, played by a few lines that note what they were asked. Returns where they note it."""
    noted = home.parent / "noted"
    program = home.parent / "programs" / name
    lines = [
        f"#!{sys.executable}",
        "import pathlib, sys",
        f"noted = pathlib.Path({str(noted)!r})",
        "asked = sys.argv[1:]",
    ]
    lines += ["with noted.open('a') as file: file.write(' '.join(asked) + '\\n')", code]
    program.write_text("\n".join(lines), "utf-8")
    program.chmod(0o755)
    return noted


# -- systemd ---------------------------------------------------------------------------------------------------------


def test_units_are_shown_written_once_and_removed(lab: Lab, units: Path) -> None:
    shown = said("service", "install", "--dry-run", "--node", lab.node.path)
    assert not units.exists()
    assert "Persistent=true" in shown
    assert "systemctl --user enable --now diadem-scrub-hu-berlin.timer" in shown
    told = said("service", "install", "--node", lab.node.path, code=1)
    assert "NOT STARTED      watch, scrub, repair: there is no systemctl here" in told
    assert "                 systemctl --user daemon-reload\n" in told
    names = ["repair.service", "repair.timer", "scrub.service", "scrub.timer", "watch.service"]
    assert sorted(path.name for path in units.iterdir()) == [f"diadem-{n.replace('.', '-hu-berlin.')}" for n in names]
    for line in (units / "diadem-watch-hu-berlin.service").read_text().splitlines()[1:]:
        assert f"    {line}".rstrip() in shown.splitlines() or not line, "what is shown is what is written"
    assert "DIADEM_PLUGINS=off" in (units / "diadem-watch-hu-berlin.service").read_text()
    before = everything(units)
    assert all(file.state == "unchanged" for one in lab.node.services.install().services for file in one.files)
    assert everything(units) == before
    (units / "other.service").write_text("[Service]\n")
    assert len(said_json("service", "remove", "--node", lab.node.path, code=1)["services"]) == 3
    assert [path.name for path in units.iterdir()] == ["other.service"]
    assert "no service of this node is installed" in said("service", "remove", "--node", lab.node.path)


def test_what_was_edited_or_is_of_others_stays(lab: Lab, units: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.node.services.install("watch", "scrub")
    edited = units / "diadem-watch-hu-berlin.service"
    text = edited.read_text("utf-8")
    edited.write_text(text.replace("Nice=10", "Nice=5"), "utf-8")
    before = everything(units)
    with pytest.raises(Refused, match="was edited") as caught:
        lab.node.services.install("scrub", "watch")
    assert caught.value.where == str(edited)
    with pytest.raises(Refused, match="was edited"):
        lab.node.services.remove()
    assert everything(units) == before, "nothing, not even what was not edited"
    states = {one.name: one for one in lab.node.services.status().services}
    assert (states["watch"].installed, states["watch"].files[0].state) == (True, "edited")
    lab.node.services.install("watch", replace=True)
    assert edited.read_text("utf-8") == text
    # Another Python: ours, and not as anybody wants it now.
    monkeypatch.setattr(sys, "executable", "/opt/other/bin/python")
    assert lab.node.services.install("watch", dry_run=True).services[0].files[0].state == "would be written"
    assert [file.state for file in lab.node.services.install("watch").services[0].files] == ["written"]
    assert "/opt/other/bin/python" in edited.read_text("utf-8")
    edited.write_text("[Service]\nExecStart=/bin/true\n")
    assert "is not from DIADEM" in said("service", "install", "watch", "--node", lab.node.path, code=4)
    lab.node.services.remove()
    assert [path.name for path in units.iterdir()] == [edited.name]
    with diadem.Node.create(lab.root / "twin", name="hu-berlin", user="eve", store=str(lab.root / "twins")) as twin:
        edited.unlink()
        lab.node.services.install("watch")
        with pytest.raises(Refused, match="is of another node"):
            twin.services.install("watch")
        assert not twin.services.remove().services
    assert edited.exists()
    edited.write_text(edited.read_text("utf-8") + "# mine\n", "utf-8")
    assert lab.node.services.remove(edited=True).services
    assert not list(units.iterdir())


def test_names_and_paths_that_cannot_be(lab: Lab, units: Path) -> None:
    assert "There are: watch, serve, scrub, repair" in said(
        "service", "install", "page", "--node", lab.node.path, code=2
    )
    with (
        diadem.Node.create(lab.root / "two\nlines", name="n", user="eve", store=str(lab.root / "s")) as node,
        pytest.raises(UsageError, match="line break"),
    ):
        node.services.install()
    assert not units.exists()
    for words in (("install", "--dry-run"), ("status",), ("remove",)):
        assert "open for reading only" in said("service", *words, "--node", lab.root / "main", code=4)


@pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")
def test_systemd_takes_the_units(hard: Node, units: Path, tmp_path: Path) -> None:
    hard.services.install("watch", "serve", "scrub", "repair")

    def complaints() -> str:
        runtime = {"XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path), "SYSTEMD_LOG_LEVEL": "warning"}
        command = [str(ANALYZE), "--user", "--man=no", "verify", *sorted(map(str, units.iterdir()))]
        return subprocess.run(command, env=runtime, capture_output=True, text=True, check=False).stderr

    assert complaints() == ""
    timer = units / "diadem-scrub-nmi.timer"
    timer.write_text(timer.read_text().replace("02:00:00", "26:00:00"))
    assert "Timer unit lacks value setting" in complaints(), "what is wrong is told"


def test_systemd_is_asked_once_and_says_how_it_went(lab: Lab, home: Path, units: Path) -> None:
    shown = (
        "if 'show' in asked:\n    unit = asked[-1]\n    on = noted.with_name(unit).exists()\n"
        "    print('ActiveState=' + ('active' if on else 'inactive'), 'SubState=waiting', "
        "'UnitFileState=' + ('enabled' if on else ''), 'Result=success', 'ExecMainStatus=0', "
        "'ExecMainExitTimestamp=Wed 2026-12-02 02:10:00 UTC', sep='\\n')\n"
        "if 'enable' in asked: noted.with_name(asked[-1]).touch()\n"
        "if 'disable' in asked: noted.with_name(asked[-1]).unlink()"
    )
    noted = stand_in(home, "systemctl", shown)
    installed = lab.node.services.install("scrub")
    assert installed.ok
    assert installed.services[0].started is True
    asked = [line for line in noted.read_text().splitlines() if " show " not in line]
    assert asked == ["--user daemon-reload", "--user enable --now diadem-scrub-hu-berlin.timer"]
    lab.node.services.install("scrub")
    assert [line for line in noted.read_text().splitlines() if " show " not in line] == asked, "it runs as it is"
    told = said("service", "status", "--node", lab.node.path, code=1)
    assert "scrub            installed, started\n" in told
    assert "ended Wed 2026-12-02 02:10:00 UTC with code 0 (success)" in told
    assert "kept             every copy to be read every 90 days: a service" in told
    assert f"next             diadem service install --node {lab.node.path} repair" in told
    removed = said("service", "remove", "--node", lab.node.path)
    assert removed.splitlines()[-1].startswith("removed")
    assert [line for line in noted.read_text().splitlines() if " show " not in line][2:] == [
        "--user disable --now diadem-scrub-hu-berlin.timer", "--user daemon-reload",
    ]  # fmt: skip


# -- what nobody does --------------------------------------------------------------------------------------------------


def promises(node: Node) -> dict[str, bool]:
    return {one.service: one.kept for one in node.services.status().promises}


def test_status_names_what_nobody_does(lab: Lab) -> None:
    assert promises(lab.node) == {"scrub": False, "repair": False}
    lab.archived("s")
    (lab.root / "titan").mkdir()
    lab.node.watched.add(lab.root / "titan")
    lab.node.context.change_settings(lambda now: replace(now, server=ServerSettings("127.0.0.1:8642")))
    told = said("service", "status", "--node", lab.node.path, code=1)
    assert f"NOT KEPT         1 folder to be watched ({lab.root / 'titan'}): nobody does that" in told
    assert told.endswith(f" diadem service install --node {lab.node.path} watch serve scrub repair\n")
    lab.node.scrub("main", part="1/28")
    lab.node.repair()
    assert promises(lab.node) == {"watch": False, "serve": False, "scrub": True, "repair": True}
    states = {one.name: one for one in lab.node.services}
    assert (states["scrub"].outcome, states["scrub"].installed) == ("done", False)
    assert states["scrub"].last
    ours = [one.name for one in lab.node.services.install(dry_run=True).services]
    assert ours == ["watch", "serve", "scrub", "repair"], "it was served"


# -- the command lines, as each system reads them ----------------------------------------------------------------------


def test_a_unit_scrubs_and_another_repairs(hard: Node, units: Path, tmp_path: Path) -> None:
    session = tmp_path / "session"
    session.mkdir()
    (session / "a.dat").write_bytes(os.urandom(5000))
    hard.archive(session, now=True)
    hard.services.install("scrub", "repair")
    for name, kind in (("scrub", "scrub"), ("repair", "repair")):
        path = units / f"diadem-{name}-nmi.service"
        done = subprocess.run(
            unquoted(unit(path)["ExecStart"][0]),
            env=environment_of(path),
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (1 if name == "repair" else 0, ""), done
        assert hard.jobs[0].kind == kind
    words = {job.kind: job.words for job in hard.jobs}
    assert words["scrub"] == "all stores, only what is due"
    assert words["repair"] == "everything in all stores"


@contextlib.contextmanager
def running(path: Path) -> Iterator[subprocess.Popen[str]]:
    """What a unit starts; it is ended as systemd does it."""
    command = unquoted(unit(path)["ExecStart"][0])
    with subprocess.Popen(command, env=environment_of(path), cwd="/", stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def wait_for(seen: object, what: str) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if seen():  # type: ignore[operator]
            return
        time.sleep(0.1)
    raise AssertionError(what)


@pytest.mark.program("services of a system, for seconds")
def test_a_unit_watches(hard: Node, units: Path, tmp_path: Path) -> None:
    (hard.path / "policy.toml").write_text('[archive]\nquiet = "1 s"\n[copies]\nminimum = 1\n', "utf-8")
    titan = tmp_path / "titan"
    (titan / "s").mkdir(parents=True)
    (titan / "s" / "a.dat").write_bytes(os.urandom(5000))
    hard.watched.add(titan)
    hard.services.install("watch")
    path = units / "diadem-watch-nmi.service"
    with running(path) as process:
        wait_for(lambda: hard.watched.ls()[0].archived, "nothing was archived")
        state = next(one for one in hard.services if one.name == "watch")
        assert state.running
        assert promises(hard)["watch"], "whoever started it"
    assert str(process.returncode) in unit(path)["SuccessExitStatus"]
    assert [row.title for row in diadem.open_node(hard.path).search("")] == ["s"]


@pytest.mark.program("services of a system, for seconds")
def test_a_unit_serves(hard: Node, units: Path) -> None:
    pytest.importorskip("granian", reason="the extra 'server' is not installed")
    port = free_ports(1)[0]
    hard.context.change_settings(lambda now: replace(now, server=ServerSettings(f"127.0.0.1:{port}")))
    hard.services.install("serve")
    open_ = ssl.create_default_context()
    open_.check_hostname, open_.verify_mode = False, ssl.CERT_NONE

    def answers() -> bool:
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"https://127.0.0.1:{port}/diadem/v1/health", context=open_) as answer,
        ):
            return bool(json.load(answer))
        return False

    with running(units / "diadem-serve-nmi.service") as process:
        wait_for(answers, "it does not answer")
        assert next(one for one in hard.services if one.name == "serve").running
        assert promises(hard)["serve"]
    assert process.returncode == 0
    assert not promises(hard)["serve"]


def windows_words(line: str) -> list[str]:
    """The words of a command line as Microsoft's C runtime takes them."""
    words: list[str] = []
    word, quoted, at = "", False, 0
    while at < len(line):
        slashes = len(line) - at - len(line[at:].lstrip("\\"))
        at += slashes
        if line[at : at + 1] == '"':
            word += "\\" * (slashes // 2)
            if slashes % 2:
                word += '"'
            else:
                quoted = not quoted
            at += 1
            continue
        word += "\\" * slashes
        if at < len(line) and line[at] == " " and not quoted:
            words, word = [*words, word], ""
        elif at < len(line):
            word += line[at]
        at += 1
    return [*words, word]


def test_a_property_list_of_macos(hard: Node, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verbs, "system_here", Launchd)
    noted = stand_in(home, "launchctl", "sys.exit(asked[0] == 'print' and len(asked[1].split('/')) > 2)")
    assert hard.services.install().services[1].started
    agents = home / "Library" / "LaunchAgents"
    assert f"bootstrap gui/{os.getuid()} {agents / 'org.diadem.diadem-scrub-nmi.plist'}" in noted.read_text()
    watch, scrub = (
        plistlib.loads((agents / f"org.diadem.diadem-{n}-nmi.plist").read_bytes()) for n in ("watch", "scrub")
    )
    assert (watch["RunAtLoad"], watch["KeepAlive"]) == (True, {"SuccessfulExit": False})
    assert (scrub["StartCalendarInterval"], scrub["LowPriorityIO"]) == ({"Hour": 2, "Minute": 0}, True)
    command, environment = scrub["ProgramArguments"], scrub["EnvironmentVariables"]
    assert environment["DIADEM_PLUGINS"] == "off"
    done = subprocess.run(command, env={"HOME": str(home), **environment}, cwd="/", check=False)
    assert done.returncode == 0
    assert hard.jobs[0].words == "all stores, only what is due"
    hard.services.remove()
    assert not list(agents.iterdir())


#: What the published schema of tasks lets stand in each element, of what is used here, and its values.
TASK: Mapping[str, Sequence[str]] = {
    "Task": ("RegistrationInfo", "Triggers", "Principals", "Settings", "Actions"),
    "RegistrationInfo": ("Description",),
    "Triggers": ("LogonTrigger", "CalendarTrigger"),
    "LogonTrigger": ("UserId",),
    "CalendarTrigger": ("StartBoundary", "ScheduleByDay"),
    "ScheduleByDay": ("DaysInterval",),
    "Principals": ("Principal",),
    "Principal": ("UserId", "LogonType", "RunLevel"),
    "Settings": (
        "MultipleInstancesPolicy", "DisallowStartIfOnBatteries", "StopIfGoingOnBatteries", "StartWhenAvailable",
        "ExecutionTimeLimit", "Priority", "RestartOnFailure",
    ),
    "RestartOnFailure": ("Interval", "Count"),
    "Actions": ("Exec",),
    "Exec": ("Command", "Arguments"),
}  # fmt: skip
VALUES = {
    "LogonType": "InteractiveToken",
    "RunLevel": "LeastPrivilege",
    "MultipleInstancesPolicy": "IgnoreNew",
    "DisallowStartIfOnBatteries": "false",
    "StopIfGoingOnBatteries": "false",
    "StartWhenAvailable": "true",
    "ExecutionTimeLimit": "PT0S",
    "Priority": r"[0-9]|10",
    "Interval": "PT1M",
    "Count": r"[1-9]\d?|1\d\d|2[0-4]\d|25[0-5]",
    "StartBoundary": r"\d{4}-\d\d-\d\dT0[0-9]:00:00",
    "DaysInterval": "1",
}
SPACE = "{http://schemas.microsoft.com/windows/2004/02/mit/task}"


def checked_task(path: Path) -> ElementTree.Element:
    """A task, held against the rules of Microsoft's schema."""
    data = path.read_bytes()
    assert data.startswith((b"\xff\xfe", b"\xfe\xff")), "UTF-16, as its first line says"
    task = ElementTree.fromstring(data)
    for element in task.iter():
        name = element.tag.removeprefix(SPACE)
        assert [
            child.tag.removeprefix(SPACE)
            for child in element
            if child.tag.removeprefix(SPACE) not in TASK.get(name, ())
        ] == []
        assert len(element) or re.fullmatch(VALUES.get(name, r"(?s).+"), element.text or ""), name
    assert 1 <= len(task.findtext(f".//{SPACE}Command") or "") <= 260
    context, principal = task.find(f"{SPACE}Actions"), task.find(f".//{SPACE}Principal")
    assert context is not None
    assert principal is not None
    assert context.get("Context") == principal.get("id")
    return task


def test_tasks_of_windows(lab: Lab, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verbs, "system_here", TaskScheduler)
    noted = stand_in(home, "schtasks", "sys.exit('/TN' in asked and '/Query' in asked)")
    place = lab.root / 'a & <b> "c" ü \\'
    with diadem.Node.create(place, name="nmi", user="bob", store=str(lab.root / "t")) as node:
        node.services.install()
        tasks = {path.name: checked_task(path) for path in (place / "services").iterdir()}
        assert sorted(tasks) == ["diadem-repair-nmi.xml", "diadem-scrub-nmi.xml", "diadem-watch-nmi.xml"]
        asked = next(csv.reader([line for line in noted.read_text().splitlines() if "/Create" in line][:1]))[0]
        assert asked == f"/Create /TN diadem-watch-nmi /XML {place / 'services' / 'diadem-watch-nmi.xml'} /F"
        exec_ = tasks["diadem-scrub-nmi.xml"].find(f".//{SPACE}Exec")
        assert exec_ is not None
        command = [exec_.findtext(f"{SPACE}Command") or "", *windows_words(exec_.findtext(f"{SPACE}Arguments") or "")]
        assert subprocess.run(command, env={"HOME": str(home)}, cwd="/", check=False).returncode == 0
        assert node.jobs[0].words == "all stores, only what is due"
        node.services.remove()
        assert not (place / "services").exists()
    filled = lab.root / "in %TEMP% of"
    with (
        diadem.Node.create(filled, name="n2", user="bob", store=str(lab.root / "u")) as node,
        pytest.raises(UsageError, match="in the place of %TEMP%"),
    ):
        node.services.install()

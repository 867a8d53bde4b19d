"""Whatever is wrong with a node: the step that is printed, run as it is printed, is accepted and heals."""

from __future__ import annotations

import itertools
import json
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import diadem
from tests import catalogues
from tests.cli.inside import ended, said
from tests.cli.test_advice import COMMAND
from tests.node.verbs.conftest import Lab, damage, remove
from tests.node.verbs.test_doctor import needs_permissions

#: Steps after which nobody has patience any more.
ENOUGH = 12


class Person:
    """Somebody who does what is printed, and fills in what stands in capitals."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.words = {"STORE": str(lab.root / "main"), "FILE": f"{lab.node.path}-recovery.txt", "...": "as it was"}
        self._places = itertools.count(1)

    def does(self, command: str) -> str:
        """Run a command as it stands; what it prints. It is never a wrong use."""
        words = shlex.split(command)
        if words[0] != "diadem":
            return subprocess.run(command, shell=True, check=True, capture_output=True, text=True).stdout
        known = dict(self.words)
        if words[1:3] == ["store", "add"]:
            number = next(self._places)
            known["PLACE"] = f"{self.lab.root}/place {number}"
            words += ["--place", f"disk {number}"]  # they all lie on the disk of the test
        words = [known.get(word, word) for word in words[1:]]
        if "--confirm-recovery" in words:
            kept = Path(self.words["FILE"])
            self.words["FILE"] = str(kept.rename(self.lab.root / "on a stick.txt"))
        if "--node" not in words and (words[0] != "init" or "--confirm-recovery" in words):
            words += ["--node", str(self.lab.node.path)]
        code, text = ended(*words)
        assert code != 2, (words, text)
        return text

    def reads(self, text: str) -> list[str]:
        """The commands of a text, one of the system for such as copy a file too."""
        ours = ["diadem " + found.group(1).strip() for found in COMMAND.finditer(text)]
        return ours or [text[at:] for at in (text.find("cp "),) if at >= 0]

    def status(self) -> dict[str, Any]:
        """What is wrong with the node."""
        return dict(json.loads(ended("status", "--json", "--node", self.lab.node.path)[1]))


def _fresh(_: Person, __: str) -> None:
    pass


def _damaged(person: Person, package: str) -> None:
    damage(person.lab.path(package, "main") / "data/scan 0.bin")
    ended("scrub", "--node", person.lab.node.path)


def _cut(person: Person, package: str) -> None:
    remove(person.lab.path(package, "second") / "data/scan 1.bin")
    ended("scrub", "--node", person.lab.node.path)


def _moved_copy(person: Person, package: str) -> None:
    folder = person.lab.path(package, "main")
    folder.parent.chmod(0o755)
    folder.rename(person.lab.root / "elsewhere")
    ended("scrub", "--node", person.lab.node.path)


def _both_gone(person: Person, package: str) -> None:
    for store in ("main", "second"):
        folder = person.lab.path(package, store)
        folder.parent.chmod(0o755)
        folder.rename(person.lab.root / f"away from {store}")
    ended("scrub", "--node", person.lab.node.path)


def _unplugged(person: Person, _: str) -> None:
    person.lab.second.rename(person.lab.root / "unplugged")
    person.words["PATH"] = str(person.lab.root / "unplugged")


def _on_this_machine_only(person: Person, _: str) -> None:
    person.lab.node.close()
    main, second = person.lab.root / "main", person.lab.second
    for store in (main, second):
        store.rename(f"{store} away")
    said("user", "add", "bob", "--node", person.lab.node.path)
    for store in (main, second):
        Path(f"{store} away").rename(store)


def _copied_in(person: Person, _: str) -> None:
    folder = Path(diadem.pack(person.lab.session("from elsewhere"), person.lab.root / "other").url)
    shutil.copytree(folder, person.lab.root / "main" / folder.parent.name / folder.name)
    ended("reindex", "--node", person.lab.node.path)


def _without_policy(person: Person, _: str) -> None:
    (person.lab.node.path / "policy.toml").unlink()


def _without_key(person: Person, _: str) -> None:
    (person.lab.node.path / "keys/online.pem").unlink()


def _requires(person: Person, _: str) -> None:
    policy = person.lab.node.path / "policy.toml"
    policy.write_text('[metadata]\nrequired = ["sample.name"]\n', "utf-8")


def _with_parity(person: Person, _: str) -> None:
    (person.lab.node.path / "policy.toml").write_text("[parity]\nenabled = true\n", "utf-8")


def _wants_offsite(person: Person, _: str) -> None:
    (person.lab.node.path / "policy.toml").write_text("[copies.kinds]\noffsite = 1\n", "utf-8")


@needs_permissions
@pytest.mark.parametrize(
    "hurt",
    [
        _fresh,
        _damaged,
        _cut,
        _moved_copy,
        _both_gone,
        _unplugged,
        _on_this_machine_only,
        _copied_in,
        _without_policy,
        _without_key,
        _requires,
        _with_parity,
        _wants_offsite,
    ],
)
@pytest.mark.sweep(6)
def test_the_steps_of_status_lead_to_green(lab: Lab, hurt: Callable[[Person, str], None]) -> None:
    person = Person(lab)
    package = ""
    if hurt is not _fresh:
        lab.add_second()
        package = lab.archived("s")
    hurt(person, package)
    taken: list[str] = []
    while not (status := person.status()).get("ok") or status.get("steps"):
        assert len(taken) < ENOUGH, taken
        step = status["steps"][0]["command"]
        if step == "diadem archive FOLDER":
            person.words["FOLDER"] = str(lab.session("first"))
            step += " --now"
        person.does(step)
        taken.append(step)
        assert len(taken) < 2 or taken[-1] != taken[-2] or "store add" in step, (taken, status)
    assert status["findings"] == [] or all(one["severity"] != "error" for one in status["findings"])


def _failing(lab: Lab) -> dict[str, tuple[Callable[[], object], list[object]]]:
    """By what is wrong: what makes it so, and the command that says what to do next."""
    node, root = lab.node.path, lab.root
    at = ["--node", node]
    catalogue = node / "catalogue.sqlite"
    return {
        "no catalogue": (catalogue.unlink, ["status", *at]),
        "a damaged catalogue": (lambda: catalogue.write_bytes(b"no database" * 999), ["search", *at]),
        "no such package": (lambda: None, ["get", "0123456789ab", root / "out", *at]),
        "no such store": (lambda: None, ["scrub", "nas", *at]),
        "no such user": (lambda: None, ["archive", root / "s", "--user", "carol", *at]),
        "no such sample": (lambda: None, ["sample", "show", "S-12", *at]),
        "no such job": (lambda: None, ["jobs", "--stop", "x", *at]),
        "a taken user": (lambda: None, ["user", "add", "alice", *at]),
        "a taken sample": (lambda: said("sample", "add", "S-12", *at), ["sample", "add", "S-12", *at]),
        "a package that was kept": (lambda: None, ["delete", "ID", "--reason", "x", *at]),
        "a copy too few": (lambda: None, ["drop", "ID", "--store", "main", "--reason", "x", *at]),
        "a copy that is not there": (
            lambda: said("store", "add", root / "third", "--name", "third", *at),
            ["drop", "ID", "--store", "third", "--reason", "x", *at],
        ),
        "a store with copies": (lambda: None, ["store", "rm", "main", *at]),
        "a store that is away": (lambda: (root / "main").rename(root / "away"), ["get", "ID", root / "out", *at]),
        "another store in its place": (lambda: _other_store(lab), ["doctor", *at]),
        "a store's damaged file": (lambda: (root / "main/.diadem/store.json").write_text("{"), ["doctor", *at]),
        "a node that is gone": (lambda: shutil.rmtree(node), ["status", *at]),
        "a node that is there": (
            lambda: None,
            ["init", node, "--store", root / "x", "--name", "x", "--user", "x", "--recovery-file", root / "r.txt"],
        ),
        "an empty policy": (lambda: (node / "policy.toml").write_bytes(b""), ["delete", "ID", "--reason", "x", *at]),
        "a log that is gone": ((node / "log/log.sqlite").unlink, ["archive", root / "s", *at]),
        "a key that is gone": ((node / "keys/log.pem").unlink, ["user", "add", "bob", *at]),
    }


def _other_store(lab: Lab) -> None:
    (lab.root / "main").rename(lab.root / "away")
    diadem.Node.create(lab.root / "o", name="o", user="eve", store=str(lab.root / "main")).close()


#: What is not healed by its next step, which shows something or is for people to decide.
SHOWN = [
    "no such package",
    "no such store",
    "no such job",
    "a taken user",
    "a taken sample",
    "a package that was kept",
    "a copy too few",
    "a copy that is not there",
    "a store with copies",
    "a node that is there",
]
HEALED = [
    "no catalogue",
    "a damaged catalogue",
    "no such user",
    "no such sample",
    "a store that is away",
    "another store in its place",
    "a store's damaged file",
    "a node that is gone",
    "an empty policy",
    "a log that is gone",
    "a key that is gone",
]


@needs_permissions
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=catalogues.in_a_file if "catalogue" in name else ()) for name in (*SHOWN, *HEALED)],
)
@pytest.mark.sweep(7)
def test_the_next_step_of_an_error_is_accepted(lab: Lab, name: str) -> None:
    package = lab.archived("s")
    make, words = _failing(lab)[name]
    lab.node.close()
    make()
    asked = [package if word == "ID" else word for word in words]
    message, step = _told(asked)
    assert message
    person = Person(lab)
    store = next(place for place in (lab.root / "away", lab.root / "main") if place.exists())
    person.words |= {"PLACE": str(store), "PATH": str(store), "ID": package, "NAME": "main"}
    person.words["FOLDER"] = str(lab.node.path)
    commands = person.reads(step)
    assert commands or name in SHOWN, step
    for command in commands:
        person.does(command)
        if name in HEALED and _told(asked)[0] != message:
            return
    assert name in SHOWN


def _told(words: list[object]) -> tuple[str, str]:
    """What a command says is wrong, and the next step; nothing where all is well."""
    document = json.loads(ended(*words, "--json")[1])
    wrong = [one for one in document.get("checks", ()) if (one["name"], one["verdict"] != "ok") == ("stores", True)]
    found = wrong[0] if wrong else document.get("error")
    return (found["message"], found["next"]) if found else ("", "")

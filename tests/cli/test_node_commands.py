"""The commands on a node: names, help, one JSON object, exit codes, errors in one shape."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import diadem
from diadem.archive.package import Package
from diadem.cli.help import FIRST, GROUPS
from diadem.cli.main import FILES, command_line
from diadem.network.carrier_verbs import CarrierVerbs
from diadem.network.peer_verbs import PeerVerbs
from diadem.network.rules import RuleVerbs
from diadem.network.transfer_verbs import TransferVerbs
from diadem.node.key_verbs import KeyVerbs
from diadem.node.quality.judgement_sheet import JudgementVerbs
from diadem.node.samples.verbs import SampleVerbs
from diadem.node.services.verbs import ServiceVerbs
from diadem.node.store_verbs import StoreVerbs
from diadem.node.tell.verbs import TellVerbs
from diadem.node.users import UserVerbs
from diadem.node.watch.verbs import WatchVerbs
from tests.cli.inside import said, said_json
from tests.node.verbs.conftest import Lab, damage, lab

__all__ = ["lab"]

#: The whole command line, with every command.
ROOT: Any = command_line()
#: Commands that are no verb on an archive, and why they have no method.
NO_VERB = {
    "demo": "a tour",
    "help": "about the command line itself",
    "plugins": "about what is installed",
    "init": "Node.create and Node.recover: there is no node yet",
    "serve": "a process of its own that stands above the API",
    "page": "the same, for a browser",
}


def commands() -> Iterator[tuple[str, Any]]:
    """Every command with its words, groups opened: ``store add``, ``peer carrier add``."""
    yield from _commands_of(ROOT, "")


def _commands_of(group: Any, words: str) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands_of(command, f"{words}{name} ")
        else:
            yield f"{words}{name}", command


# -- names ---------------------------------------------------------------------------------------------------------


def test_every_verb_is_a_method_of_the_same_name() -> None:
    verbs = {
        "store": StoreVerbs,
        "user": UserVerbs,
        "sample": SampleVerbs,
        "assessment": JudgementVerbs,
        "watch": WatchVerbs,
        "service": ServiceVerbs,
        "peer": PeerVerbs,
        "peer carrier": CarrierVerbs,
        "key": KeyVerbs,
        "transfer": TransferVerbs,
        "rule": RuleVerbs,
        "tell": TellVerbs,
    }
    called = {"watch": "watched", "assessment": "judgements", "tell": "tell"}
    plain = {"grant add": "grant", "grant ls": "grants", "grant why": "why"}
    for name, _ in commands():
        group, _, verb = name.rpartition(" ")
        if name in plain:
            assert callable(getattr(diadem.Node, plain[name])), name
        elif group:
            outer, _, inner = group.partition(" ")
            assert hasattr(diadem.Node, called.get(outer, f"{outer}s")), name
            assert not inner or hasattr(verbs[outer], f"{inner}s"), name
            assert callable(getattr(verbs[group], "import_" if verb == "import" else verb)), name
        elif name not in NO_VERB:
            python = "import_" if name == "import" else name
            owners = [owner for owner in (diadem.Node, Package, diadem) if hasattr(owner, python)]
            assert owners, name
    assert NO_VERB.keys() <= ROOT.commands.keys()
    assert inspect.ismethod(diadem.Node.create)
    assert inspect.ismethod(diadem.Node.recover)


def test_every_public_method_has_its_command() -> None:
    options = {
        "archive_all": ("archive", "--split"),
        "sessions_of": ("archive", "--plan"),
        "plan": ("archive", "--dry-run"),
        "stop_job": ("jobs", "--stop"),
        "restore": ("get", "--node"),
        "previews": ("page", "--node"),
        "policy": ("page", "--node"),
        "export_custody": ("custody", "--export"),
        "export_disk": ("export", "--to"),
        "export_relays": ("custody", "--export"),
        "confirm_recovery": ("init", "--confirm-recovery"),
        "recover": ("init", "--recover"),
        "create": ("init", "--store"),
        "assessments": ("assess", "--node"),
        "assess_by_machine": ("assess", "--machine"),
        "amendments": ("amend", "--node"),
        "derivations": ("custody", "--node"),
        "warnings": ("custody", "--node"),
        "stores": ("store ls", "--node"),
        "users": ("user ls", "--node"),
        "peers": ("peer ls", "--node"),
        "keys": ("key rotate", "--node"),
        "samples": ("sample ls", "--node"),
        "services": ("service status", "--node"),
        "facets": ("search", "--facets"),
        "forms": ("export", "--as"),
        "queries": ("search", "--saved"),
        "judgements": ("assessment export", "--node"),
        "watch": ("watch run", "--node"),
        "watched": ("watch ls", "--node"),
        "grant": ("grant add", "--to"),
        "grants": ("grant ls", "--node"),
        "why": ("grant why", "--node"),
        "transfers": ("transfer ls", "--node"),
        "rules": ("rule ls", "--node"),
        "tell": ("tell ls", "--node"),
        "hub": ("status", "--node"),
    }
    inner = {
        "again",
        "at",
        "close",
        "remember",
        "remirror",
        "to_dict",
        "name",
        "id",
        "path",
        "user",
    }  # no wish of a person
    named = dict(commands())
    public = {name for name in dir(diadem.Node) if not name.startswith("_")} - {"context", "recovered"}
    for name in public - inner:
        command, option = options.get(name, (name.rstrip("_"), "--node"))
        assert command in named, name
        assert option in {text for parameter in named[command].params for text in parameter.opts}, (name, option)


# -- help ----------------------------------------------------------------------------------------------------------


def listed(text: str) -> list[str]:
    """Names of commands in a help text, in order."""
    after = text.split("Commands:\n", 1)[1]
    return [
        line.split()[0]
        for line in after.splitlines()
        if line.startswith("  ") and not line.startswith("   ") and line.split()[0] in ROOT.commands
    ]


def test_help_shows_the_first_ten_and_help_all_shows_all_in_groups() -> None:
    first = [name for name in FIRST if name in ROOT.commands]
    for arguments in ((), ("--help",), ("-h",)):
        text = said(*arguments)
        assert listed(text) == first
        assert "diadem help all" in text
        assert len(text.splitlines()) <= 24
    everything = said("help", "all")
    assert said("help") == everything
    assert set(listed(everything)) == ROOT.commands.keys() - {"help"}
    for title, names in GROUPS.items():
        assert f"\n{title}:\n" in everything or not set(names) & ROOT.commands.keys()
    assert "Others:" not in everything  # each of our own has its place


def test_no_list_of_commands_is_cut_in_a_sentence() -> None:
    groups = sorted({name.rpartition(" ")[0] for name, _ in commands()} - {""})
    for words in ((), ("help", "all"), *((*name.split(), "--help") for name in (*groups, "peer"))):
        text = said(*words)
        lines = text.partition("Commands:\n")[2].splitlines()
        assert lines, words
        assert not [line for line in lines if line.endswith(("...", "…")) or len(line) > 80], words
        assert [line for line in lines if line.startswith("  ") and not line.startswith("   ")] == [
            line for line in lines if line.startswith("  ")
        ], words  # each is on a line of its own


def test_help_names_values_in_words() -> None:
    for name, command in commands():
        text = said(*name.split(), "--help")
        assert not re.search(r"<[a-z]+[] \[>]", text), name
        assert not re.search(r"^ +--\S+ \S*[a-z]\S*  ", text, re.MULTILINE), name
        usage = " ".join(text.partition("\n\n")[0].split())
        for one in command.params:
            if one.param_type_name == "argument":
                assert re.search(r" \[?[A-Z][A-Z -.]+\]?", usage.partition("[OPTIONS]")[2]), (name, usage)
    assert "scrub [OPTIONS] [STORE]\n" in said("scrub", "--help")
    assert "drop [OPTIONS] PACKAGE\n" in said("drop", "--help")
    assert "pack [OPTIONS] SOURCE... STORE\n" in said("pack", "--help")
    assert re.search(r"--limit NUMBER +How many rows", said("search", "--help"))
    assert "1 or more" in said("scrub", "--help")


def test_former_names_of_commands_go_on_working(lab: Lab) -> None:
    for former, name, verb in (("transfers", "transfer", "ls"), ("judgement", "assessment", "export")):
        assert name in said("help", "all").split()
        assert former not in ROOT.commands
        assert said("help", former, verb).replace(f"{former} {verb}", f"{name} {verb}") == said("help", name, verb)
    assert said_json("transfers", "ls", "--node", lab.node.path) == {"transfers": []}
    assert said_json("judgement", "export", lab.root / "a.csv", "--node", lab.node.path)["rows"] == 0


def test_help_explains_one_command() -> None:
    assert said("help", "store", "add") == said("store", "add", "--help").replace("  \n", "  \n")
    assert "--max-rate" in said("help", "scrub")
    for wrong in (("nonsense",), ("store", "nonsense"), ("scrub", "nonsense")):
        assert "no command" in said("help", *wrong, code=2)


def test_every_command_says_what_it_is_for() -> None:
    for name, command in commands():
        assert command.help.rstrip().endswith("."), name
        for parameter in command.params:
            assert getattr(parameter, "help", ""), (name, parameter.name)


def test_help_loads_nothing_heavy() -> None:
    program = (
        "import sys\nfrom diadem.cli.main import run\n"
        "try:\n    run(['--help'])\nexcept SystemExit:\n    pass\nprint('\\n'.join(sorted(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = {line.partition(".")[0] for line in done.stdout.splitlines()}
    heavy = {
        "numpy",
        "scipy",
        "sqlalchemy",
        "h5py",
        "hyperspy",
        "rsciio",
        "cryptography",
        "fsspec",
        "rich",
        "PIL",
        "pydantic",
    }
    assert loaded & (heavy | {"pydantic"}) == set()
    assert "click" in loaded


def test_a_look_loads_nothing_that_only_work_needs(lab: Lab) -> None:
    lab.archived("2026-03-14 ZnO")
    program = (
        "import sys\nfrom diadem.cli.main import run\n"
        "try:\n    run(sys.argv[1:])\nexcept SystemExit:\n    print('\\n'.join(sorted(sys.modules)), file=sys.stderr)"
    )
    work = {"diadem.pack", "diadem.archive.package", "diadem.extract.pool", "diadem.node.watch.folder"}
    heavy = {"numpy", "h5py", "hyperspy", "rsciio", "fsspec", "rich", "PIL", "pydantic", "tomlkit", "openpyxl", *work}
    for verb in ("search", "status", "inbox"):
        done = subprocess.run(
            [sys.executable, "-c", program, verb, "--node", lab.node.path], capture_output=True, text=True, check=True
        )
        loaded = set(done.stderr.splitlines())
        assert "diadem.node.node" in loaded, done.stderr
        assert loaded & heavy == set(), verb


# -- one JSON object -----------------------------------------------------------------------------------------------


def test_json_is_everywhere() -> None:
    without = {name for name, command in commands() if not any("--json" in one.opts for one in command.params)}
    assert without == {"demo", "help"}


def test_every_command_prints_one_object(lab: Lab, tmp_path: Path) -> None:
    """In the order in which a group would use them; each answer has the keys that programs rely on."""
    lab.node.close()
    node, second, main = lab.node.path, lab.second, lab.root / "main"
    session = lab.session("s")
    made = said_json("init", tmp_path / "n2", "--store", tmp_path / "s2", "--name", "n2", "--user", "eve")
    assert {"name", "id", "path", "user", "stores", "recovery"} <= made.keys()
    on = ("--node", node)
    package = said_json("archive", session, "--now", *on)["package"]
    assert package.keys() == {"id", "payload_id", "path"}
    one = package["id"]
    assert said_json("pack", session, tmp_path / "packed")["package"].keys() == package.keys()
    (lab.root / "node-recovery.txt").rename(lab.root / "stick.txt")
    steps: list[tuple[Sequence[object], int, str]] = [
        (("archive", session, "--now", "--dry-run"), 0, "plan"),
        (("archive", session, "--split", "--now"), 0, "sessions"),
        (("status",), 1, "node"),
        (("store", "add", second, "--name", "second", "--place", "another disk"), 0, "store"),
        (("store", "ls"), 0, "stores"),
        (("repair", "--dry-run"), 0, "planned"),
        (("repair",), 0, "copies"),
        (("init", "--confirm-recovery"), 0, "recovery"),
        (("status",), 0, "node"),
        (("search", "s"), 0, "rows"),
        (("scrub", "main", "--part", "1/1"), 0, "proven"),
        (("show", one), 0, "datasets"),
        (("show", one, "--dataset", "scan 0.bin"), 0, "values"),
        (("show", one, "--files"), 0, "files"),
        (("open", one), 0, "page"),
        (("verify", one), 0, "ok"),
        (("get", one, tmp_path / "back"), 0, "files"),
        (("custody", one), 0, "steps"),
        (("custody", one, "--export", tmp_path / "chain.json"), 0, "written"),
        (("custody", "verify", tmp_path / "chain.json"), 0, "steps"),
        (("export", one, tmp_path / "out.zip", "--for", "Marie Curie"), 0, "path"),
        (("site", tmp_path / "site"), 0, "path"),
        (("user", "add", "bob"), 0, "user"),
        (("user", "ls"), 0, "users"),
        (("send", one, "bob@hu-berlin"), 0, "transfer"),
        (("inbox", "--user", "bob"), 0, "offers"),
        (("accept", "0123abcd"), 3, "error"),
        (("decline", "0123abcd"), 3, "error"),
        (("transfer", "ls"), 0, "transfers"),
        (("transfer", "sync"), 0, "synced"),
        (("import", tmp_path), 3, "error"),
        (("peer", "carrier", "add", "shared", f"drop://{tmp_path.as_posix()}"), 0, "carrier"),
        (("peer", "carrier", "ls"), 0, "carriers"),
        (("peer", "carrier", "rm", "shared"), 0, "removed"),
        (("rule", "add", "*@nmi", "--max", "1GB"), 0, "rules"),
        (("user", "show", "bob"), 0, "user"),
        (("grant", one, "--to", "bob"), 0, "grant"),
        (("grant", "ls", one), 0, "grants"),
        (("grant", "why", "bob", one), 0, "allowed"),
        (("revoke", "00000000"), 3, "error"),
        (("sample", "add", "S-1"), 0, "sample"),
        (("sample", "change", "S-1", "--name", "ZnO"), 0, "sample"),
        (("sample", "split", "S-1", "S-2"), 0, "parts"),
        (("sample", "link", "S-1", "K-7", "--lab", "NMI", "--reason", "told by mail"), 0, "sample"),
        (("sample", "unlink", "S-1", "K-7", "--lab", "NMI", "--reason", "another"), 0, "sample"),
        (("sample", "send", "S-1", "--to", "NMI"), 0, "sample"),
        (("sample", "receive", "S-1", "--at", "NMI"), 0, "sample"),
        (("sample", "lose", "S-2"), 0, "sample"),
        (("sample", "consume", "S-1"), 0, "sample"),
        (("sample", "retract", "S-1", "consumed", "--reason", "another"), 0, "sample"),
        (("sample", "export", tmp_path / "samples.xlsx"), 0, "rows"),
        (("sample", "import", tmp_path / "samples.xlsx"), 0, "unchanged"),
        (("sample", "ls"), 0, "samples"),
        (("sample", "show", "S-1"), 0, "samples"),
        (("assess", one, "accept", "--for", "imaging"), 0, "stated"),
        (("assess", one, "--machine"), 0, "machine"),
        (("assess", one), 0, "assessments"),
        (("assessment", "export", tmp_path / "judgements.csv"), 0, "rows"),
        (("assessment", "import", tmp_path / "judgements.csv"), 0, "unchanged"),
        (("amend", one, "--set", "sample.name=S-12"), 0, "stated"),
        (("derive", session / "scan 0.bin", "--from", one), 0, "derivations"),
        (("jobs",), 0, "jobs"),
        (("instruments",), 0, "instruments"),
        (("doctor",), 0, "checks"),
        (("tell", "add", "figures", tmp_path / "diadem.prom"), 0, "tell"),
        (("tell", "now"), 0, "tell"),
        (("tell", "rm", "figures"), 0, "removed"),
        (("service", "install", "--dry-run"), 0, "services"),
        (("service", "status"), 0, "promises"),
        (("watch", "--once"), 0, "incoming"),
        (("watch", "add", tmp_path / "packed" / "..", "--new-only"), 4, "error"),
        (("watch", "add", session), 0, "folder"),
        (("watch", "--dry-run"), 0, "watched"),
        (("watch", "ls"), 0, "folders"),
        (("watch", "plan"), 0, "lines"),
        (("watch", "rm", session), 0, "folder"),
        (("serve", "--listen", "host:none"), 2, "error"),
        (("page", tmp_path / "nowhere"), 3, "error"),
        (("peer", "ls"), 0, "peers"),
        (("peer", "invite"), 4, "error"),
        (("key", "rotate", "--recovery-file", tmp_path / "none.txt"), 3, "error"),
        (("rescan",), 0, "folders"),
        (("reindex",), 0, "packages"),
        (("drop", one, "--store", "second", "--reason", "space"), 4, "error"),
        (("delete", one, "--reason", "no use"), 4, "error"),
        (("store", "move", "second", second), 0, "store"),
        (("store", "rm", "second"), 4, "error"),
    ]
    for words, code, key in steps:
        found = said_json(*words, *(() if words[0] == "custody" and words[1] == "verify" else on), code=code)
        assert key in found, (words, found)
    assert "error" in said_json("login", "diadem1:", code=2)
    assert {"plugins", "readers"} & said_json("plugins").keys()
    assert "sessions" in said_json("scan", session, "--no-cache")
    assert said_json("extract", session).keys() >= {"schema", "datasets"}
    tried = {str(words[0]) for words, _, _ in steps} | {
        "init",
        "archive",
        "pack",
        "plugins",
        "scan",
        "extract",
        "login",
    }
    assert tried == {name.partition(" ")[0] for name, _ in commands()} - {"demo", "help"}
    assert said_json("search", "--node", main)["total"] == 2


# -- exit codes and errors -----------------------------------------------------------------------------------------


def test_a_rate_is_written_as_a_size_is(lab: Lab) -> None:
    lab.archived("s")
    for rate in ("1GiB", "0.5 GB/s", "50MB"):
        said("scrub", "--max-rate", rate, "--node", lab.node.path)


def test_exit_codes_and_the_shape_of_errors(lab: Lab, tmp_path: Path) -> None:
    """0 to 5 here; 6 is in the tests that send Ctrl-C."""
    package = lab.archived("s")
    node = lab.node.path
    said("search", "--node", node)
    empty = tmp_path / "empty"
    empty.mkdir()
    damage(lab.path(package, "main") / "data/scan 1.bin")
    assert said_json("scrub", "--node", node, code=1)["damaged"][0]["package"] == package
    assert said_json("verify", package, "--node", node, code=1)["ok"] is False
    cases: list[tuple[int, str, Sequence[object]]] = [
        (2, "usage", ("scrub", "--part", "4/3", "--node", node)),
        *((2, "usage", ("scrub", "--max-rate", rate, "--node", node)) for rate in ("fast", "1.2.3MB", "0MB", "50")),
        (2, "usage", ("search", "voltage>=", "--node", node)),
        (2, "usage", ("archive", "--node", node)),
        (2, "usage", ("drop", package, "--store", "main", "--node", node)),
        (2, "usage", ("status", "--colour", "--node", node)),
        (3, "not-found", ("get", "0123456789abcdef", tmp_path / "x", "--node", node)),
        (3, "not-found", ("scrub", "attic", "--node", node)),
        (3, "not-found", ("archive", tmp_path / "absent", "--now", "--node", node)),
        (3, "not-found", ("jobs", "--stop", "2026", "--node", node)),
        (3, "not-found", ("status", "--node", empty)),
        (4, "refused", ("archive", lab.session("new"), "--node", node)),
        (4, "refused", ("drop", package, "--store", "main", "--reason", "space", "--node", node)),
    ]
    for code, name, words in cases:
        error = said_json(*words, code=code)["error"]
        assert error.keys() == {"code", "message", "where", "next"}, words
        assert error["code"] == name, words
        assert error["message"], words
        assert error["next"], words
        text = said(*words, code=code)
        assert text.startswith("diadem: "), words
        assert "  next:  " in text, words
        assert "Traceback" not in text
    (lab.root / "main").rename(lab.root / "unplugged")
    error = said_json("archive", lab.root / "new", "--now", "--node", node, code=5)["error"]
    assert (error["code"], "store add" in error["next"]) == ("unreachable", True)
    (lab.root / "unplugged").rename(lab.root / "main")


def test_what_is_typed_wrongly_is_guessed() -> None:
    error = said_json("arhcive", code=2)["error"]
    assert "archive" in error["message"]


@pytest.mark.parametrize("command", [names.split()[0] for names in FILES.values()])
def test_each_file_of_commands_starts_by_itself(command: str) -> None:
    """In an interpreter that has imported nothing else: processes of other tests are forked from one that has."""
    line = [sys.executable, "-m", "diadem", command, "--help"]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert command in done.stdout


def test_a_new_interpreter_prints_the_same(lab: Lab) -> None:
    lab.archived("s")
    line = [sys.executable, "-m", "diadem", "search", "--json", "--node", str(lab.node.path)]
    done = subprocess.run(line, capture_output=True, text=True, encoding="utf-8", check=True)
    assert (json.loads(done.stdout), done.stderr) == (said_json("search", "--node", lab.node.path), "")

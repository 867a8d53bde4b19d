"""Files of a node that were lost, emptied or bent: each is named with the command that brings it back, which is run."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import diadem
from diadem.node.config import parse_settings, settings_text
from diadem.node.key_verbs import tls_files
from diadem.trust.keys import PrivateKey
from diadem.trust.tls_key import new_tls_key
from tests import catalogues
from tests.cli.inside import ended, said, said_json
from tests.node.verbs.agreeing import require_agreement
from tests.node.verbs.conftest import Lab
from tests.node.verbs.test_doctor import needs_mount, needs_permissions, small_disk

AGREED = '# Universität\n[copies]\nminimum = 3\n[archive]\nquiet = "1 min"\n'


def shell(command: str) -> None:
    """Run a command that was printed, as a person would who pastes it."""
    subprocess.run(command, shell=True, check=True, capture_output=True)


def agreed(lab: Lab) -> Path:
    """The node's policy, with what the group agreed on; the stores have it."""
    policy = lab.node.path / "policy.toml"
    policy.write_text(AGREED, "utf-8")
    lab.confirm_recovery()
    return policy


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_a_policy_is_read_as_editors_save_it(lab: Lab, encoding: str) -> None:
    bom = "\ufeff" if encoding.startswith("utf-16-") else ""
    (lab.node.path / "policy.toml").write_bytes((bom + AGREED).encode(encoding))
    with lab.reopened() as node:
        assert node.context.policy.copies.minimum == 3


def test_a_policy_in_latin_1_is_told_with_its_line_by_every_command(lab: Lab) -> None:
    package = lab.archived("s")
    policy = agreed(lab)
    policy.write_bytes(AGREED.encode("latin-1") + b"# \xe4\n")
    for command in (["status"], ["scrub"], ["drop", package, "--store", "main", "--reason", "x"]):
        error = said_json(*command, "--node", lab.node.path, code=2)["error"]
        assert error["message"].startswith("line 1: this is not UTF-8 text")
        assert (error["where"], "UTF-8" in error["next"]) == (str(policy), True)
    (check,) = [
        one for one in said_json("doctor", "--node", lab.node.path, code=1)["checks"] if one["name"] == "policy"
    ]
    assert (check["verdict"], "line 1" in check["message"], "UTF-8" in check["next"]) == ("wrong", True, True)
    assert lab.node.search().total == 1
    assert said_json("search", "--node", lab.node.path)["total"] == 1
    assert said_json("verify", package, "--node", lab.node.path)["ok"]
    with lab.reopened() as node:
        node.confirm_recovery()  # it does not take the place of the stores' copies
    policy.unlink()
    with lab.reopened() as node:
        shell(node.status().steps[0].command)
    assert policy.read_text("utf-8") == AGREED


@needs_permissions
@pytest.mark.parametrize("content", [b"", b" \r\n\t", b"\xef\xbb\xbf\n", b"\0" * 900])
def test_an_empty_policy_is_no_policy(lab: Lab, content: bytes) -> None:
    lab.add_second()
    package = lab.archived("s")
    lab.node.stores.add(str(lab.root / "third"), name="third", place="a third disk")
    lab.node.repair()
    policy = agreed(lab)
    policy.write_bytes(content)
    status = said_json("status", "--node", lab.node.path, code=1)
    (finding,) = [one for one in status["findings"] if one["rule"] == "policy.missing"]
    assert "policy.toml is empty" in finding["message"]
    drops = (["drop", package, "--store", name] for name in ("third", "in-place"))
    for verb in (*drops, ["delete", package], ["delete", package, "--lost"]):
        error = said_json(*verb, "--reason", "room", "--node", lab.node.path, code=4)["error"]
        assert ("policy.toml is empty" in error["message"], error["next"]) == (True, finding["command"])
    (check,) = [one for one in lab.node.doctor()["checks"] if one["name"] == "policy"]
    assert (check["verdict"], check["next"]) == ("wrong", finding["command"])
    said("archive", lab.session("another"), "--now", "--node", lab.node.path)  # mirrors what is good alone
    shell(finding["command"])
    assert policy.read_text("utf-8") == AGREED
    assert lab.reopened().context.policy.copies.minimum == 3


def test_what_people_and_later_versions_write_into_the_settings_stays(lab: Lab) -> None:
    path = lab.node.path / "node.toml"
    text = path.read_text("utf-8")
    text = text.replace("[[stores]]", '# the big one, room 1.07\n[[stores]]\nquota = "3 TB"  # of a later version')
    path.write_text("# ask Ute before you touch this\n" + text + '\n[telescope]\nname = "VLT"\n', "utf-8")
    lab.add_second()
    lab.node.users.add("bob")
    (lab.root / "watched").mkdir()
    said("watch", "add", lab.root / "watched", "--node", lab.node.path)
    lab.confirm_recovery()
    lab.node.stores.rm("second")
    said("watch", "rm", lab.root / "watched", "--node", lab.node.path)
    for kept in (path, next((lab.root / "main/.diadem/nodes").glob("*/node.toml"))):
        text = kept.read_text("utf-8")
        for mine in (
            "# ask Ute before",
            "# the big one, room 1.07",
            'quota = "3 TB"  # of a',
            '[telescope]\nname = "VLT"',
        ):
            assert mine in text, text
    with lab.reopened() as node:
        assert [store.name for store in node.stores] == ["main"]
        assert [user.name for user in node.users] == ["alice", "bob"]


def notes(text: str) -> dict[str, str]:
    """What a person wrote directly above each table, by its name."""
    return {name: note for note, name in re.findall(r'(?:# (.*)\n)?\[\[(?:stores|users)\]\]\nname = "(.*)"', text)}


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_what_stands_above_a_store_or_a_user_stays_above_it(lab: Lab, newline: str) -> None:
    path, names = lab.node.path / "node.toml", ["main", "second", "third"]
    for name in names[1:]:
        lab.node.stores.add(str(lab.root / name), name=name)
    lab.node.users.add("bob")
    text = path.read_text("utf-8")
    for name in [*names, "alice", "bob"]:
        text = re.sub(rf'(\[\[\w+\]\]\nname = "{name}")', rf"# of {name}\n\1", text)
    text = text.replace("# of third", "# said of second, below it\n\n# of third")
    path.write_text(text, "utf-8", newline=newline)
    wanted = {name: f"of {name}" for name in [*names, "alice", "bob"]}
    assert notes(path.read_text("utf-8")) == wanted
    with lab.reopened() as node:
        node.stores.add(str(lab.root / "fourth"), name="fourth")
        node.stores.move("third", str(shutil.move(lab.root / "third", lab.root / "elsewhere")))
        node.users.add("carol")
        assert notes(path.read_text("utf-8")) == wanted | {"fourth": "", "carol": ""}
        node.stores.rm("second")
        del wanted["second"]
        assert notes(path.read_text("utf-8")) == wanted | {"fourth": "", "carol": ""}
        assert "\n\n\n" not in path.read_text("utf-8"), "nor do blank lines grow"


def test_stores_that_are_written_in_one_line_are_kept_when_one_is_added(lab: Lab) -> None:
    path = lab.node.path / "node.toml"
    document = tomllib.loads(path.read_text("utf-8"))
    (row,) = document["stores"]
    inline = ", ".join(f"{name} = {json.dumps(value)}" for name, value in row.items())
    others = re.sub(r"(?m)^\[\[stores\]\]\n(?:[^\[].*\n|\n)+", "", path.read_text("utf-8"))
    path.write_text(f"stores = [{{{inline}, quota = 3}}]\n{others}", "utf-8")
    with lab.reopened() as node:
        node.stores.add(str(lab.root / "second"), name="second")
        assert [store.name for store in node.stores] == ["main", "second"]
    kept = tomllib.loads(path.read_text("utf-8"))
    assert kept["stores"][0] == row | {"quota": 3}
    assert {name: kept[name] for name in ("id", "users")} == {name: document[name] for name in ("id", "users")}


@pytest.mark.parametrize(
    ("old", "new", "said_of"),
    [
        ("retired = false", "retired = 1", "retired = 1 is neither true nor false"),
        ('kind = "disk"', 'kind = "usb"', "kind = 'usb' is not a kind of store"),
        ('\nid = "', '\nidentity = "', "has no id"),
        ('url = "', 'url = "here/', "is not a place"),
        ('name = "main"', 'name = "the main one"', "'the main one' cannot be a name"),
        ("[[users]]", "[[persons]]", "has no user any more"),
        ('machine = "', 'machine = ["', "is not TOML"),
        ("created = ", "made = ", "created is missing"),
        ('protection = "file"', "protection = 7", "users.protection = 7 is not a text"),
        ('url = "', 'url = "D:\\archive', "is not TOML"),
        ('url = "', 'url = "D:\\new', "stores.url = 'D:\\new"),  # in double quotes that is a line feed
    ],
)
def test_settings_that_no_node_can_have_are_told_with_their_line_before_a_byte_is_copied(
    lab: Lab, old: str, new: str, said_of: str
) -> None:
    path = lab.node.path / "node.toml"
    good = path.read_text("utf-8")
    head, stores = good.split("[[stores]]")
    bent = f"{head}[[stores]]{stores.replace(old, new, 1)}" if old in stores else good.replace(old, new, 1)
    assert bent != good
    path.write_text(bent, "utf-8")
    error = said_json("archive", lab.session("s"), "--now", "--node", lab.node.path, code=2)["error"]
    assert (said_of in error["message"], error["where"]) == (True, str(path))
    assert ("single quotes" in error["next"]) == ("D:" in new)
    assert "line" in error["message"] or "[[persons]]" in new or "made = " in new
    assert not list((lab.root / "main").glob("[0-9]*"))
    shell(error["next"].rpartition(": ")[2])
    assert path.read_text("utf-8") == good


def test_settings_keep_the_paths_of_windows(lab: Lab) -> None:
    text = (lab.node.path / "node.toml").read_text("utf-8")
    for url in ("D:\\archive", "\\\\nas\\new\\share", 'D:\\Anna\'s "data"'):
        settings = parse_settings(text, where="node.toml")
        there = replace(settings, stores=[replace(settings.stores[0], url=url)])
        assert parse_settings(settings_text(there, text), where="node.toml").stores[0].url == url


def test_texts_that_are_no_paths_may_have_several_lines(lab: Lab) -> None:
    folder = lab.root / "instrument"
    folder.mkdir()
    lab.node.watched.add(folder, set=["session.description=first line\nsecond\tline"])
    with lab.reopened() as node:
        assert node.context.settings.watched[0].set == ("session.description=first line\nsecond\tline",)


@needs_permissions
@pytest.mark.parametrize("content", ["", "\0" * 500, "format = "])
def test_settings_that_are_empty_or_cut_are_put_back(lab: Lab, content: str) -> None:
    lab.archived("s")
    path = lab.node.path / "node.toml"
    before = path.read_text("utf-8")
    path.write_text(content, "utf-8")
    for command in ("status", "doctor", "search"):
        error = said_json(command, "--node", lab.node.path, code=2)["error"]
        assert error["where"] == str(path)
    shell(error["next"].rpartition(": ")[2])
    assert path.read_text("utf-8") == before
    said("search", "--node", lab.node.path)


def told(command: str, folder: Path) -> None:
    """Run a command of ours that was printed."""
    words = shlex.split(command)
    assert words[0] == "diadem"
    said(*words[1:])
    assert "--recover" not in words or str(folder) in words


HURT: dict[str, Callable[[Path], object]] = {
    "deleted": lambda path: path.unlink(),
    "emptied": lambda path: path.write_bytes(b""),
    "not ASCII": lambda path: path.write_bytes(b"\xff\xfe\x80" * 40),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:70]),
    "another": lambda path: path.write_bytes(PrivateKey.generate().to_pem(None)),
}


@pytest.mark.parametrize(
    ("name", "how"),
    [
        *(("log.pem", how) for how in HURT),
        *(("online.pem", how) for how in ("deleted", "not ASCII", "another")),
        *(("users/alice.pem", how) for how in ("deleted", "cut", "another")),
        *(("age.txt", how) for how in ("deleted", "not ASCII")),
    ],
)
@pytest.mark.sweep(5)
def test_a_damaged_key_is_named_and_brought_back(lab: Lab, name: str, how: str) -> None:
    lab.archived("s")
    path = lab.node.path / "keys" / name
    good = path.read_bytes()
    HURT[how](path)
    said("search", "--node", lab.node.path)
    session, store = lab.session("t"), lab.root / "main"
    before = sorted(store.rglob("*.bin"))
    if name != "age.txt":
        error = said_json("archive", session, "--now", "--node", lab.node.path, code=KEY_CODES[how])["error"]
        assert (Path(error["where"]), sorted(store.rglob("*.bin"))) == (path, before)
    status = said_json("status", "--node", lab.node.path, code=1)
    (finding,) = [one for one in status["findings"] if one["rule"] == "keys.damaged"]
    assert (Path(name).name in finding["message"], finding["severity"]) == (True, "error")
    checks = said_json("doctor", "--node", lab.node.path, code=1)["checks"]
    (check,) = [one for one in checks if (one["name"], one["verdict"]) == ("keys", "wrong")]
    assert (name in check["message"], check["next"]) == (True, finding["command"])
    told(check["next"], lab.node.path)
    assert path.read_bytes() == good
    said("archive", session, "--now", "--node", lab.node.path)
    with lab.reopened() as node:
        assert (node.status().holds["keys.damaged"], node.context.ledger.epoch) == (True, 1)


KEY_CODES = {"deleted": 3, "emptied": 2, "not ASCII": 2, "cut": 2, "another": 1}


def _overwritten(path: Path) -> None:
    path.write_bytes(b"\0" * path.stat().st_size)


def _without_folder(path: Path) -> None:
    shutil.rmtree(path.parent)


@pytest.mark.parametrize("how", [Path.unlink, _overwritten, _without_folder])
def test_a_lost_log_is_made_anew_in_its_place(lab: Lab, how: Callable[[Path], None]) -> None:
    package = lab.archived("s")
    lab.node.close()
    path = lab.node.path / "log/log.sqlite"
    for side in ("-wal", "-shm"):
        path.with_name(path.name + side).unlink(missing_ok=True)
    how(path)
    for command in ("status", "doctor", "archive"):
        words = [lab.session("t"), "--now"] if command == "archive" else []
        error = said_json(command, *words, "--node", lab.node.path, code=1 if how is _overwritten else 3)["error"]
        assert "log" in error["message"]
    told(error["next"][error["next"].index("diadem init") :], lab.node.path)
    node = lab.reopened()
    assert (node.context.ledger.epoch, node.get(package).id) == (2, package)
    assert node.archive(lab.root / "t", now=True).package.id
    assert node.context.ledger.check() == ()
    require_agreement(node)
    aside = list(lab.node.path.glob("log-*"))
    assert len(aside) == (0 if how is _without_folder else 1)  # kept for inspection
    told(error["next"][error["next"].index("diadem init") :], lab.node.path)  # once more: nothing is left to be done
    assert lab.reopened().context.ledger.epoch == 2


def recovery(lab: Lab, folder: Path) -> tuple[object, ...]:
    """The command that brings back what a folder lacks."""
    return ("init", folder, "--recover", lab.root / "main", "--recovery-file", f"{lab.node.path}-recovery.txt")


def test_a_whole_node_is_left_as_it_is_by_a_recovery(lab: Lab) -> None:
    lab.archived("s")
    files = tls_files(lab.node.context)
    before = {path: path.read_bytes() for path in (lab.node.path / "keys").rglob("*.*")}
    text = said(
        "init", lab.node.path, "--recover", lab.root / "main", "--recovery-file", f"{lab.node.path}-recovery.txt"
    )
    assert "nothing is missing" in text
    assert {path: path.read_bytes() for path in (lab.node.path / "keys").rglob("*.*")} == before
    assert lab.reopened().context.ledger.epoch == 1
    files.key.write_bytes(b"-----BEGIN")
    assert "keys/tls.pem" in said(*recovery(lab, lab.node.path))
    assert files.key.read_bytes() == before[files.key]


def test_a_listeners_key_that_was_made_anew_is_left_as_it_is_by_a_recovery(lab: Lab) -> None:
    key = tls_files(lab.node.context).key
    key.unlink()
    lab.node.close()
    key.write_bytes(new_tls_key())
    before = key.read_bytes()
    assert "nothing is missing" in said(*recovery(lab, lab.node.path))
    assert key.read_bytes() == before


@catalogues.in_a_file
def test_everything_but_the_stores_is_brought_back_in_the_nodes_own_folder(lab: Lab) -> None:
    package = lab.archived("s")
    lab.node.close()
    for name in ("node.toml", "policy.toml", "catalogue.sqlite"):
        (lab.node.path / name).unlink()
    (lab.node.path / "keys/online.pem").unlink()
    (lab.node.path / "keys/age.txt").write_bytes(b"")
    error = said_json("status", "--node", lab.node.path, code=3)["error"]
    assert "node.toml" in error["message"]
    said(*recovery(lab, lab.node.path))
    node = lab.reopened()
    assert (node.context.ledger.epoch, node.get(package).id) == (1, package)
    assert node.doctor()["ok"]


def test_another_nodes_folder_is_not_recovered_into(lab: Lab, tmp_path: Path) -> None:
    diadem.Node.create(tmp_path / "other", name="other", user="eve", store=str(tmp_path / "o")).close()
    command = (
        "init",
        tmp_path / "other",
        "--recover",
        lab.root / "main",
        "--recovery-file",
        f"{lab.node.path}-recovery.txt",
    )
    for name in ("node.toml", "log/log.sqlite"):
        assert said_json(*command, code=4)["error"]["next"]
        (tmp_path / "other" / name).unlink()
    assert said_json(*command, code=4)["error"]["next"]


@needs_permissions
@pytest.mark.parametrize("name", ["network.sqlite", "peers.sqlite"])
@pytest.mark.parametrize("how", ["overwritten", "header"])
def test_a_damaged_book_of_the_network_hides_no_copy(lab: Lab, name: str, how: str) -> None:
    lab.archived("s")
    lab.node.close()
    for command in (["peer", "ls"], ["transfer", "ls"]):
        said(*command, "--node", lab.node.path)
    path = lab.node.path / "network" / name
    path.write_bytes(b"\xa5" * 4096 if how == "overwritten" else path.read_bytes()[:100])
    status = said_json("status", "--node", lab.node.path, code=1)
    assert status["totals"]["packages"] == 1
    (fault,) = status["faults"]
    assert (fault["where"], "NOT SHOWN" in said("status", "--node", lab.node.path, code=1)) == (str(path), True)
    (check,) = [one for one in lab.reopened().doctor()["checks"] if one["name"] == "network"]
    assert (check["verdict"], fault["next"].endswith(check["next"])) == ("wrong", True)
    shell(fault["next"].partition(": ")[2])
    assert said_json("status", "--node", lab.node.path, code=1)["faults"] == []
    assert path.is_file()
    assert path.with_name(f"{name}.damaged").is_file()


@needs_mount
def test_a_node_on_a_disk_that_cannot_be_written_names_the_store_that_can_be_read(tmp_path: Path) -> None:
    with small_disk(tmp_path / "small") as small:
        with diadem.Node.create(small / "node", name="n", user="u", store=str(tmp_path / "store")) as node:
            (tmp_path / "s").mkdir()
            (tmp_path / "s/f.bin").write_bytes(b"1234")
            package = str(node.archive(tmp_path / "s", now=True).package.id)
        subprocess.run(["mount", "-o", "remount,ro", str(small)], check=True)
        for command in (["search"], ["status"], ["get", package, tmp_path / "out"], ["verify", package]):
            code, text = ended(*command, "--node", small / "node", "--json")
            if code in (0, 1) and "error" not in json.loads(text):
                continue
            error = json.loads(text)["error"]
            assert (code, error["next"].endswith(f"--node {tmp_path / 'store'}")) == (4, True)
        said("search", "--node", tmp_path / "store")


@needs_mount
def test_on_a_full_disk_of_the_node_what_only_reads_goes_on(tmp_path: Path) -> None:
    with small_disk(tmp_path / "small") as small:
        with diadem.Node.create(small / "node", name="n", user="u", store=str(tmp_path / "store")) as node:
            (tmp_path / "s").mkdir()
            (tmp_path / "s/f.bin").write_bytes(b"1234")
            package = str(node.archive(tmp_path / "s", now=True).package.id)
        subprocess.run(["dd", "if=/dev/zero", f"of={small / 'fill'}", "bs=4k"], check=False, capture_output=True)
        for command in (["verify", package], ["search"]):
            code, text = ended(*command, "--node", small / "node", "--json")
            error = json.loads(text).get("error")
            assert error is None or (code, error["next"].endswith(f"--node {tmp_path / 'store'}")) == (4, True), text


def test_keys_that_a_later_version_adds_stand_in_their_own_tables(lab: Lab) -> None:
    """Not below the comment of the next one, and not indented as that is."""
    lab.add_second()
    lab.node.close()
    path = lab.node.path / "node.toml"
    text = re.sub(r"(?m)^(seen|retired|full_name) = .*\n", "", path.read_text("utf-8"))
    parts = text.split("[[stores]]")
    parts[1] = parts[1].rstrip() + "\n\n# the one in the cellar\n"
    text = "[[stores]]".join(parts).replace("[[users]]", "# Alice's account, ask her\n[[users]]")
    path.write_text(text, "utf-8")
    with lab.reopened() as node:
        node.users.add("bob")
    lines = path.read_text("utf-8").splitlines()
    assert lines[lines.index("# the one in the cellar") + 1] == "[[stores]]"
    assert lines[lines.index("# Alice's account, ask her") + 1] == "[[users]]"
    assert [line for line in lines if line.startswith(" ")] == []
    assert sum(line.startswith("retired = ") for line in lines) == 2

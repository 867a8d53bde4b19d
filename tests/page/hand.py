"""What a person does with the page, without a browser: read, fill in forms, wait for what was begun."""

from __future__ import annotations

import contextlib
import html
import http.client
import os
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import quote, urlsplit

from tests.page.conftest import Served, ask, enter

#: Between the parts of an upload.
BOUNDARY = "----of-this-test"


def words(content: bytes) -> str:
    """The text of a page."""
    body = content.decode().partition("<main")[2]
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", body)))


@dataclass(frozen=True)
class Hand:
    """Somebody whom a page has let in; `start` is a page with a form, by default that of the newest session."""

    served: Served
    cookie: str
    start: str = ""

    def get(self, path: str) -> tuple[int, bytes]:
        """Status and content of a page."""
        status, _, content = ask(self.served, path, Cookie=self.cookie)
        return status, content

    def read(self, path: str) -> str:
        """The text of a page that is there."""
        status, content = self.get(path)
        assert status == 200, words(content)
        return words(content)

    @cached_property
    def form_word(self) -> str:
        """What the forms of this run hold."""
        start = self.start or self.link("/", "/session/")
        found = re.search(rb'name="form_word" value="(\w+)"', self.get(start)[1])
        assert found is not None
        return found[1].decode()

    def post(self, path: str, **fields: str) -> tuple[int, str, str]:
        """Send a form: status, where it leads, and the text of what came."""
        form = {"form_word": self.form_word, **{name.rstrip("_"): value for name, value in fields.items()}}
        status, headers, content = ask(self.served, path, "POST", form, Cookie=self.cookie, Origin=self.served.origin)
        return status, headers.get("location", ""), words(content)

    def done(self, path: str, **fields: str) -> str:
        """Send a form, and read where it leads: of a job, when it has ended."""
        status, place, text = self.post(path, **fields)
        assert status == 303, text
        return self.ended(place) if place.startswith("/jobs/") else self.read(place)

    def ended(self, job: str) -> str:
        """The page of a job when it has ended."""
        for _ in range(300):
            status, content = self.get(job)
            assert status == 200
            if b'id="job"' not in content:
                return words(content)
            time.sleep(0.1)
        raise AssertionError(words(content))

    def link(self, path: str, beginning: str) -> str:
        """The address of a page's first link that begins so."""
        found = re.search(rf'href="({re.escape(beginning)}[^"]*)"'.encode(), self.get(path)[1])
        assert found is not None, self.read(path)
        return html.unescape(found[1].decode())


class Page:
    """A page in a process of its own, and a browser without windows that was let in."""

    def __init__(self, served: Served) -> None:
        self.served, self.cookie = served, enter(served)
        self.word = ""
        self.word = self._word(self.get("/take-in"))

    @staticmethod
    def _word(text: str) -> str:
        found = re.search(r'name="form_word" value="(\w+)"', text)
        return found[1] if found else ""

    def get(self, path: str, status: int = 200) -> str:
        found, _, text = ask(self.served, path, Cookie=self.cookie)
        assert found == status, text.decode()
        return text.decode()

    def post(self, path: str, status: int = 303, /, **fields: str) -> str:
        """Where a form leads, or what its answer says."""
        found, headers, text = ask(
            self.served,
            path,
            "POST",
            fields | {"form_word": self.word},
            Cookie=self.cookie,
            Origin=self.served.origin,
        )
        assert found == status, text.decode()
        return headers.get("location") or text.decode()

    def ended(self, job: str, seconds: float = 60) -> str:
        """What the page of a job says when it has ended."""
        end = time.monotonic() + seconds
        while 'id="job"' in (text := self.get(job)):
            assert time.monotonic() < end, text
            time.sleep(0.1)
        return text

    def looked(self, folder: Path) -> str:
        """The page on which stands what would be made of a folder."""
        return self.proposal(self.post(f"/take-in/look?at={quote(os.fsencode(folder))}"))

    def proposal(self, place: str) -> str:
        """The page of what was looked at, whether that has ended or is a job still."""
        if place.startswith("/take-in/"):
            return place
        found = re.search(r"/take-in/[0-9a-f]{12}", text := self.ended(place))
        assert found, text
        return found[0]

    def send(
        self, files: Sequence[tuple[bytes, bytes]], *, word: str | None = None, **headers: str
    ) -> tuple[int, str, str]:
        """Upload as a browser does, names as they are: status, where it leads, and what it says."""
        head = {"Cookie": self.cookie, "Origin": self.served.origin} | headers
        status, found, text = upload(self.served, body(files, self.word if word is None else word), head)
        return status, found.get("location", ""), text.decode("utf-8", "replace")


def body(files: Sequence[tuple[bytes, bytes]], word: str) -> bytes:
    parts = [b'Content-Disposition: form-data; name="form_word"\r\n\r\n' + word.encode()]
    parts += [
        b'Content-Disposition: form-data; name="files"; filename="%s"\r\n'
        b"Content-Type: application/octet-stream\r\n\r\n%s" % pair
        for pair in files
    ]
    line = f"--{BOUNDARY}".encode()
    return b"".join(line + b"\r\n" + part + b"\r\n" for part in parts) + line + b"--\r\n"


def upload(
    served: Served, content: bytes | Iterator[bytes], headers: dict[str, str]
) -> tuple[int, dict[str, str], bytes]:
    where = urlsplit(served.origin)
    line = http.client.HTTPConnection(where.hostname or "", where.port or 0, timeout=60)
    said = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"} | headers
    line.request("POST", "/take-in/upload", content, said)
    answer = line.getresponse()
    with contextlib.closing(line):
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()

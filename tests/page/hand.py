"""What a person does with the page, without a browser: read, fill in forms, wait for what was begun."""

from __future__ import annotations

import html
import re
import time
from dataclasses import dataclass
from functools import cached_property

from tests.page.conftest import Served, ask


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

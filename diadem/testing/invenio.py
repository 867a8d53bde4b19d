"""A repository for tests: a real HTTP server on this machine that answers as InvenioRDM's REST reference says.

It has what a deposit needs of "Drafts and records" and "Multipart file transfer" (InvenioRDM 13): drafts, reserved
DOIs, files whole and in pieces, publication, tokens, limits. It fails on purpose. It has no versions, communities,
reviews or search, of vocabularies only the list of organisations, and what a real repository does beside its reference
it cannot know.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import unquote, urlsplit

_BLOCK: Final = 1 << 16
_REQUIRED: Final = ("resource_type", "creators", "title", "publication_date", "publisher")
#: Requests for a file's entry after which the digest of one in pieces is known: it is computed beside the answers.
_DIGEST_AFTER: Final = 2


@dataclass(slots=True)
class Fault:
    """What goes wrong on purpose, with requests whose method and path match.

    Attributes
    ----------
    what : str
        ``cut``: the line ends after so many bytes of the body. ``lose``: it is done, and the line ends without the
        answer. ``status``: it is not done, and answered with this status. ``change``: a byte is kept wrong.
        ``keep``: it is not kept; of a whole file that is told, with a status of success. ``slow``: each 64 KiB takes
        so many seconds.
    match : str
        A regular expression for ``METHOD /path``.
    value : float
        Bytes, status or seconds.
    times : int
        How often; 0 when it is used up.
    """

    what: str
    match: str
    value: float = 0
    times: int = 1


@dataclass(slots=True)
class Asked:
    """One request that came: method, path, status of the answer (0 without one) and bytes of the body that arrived."""

    method: str
    path: str
    status: int = 0
    bytes: int = 0


@dataclass(slots=True)
class _Kept:
    """A file of a draft."""

    key: str
    folder: Path
    size: int | None = None
    parts: int = 0
    part_size: int = 0
    committed: bool = False
    polled: int = 0

    @property
    def path(self) -> Path:
        return self.folder / "content"

    @property
    def stored(self) -> int:
        """Bytes of its content, 0 where there is none."""
        return self.path.stat().st_size if self.path.exists() else 0


@dataclass(slots=True)
class _Record:
    """A draft, or what became of it."""

    id: str
    metadata: dict[str, Any]
    doi: str = ""
    published: bool = False
    files: dict[str, _Kept] = field(default_factory=dict)


class _Stop(Exception):
    """The answer."""

    def __init__(self, status: int, body: Any = None, headers: Mapping[str, str] = {}) -> None:
        super().__init__(status)
        self.status, self.body, self.headers = status, body, headers


class InvenioService:
    """The repository, from entering to leaving the context.

    Parameters
    ----------
    folder : Path
        Where it keeps files.
    token : str
        The one that it accepts.
    multipart : bool
        Whether it takes files in pieces.
    quota : int, optional
        Bytes that a record may have.
    prefix : str
        Of its DOIs.
    affiliations : mapping of str to str
        Its list of organisations: id, as ROR has it, and name. It takes no other id.

    Attributes
    ----------
    url : str
        Its address.
    asked : list of Asked
        What came, in order.
    leaked : list of str
        Addresses of pieces that were asked with a token, which they must not be.
    """

    def __init__(
        self,
        folder: Path,
        *,
        token: str,
        multipart: bool = True,
        quota: int | None = None,
        prefix: str = "10.5072",
        affiliations: Mapping[str, str] = {},
    ) -> None:
        self.affiliations = affiliations
        self.folder, self.token, self.multipart, self.quota, self.prefix = folder, token, multipart, quota, prefix
        self.asked: list[Asked] = []
        self.leaked: list[str] = []
        self._records: dict[str, _Record] = {}
        self._faults: list[Fault] = []
        self._words: list[tuple[str, bytes]] = []
        self._lock = threading.RLock()
        self._servers = [ThreadingHTTPServer(("127.0.0.1", 0), self._handler(pieces)) for pieces in (False, True)]
        self.url, self._pieces = (f"http://127.0.0.1:{one.server_address[1]}" for one in self._servers)

    def __enter__(self) -> Self:
        for server in self._servers:
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def fail(self, what: str, match: str, value: float = 0, times: int = 1) -> Fault:
        """Let something go wrong; see `Fault`."""
        fault = Fault(what, match, value, times)
        with self._lock:
            self._faults.append(fault)
        return fault

    def mend(self) -> None:
        """Let nothing go wrong any more."""
        with self._lock:
            self._faults.clear()

    def records(self) -> list[dict[str, Any]]:
        """Every draft and record, as it would be answered."""
        with self._lock:
            return [self._document(one) for one in self._records.values()]

    def content(self, record: str) -> dict[str, bytes]:
        """The files of a record, by name, of those that are whole."""
        files = self._records[record].files.values()
        return {one.key: one.path.read_bytes() for one in files if one.committed}

    def edit(self, record: str, **metadata: Any) -> None:
        """Change a description, as a person does on its page."""
        with self._lock:
            self._records[record].metadata |= metadata

    def publish(self, record: str) -> None:
        """Publish a draft as it is, whole or not: a person has thrown out what was not."""
        with self._lock:
            found = self._records[record]
            found.files = {key: one for key, one in found.files.items() if one.committed}
            found.published = True

    def remove(self, record: str) -> None:
        """Remove a draft, as a person does on its page."""
        with self._lock:
            del self._records[record]

    def say(self, match: str, raw: bytes) -> None:
        """Answer requests to paths that match with these bytes, whatever was done."""
        self._words = [(match, raw)]

    # -- what it answers -------------------------------------------------------------------------------------------

    def _handler(self, pieces: bool) -> type[BaseHTTPRequestHandler]:
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 30

            def log_message(self, *_: object) -> None:
                """Say nothing."""

            def do_GET(self) -> None:
                service._serve(self, pieces)

            do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815

        return Handler

    def _fault(self, what: str, asked: Asked) -> Fault | None:
        with self._lock:
            for one in self._faults:
                if one.what == what and one.times and re.search(one.match, f"{asked.method} {asked.path}"):
                    one.times -= 1
                    return one
        return None

    def _serve(self, request: BaseHTTPRequestHandler, pieces: bool) -> None:
        asked = Asked(request.command, unquote(urlsplit(request.path).path))
        with self._lock:
            self.asked.append(asked)
        request.close_connection = True
        body = self.folder / f"body-{id(request)}"
        try:
            self._receive(request, asked, body)
            with self._lock:
                self._answer(request, asked, body, pieces)
        except _Stop as answer:
            if not self._fault("lose", asked):
                asked.status = answer.status
                self._write(request, answer)
        except ConnectionError:
            with self._lock:
                self._forget_cut(asked)
        finally:
            body.unlink(missing_ok=True)

    def _forget_cut(self, asked: Asked) -> None:
        """A whole file whose upload is seen to be cut is forgotten; pieces are not."""
        if match := re.fullmatch(r"/api/records/([^/]+)/draft/files/(.+)/content", asked.path):
            self._records[match[1]].files.pop(match[2], None)

    def _receive(self, request: BaseHTTPRequestHandler, asked: Asked, body: Path) -> None:
        """Take the body into a file. Raises `ConnectionError` where the line ended before, by itself or on purpose."""
        left = int(request.headers.get("Content-Length") or 0)
        cut = self._fault("cut", asked) if left else None
        slow = self._fault("slow", asked) if left else None
        with body.open("wb") as stream:
            while left:
                block = request.rfile.read(min(_BLOCK, left))
                if not block:
                    raise ConnectionError
                stream.write(block)
                left -= len(block)
                asked.bytes += len(block)
                if cut and asked.bytes >= cut.value:
                    raise ConnectionError
                if slow:
                    time.sleep(slow.value)

    def _write(self, request: BaseHTTPRequestHandler, answer: _Stop) -> None:
        raw = b"" if answer.body is None else json.dumps(answer.body).encode()
        path = unquote(urlsplit(request.path).path)
        raw = next((words for match, words in self._words if re.search(match, path)), raw)
        request.send_response(answer.status)
        for name, value in {"Content-Type": "application/json", **answer.headers}.items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(raw)))
        request.end_headers()
        request.wfile.write(raw)

    def _answer(self, request: BaseHTTPRequestHandler, asked: Asked, body: Path, pieces: bool) -> None:
        """Do what is asked; always raises the answer."""
        if fault := self._fault("status", asked):
            raise _Stop(int(fault.value), {"message": "failing on purpose"}, {"Retry-After": "0"})
        said = request.headers.get("Authorization", "")
        if pieces:
            if said:
                self.leaked.append(asked.path)
                raise _Stop(400, {"message": "only one way to authenticate is allowed"})
            self._take_piece(asked, body)
        if not said:
            raise _Stop(403, {"status": 403, "message": "Permission denied."})
        if said != f"Bearer {self.token}":
            raise _Stop(403, {"status": 403, "message": "Permission denied."})
        if match := re.fullmatch(r"/api/affiliations/([^/]+)", asked.path):
            self._show_affiliation(match[1])
        path = asked.path.removeprefix("/api/records")
        if path == asked.path:
            raise _Stop(404, {"status": 404, "message": "no such page"})
        if not path and asked.method == "POST":
            record = _Record(f"r{len(self._records) + 1:04}-abcde", self._json(body).get("metadata") or {})
            self._records[record.id] = record
            raise _Stop(201, self._document(record))
        match = re.fullmatch(r"/([^/]+)(/draft)?(.*)", path)
        found = self._records.get(match[1]) if match else None
        if match is None or found is None or (match[2] and found.published) or not (match[2] or found.published):
            raise _Stop(404, {"status": 404, "message": "The persistent identifier does not exist."})
        self._of_record(found, asked.method, match[3], body, asked)
        raise _Stop(405, {"status": 405, "message": "The method is not allowed for the requested URL."})

    def _of_record(self, record: _Record, method: str, path: str, body: Path, asked: Asked) -> None:
        match method, path:
            case "GET", "":
                raise _Stop(200, self._document(record))
            case "PUT", "":
                given = self._json(body)
                record.metadata = self._known(given.get("metadata") or {})
                record.doi = (given.get("pids") or {}).get("doi", {}).get("identifier", record.doi)
                raise _Stop(200, self._document(record))
            case "DELETE", "":
                del self._records[record.id]
                raise _Stop(204)
            case "POST", "/pids/doi":
                if record.doi:
                    raise _Stop(400, {"status": 400, "message": "A PID already exists for type doi"})
                record.doi = f"{self.prefix}/invenio.{record.id}"
                raise _Stop(201, self._document(record))
            case "POST", "/actions/publish":
                waiting = [one.key for one in record.files.values() if not one.committed]
                faults = self._faults_of(record)
                if waiting or faults or not record.files:
                    raise _Stop(400, {"status": 400, "message": f"not complete: {waiting}", "errors": faults})
                record.published = True
                raise _Stop(202, self._document(record))
            case "GET", "/files":
                raise _Stop(200, {"enabled": True, "entries": [self._entry(record, o) for o in record.files.values()]})
            case "POST", "/files":
                self._announce(record, self._json(body))
        if match_file := re.fullmatch(r"/files/(.+?)(/content|/commit)?", path):
            self._of_file(record, method, match_file[1], match_file[2] or "", body, asked)

    def _show_affiliation(self, name: str) -> None:
        if name not in self.affiliations:
            raise _Stop(404, {"status": 404, "message": "The persistent identifier does not exist."})
        raise _Stop(200, {"id": name, "name": self.affiliations[name]})

    def _known(self, metadata: dict[str, Any]) -> dict[str, Any]:
        """A description whose organisations are in the list, under the names that they have there."""
        for one in metadata.get("creators", ()):
            for place in one.get("affiliations", ()):
                if not place.keys() & {"id", "name"} or place.keys() - {"id", "name"}:
                    raise _Stop(400, {"status": 400, "message": "An existing id or a free text name must be present."})
                if "id" in place:
                    if place["id"] not in self.affiliations:
                        raise _Stop(400, {"status": 400, "message": f"Invalid value {place['id']}."})
                    place["name"] = self.affiliations[place["id"]]
        return metadata

    def _announce(self, record: _Record, wanted: Any) -> None:
        """Begin files."""
        for one in wanted:
            transfer = one.get("transfer") or {"type": "L"}
            if one["key"] in record.files:
                raise _Stop(400, {"status": 400, "message": f"File with key {one['key']} already exists."})
            if len(record.files) >= 100:
                raise _Stop(400, {"status": 400, "message": "Uploading selected files will result in 101 files."})
            if transfer["type"] not in ("L", "M") or (transfer["type"] == "M" and not self.multipart):
                raise _Stop(400, {"status": 400, "message": f"Transfer type {transfer['type']} is not supported."})
            folder = self.folder / record.id / hashlib.sha256(one["key"].encode()).hexdigest()[:16]
            folder.mkdir(parents=True, exist_ok=True)
            file = _Kept(one["key"], folder, one.get("size"))
            file.path.unlink(missing_ok=True)
            for old in folder.glob("part-*"):
                old.unlink()
            file.parts, file.part_size = transfer.get("parts", 0), transfer.get("part_size", 0)
            if self.quota is not None and sum(f.size or 0 for f in (*record.files.values(), file)) > self.quota:
                raise _Stop(400, {"status": 400, "message": "Maximum size of the bucket exceeded."})
            record.files[file.key] = file
        entries = [self._entry(record, record.files[one["key"]]) for one in wanted]
        raise _Stop(201, {"enabled": True, "entries": entries})

    def _of_file(self, record: _Record, method: str, key: str, more: str, body: Path, asked: Asked) -> None:
        file = record.files.get(key)
        if file is None:
            raise _Stop(404, {"status": 404, "message": f"Record '{record.id}' has no file '{key}'."})
        match method, more:
            case "GET", "":
                file.polled += file.committed
                raise _Stop(200, self._entry(record, file))
            case "DELETE", "":
                del record.files[key]
                raise _Stop(204)
            case "PUT", "/content":
                if file.parts:
                    raise _Stop(400, {"status": 400, "message": "It is uploaded in parts."})
                if self._fault("keep", asked):
                    del record.files[key]
                    raise _Stop(200, {"errors": [{"field": "content", "messages": ["failing on purpose"]}]})
                self._keep(body, file.path, asked)
                raise _Stop(200, self._entry(record, file))
            case "POST", "/commit":
                if file.parts:
                    self._join(file)
                if file.committed or not file.path.exists() or (file.size is not None and file.stored != file.size):
                    raise _Stop(400, {"status": 400, "message": f"File upload transfer is not completed: {key}"})
                file.committed = True
                raise _Stop(200, self._entry(record, file))

    def _take_piece(self, asked: Asked, body: Path) -> None:
        _, record, folder, number = asked.path.split("/")
        files = self._records[record].files.values() if record in self._records else ()
        file = next((one for one in files if one.folder.name == folder), None)
        if asked.method != "PUT" or file is None or file.committed or not 1 <= int(number) <= file.parts:
            raise _Stop(404, {"message": "no such piece"})
        last = (file.size or 0) - file.part_size * (file.parts - 1)
        if asked.bytes != (last if int(number) == file.parts else file.part_size):
            raise _Stop(400, {"message": "the piece has another size"})
        if not self._fault("keep", asked):
            self._keep(body, file.folder / f"part-{int(number)}", asked)
        raise _Stop(200)

    def _keep(self, body: Path, path: Path, asked: Asked) -> None:
        body.replace(path)
        if path.stat().st_size and self._fault("change", asked):
            with path.open("r+b") as stream:
                first = stream.read(1)[0]
                stream.seek(0)
                stream.write(bytes([first ^ 1]))

    def _join(self, file: _Kept) -> None:
        parts = [file.folder / f"part-{number + 1}" for number in range(file.parts)]
        if all(one.exists() for one in parts):
            with file.path.open("wb") as stream:
                for one in parts:
                    stream.write(one.read_bytes())

    # -- what it shows ---------------------------------------------------------------------------------------------

    def _json(self, body: Path) -> Any:
        try:
            return json.loads(body.read_bytes() or b"{}")
        except ValueError:
            raise _Stop(400, {"status": 400, "message": "Unable to decode JSON data in request body."}) from None

    def _faults_of(self, record: _Record) -> list[dict[str, Any]]:
        missing = [name for name in _REQUIRED if not record.metadata.get(name)]
        found = [{"field": f"metadata.{name}", "messages": ["Missing data for required field."]} for name in missing]
        for number, one in enumerate(record.metadata.get("creators", ())):
            person = one.get("person_or_org", {})
            if person.get("type") == "personal" and not person.get("family_name"):
                place = f"metadata.creators.{number}.person_or_org.family_name"
                found.append({"field": place, "messages": ["Family name must be filled."]})
        return found

    def _document(self, record: _Record) -> dict[str, Any]:
        page = "records" if record.published else "uploads"
        return {
            "id": record.id,
            "is_published": record.published,
            "metadata": record.metadata,
            "files": {"enabled": True},
            "pids": {"doi": {"identifier": record.doi, "provider": "datacite"}} if record.doi else {},
            "links": {"self_html": f"{self.url}/{page}/{record.id}"},
            **({} if record.published else {"errors": self._faults_of(record)}),
        }

    def _entry(self, record: _Record, file: _Kept) -> dict[str, Any]:
        known = file.committed and (not file.parts or file.polled > _DIGEST_AFTER)
        checksum = f"multipart:0-{file.parts}-{file.part_size}" if file.parts and file.polled else None
        if known:
            checksum = f"md5:{hashlib.md5(file.path.read_bytes(), usedforsecurity=False).hexdigest()}"
        place = f"{self._pieces}/{record.id}/{file.folder.name}"
        parts = [{"part": number + 1, "url": f"{place}/{number + 1}"} for number in range(file.parts)]
        return {
            "key": file.key,
            "status": "completed" if file.committed else "pending",
            "size": file.stored if file.committed else file.size,
            "checksum": checksum,
            "transfer": {"type": "M" if file.parts and not file.committed else "L"},
            "links": {"parts": parts} if file.parts and not file.committed else {},
        }

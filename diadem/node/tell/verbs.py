"""Who is told what changes: added, taken away, tried; and told, once for each change, whoever looks and how often.

::

    <node>/told.json        what each was told, what waits for them, and when it is tried again
    <node>/locks/tell.lock  held by who looks, notes and sends

First what is new is noted as waiting, then it is sent, then noted as sent: who is killed in between loses nothing, and
at worst sends one letter again under the same id.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from diadem.errors import DiademError, NotFound, Unreachable, UsageError, line_of
from diadem.model.display import Display, DisplayList, FixedRows
from diadem.model.peer_checks import NAME
from diadem.model.times import read_time, time_text
from diadem.node.config import FILE, NodeSettings, TellSettings, read_settings
from diadem.node.context import Context
from diadem.node.locks import held_if_free
from diadem.node.mirrors import mirror_settings
from diadem.node.tell.figures import FIGURES, Row, figures, prometheus_text
from diadem.node.tell.news import TOPICS, Letter, Look, Matter, Told, has_changed, letter, look_at, note_news
from diadem.node.tell.post import NotAll, checked, send, within, write_figures
from diadem.policy.case import WatchState
from diadem.store.whole import write_whole

#: What each was told: beside `node.toml`, of this machine alone.
BOOK: Final = "told.json"
FORMAT: Final = "diadem-told/1"
LOCK: Final = "tell"
_LOG: Final = logging.getLogger("diadem.node.tell")
#: Letters that one gets in an hour at most; what happens beyond waits for the next.
LETTERS: Final = 6
_HOUR: Final = timedelta(hours=1)
#: Seconds between two looks of a process that runs for long, and for how many times as long as a look took it rests.
EVERY: Final = 60.0
_RESTS: Final = 20
#: Seconds that a look may take before it is told that a store hangs.
_LOOK: Final = 120.0
#: Seconds between the two looks that something new is seen in before it is told.
_AGAIN: Final = 3.0
#: Seconds that a process which ends gives to what is still to be told.
_FAREWELL: Final = 20.0


@dataclass(frozen=True, slots=True)
class Telling(Display):
    """One who is told, and how that goes.

    Attributes
    ----------
    name, kind, url : str
        What it is called; ``mail``, ``webhook`` or ``file``; where it is.
    to, about : sequence of str
        Addresses of a mail; what is told, empty for everything.
    state : str
        ``told``: all; ``nothing new``; ``waits``: it failed and is tried again, or there were enough letters for this
        hour; ``failed``: just now; ``wrong``: what `node.toml` says of it cannot be; ``written``: a file; ``busy``:
        another process is telling; ``new``: never yet.
    words : str
        More, for people: why it failed.
    news : int
        How much was told just now, or, where it failed or waits, is still to be told.
    last : str
        When the last letter went out, UTC; "" for never.
    """

    _display_keys = ("name", "kind", "url", "to", "about", "state", "words", "news", "last")

    name: str
    kind: str
    url: str
    to: Sequence[str]
    about: Sequence[str]
    state: str
    words: str = ""
    news: int = 0
    last: str = ""

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return self.state != "failed" and not self.words

    def to_dict(self) -> dict[str, Any]:
        """A JSON object with every attribute, and whether nothing failed."""
        return {**asdict(self), "to": list(self.to), "about": list(self.about), "ok": self.ok}


@dataclass(frozen=True, slots=True)
class TellVerbs(DisplayList):
    """Who is told what changes: `node.tell`.

    Parameters
    ----------
    context : Context
        The node.
    waiting : callable
        Offers and receipts that somebody should hear of.
    """

    _display_name = "told"

    context: Context
    waiting: Callable[[], Sequence[Matter]]

    def __iter__(self) -> Iterator[Telling]:
        """Each who is told."""
        return iter(self.ls())

    def ls(self) -> Sequence[Telling]:
        """List who is told, and how that goes."""
        return FixedRows(tellings(self.context))

    def add(
        self,
        name: str,
        url: str,
        *,
        to: Sequence[str] | str = (),
        from_: str = "",
        login: str = "",
        signed: bool = False,
        plain: bool = False,
        about: Sequence[str] | str = (),
    ) -> Telling:
        """Tell somebody from now on; add it again to change it. What is wrong then is told first.

        Parameters
        ----------
        name : str
            What it is called here: ``group``.
        url : str
            A mail server, ``smtp://mail.example.org`` (STARTTLS) or ``smtps://…``; a web address that takes JSON,
            ``https://…``; or a file for Prometheus's node_exporter, a whole path that ends in ``.prom``.
        to : sequence of str
            Addresses of a mail.
        from_ : str
            From whom a mail is. Default: `login` where that is an address, else the first of `to`.
        login : str
            Who logs in at the mail server. The password is in the environment, as ``DIADEM_TELL_GROUP``, or in the
            system's keyring; it is never kept in the settings.
        signed : bool
            Sign what goes to a web address: HMAC-SHA256 of the body with the secret from the same place.
        plain : bool
            Without TLS: for a server on this machine, or in a net that you trust.
        about : sequence of {"status", "archived", "offer", "receipt"}
            What is told. Default: everything.

        Raises
        ------
        UsageError
            It cannot be told like this.
        """
        if not NAME.fullmatch(name):
            raise UsageError(f"'{name}' cannot be a name", next="Use letters a-z, digits, dots, hyphens, underscores.")
        topics = (about,) if isinstance(about, str) else tuple(about)
        _require_topics(topics)
        addresses = (to,) if isinstance(to, str) else tuple(to)
        settings = checked(TellSettings(name, url, addresses, from_, login, signed, plain, topics))
        if settings.kind == "file" and not Path(url).parent.is_dir():
            missing = str(Path(url).parent)
            raise UsageError("the folder of this file is not there", where=missing, next="Make it, or choose another.")
        self._change(lambda tell: (*(one for one in tell if one.name != name), settings))
        mirror_settings(self.context)
        return self._one(name)

    def rm(self, name: str) -> Telling:
        """Tell somebody nothing more. A file for Prometheus stays as it is.

        Raises
        ------
        NotFound
            Nobody is called so.
        """
        found = self._one(name)
        self._change(lambda tell: tuple(one for one in tell if one.name != name))
        mirror_settings(self.context)
        return found

    def test(self, name: str) -> Telling:
        """Send a letter that says that it is a test, or write the file; nothing of what was told is changed.

        Where it gets through, what waits for them is sent at the next look.

        Raises
        ------
        NotFound
            Nobody is called so.
        Unreachable, Refused
            It cannot be told; says why.
        """
        found, context = self._one(name), self.context
        settings = next(one for one in _settings(context).tell if one.name == name)
        if fault := _fault(settings):
            raise fault
        if settings.kind == "file":
            self._write(settings, self._look(), _read_book(context))
            return replace(found, state="written", words="")
        trial = Told(unsent=[{"topic": "test", "mark": "test", "text": "this is a test, and it came", "next": "",
                              "time": time_text(context.clock())}])  # fmt: skip
        try:
            self._send(settings, letter(context, self._look(), trial, name))
        except NotAll as error:
            return replace(found, state="failed", words=str(error))
        with held_if_free(context.folder, LOCK) as free:  # else somebody is telling now, and finds out
            book = _read_book(context)
            if free and name in book:
                book[name].error, book[name].refused = "", []
                for one in (book[name], *book[name].later.values()):
                    one.tries, one.due = 0, ""
                _write_book(context, book)
        return replace(found, state="told", words="", news=1)

    def now(self) -> Sequence[Telling]:
        """Look how the node stands, and tell everybody what is new to them; for a timer, and safe as often as wanted.

        `diadem watch`, `serve` and `scrub` do this by themselves while they run. What cannot be told is kept, and tried
        again later, each time after a longer pause. Nobody gets more than six letters an hour.

        Returns
        -------
        sequence of Telling
            What became of each.
        """
        context = self.context
        context.require_writable()
        settings = _settings(context)
        wanted, wrong = [one for one in settings.tell if not _fault(one)], _wrong(context, settings)
        with held_if_free(context.folder, LOCK) as free:
            if not wanted or not free:
                rest = (one for one in tellings(context) if one.state != "wrong")
                return FixedRows([*(replace(one, state="busy", words="") for one in rest), *wrong])
            looks, before = [self._look()], _read_book(context)
            # What is written wrongly may be one who was told before, and will be again.
            book = before if wrong else {}
            book |= {one.name: before.get(one.name, Told()) for one in wanted}
            people = [one for one in wanted if one.kind != "file"]
            if any(has_changed(book[one.name], looks[0]) for one in people):
                time.sleep(_AGAIN)  # what is over then was somebody at work, as where a statement is on its way
                looks.append(self._look())
            for one in people:
                note_news(book[one.name], looks, context, one.about)
            _write_book(context, book)
            done = [self._tell(one, looks[-1], book) for one in sorted(wanted, key=lambda one: one.kind == "file")]
            return FixedRows([*done, *wrong])

    def figures(self) -> Iterator[Row]:
        """How the archive stands in figures, as the file for Prometheus has them: name, labels, value."""
        return figures(self._look(), _untold(_read_book(self.context)))

    @contextmanager
    def beside(self, *, every: float = EVERY, unless: bool = False) -> Iterator[None]:
        """Tell what changes while something else is at work, which waits for none of it; and once more at its end.

        Parameters
        ----------
        every : float
            Seconds between two looks at least.
        unless : bool
            Tell nothing.
        """
        ended = threading.Event()
        thread = threading.Thread(target=_tell_until, args=(self, ended, every), name="tell", daemon=True)
        if not unless:
            thread.start()
        try:
            yield
        finally:
            ended.set()
            if thread.ident:
                thread.join(_FAREWELL)

    def _look(self) -> Look:
        """How the node stands; that somebody has to know, too, where a share hangs and nobody can tell."""
        found: list[Look] = []
        try:
            within(_LOOK, lambda: found.append(look_at(self.context, self.waiting)))
        except Unreachable as error:
            return Look(None, WatchState(), error, None)
        return found[0]

    def _tell(self, settings: TellSettings, look: Look, book: Mapping[str, Told]) -> Telling:
        """Send what waits for one, if it is time, and note what became of it."""
        told, now, count, state = book[settings.name], self.context.clock(), 0, "written"
        if settings.kind != "file":
            told.later = {one: later for one, later in told.later.items() if one in settings.to}
            if not told.waiting:
                return _telling(settings, told, "nothing new")
            if _pauses(told, now) or not (told.unsent or any(not _pauses(one, now) for one in told.later.values())):
                return _telling(settings, told, "waits")
        told.error, told.refused = "", []
        try:
            if settings.kind == "file":
                self._write(settings, look, book)
            else:
                count = self._deliver(settings, look, told)
                state = "told" if count else "failed"
        except DiademError as error:
            told.put_off(now, line_of(error))
            _write_book(self.context, book)
            return _telling(settings, told, "failed")
        told.tries, told.due = 0, ""
        _write_book(self.context, book)
        done = _telling(settings, told, state)
        return replace(done, news=count) if count else done

    def _deliver(self, settings: TellSettings, look: Look, told: Told) -> int:
        """Send what waits, first to each who alone was refused for now; how much got through."""
        now, count, faults = self.context.clock(), 0, []
        for address, later in list(told.later.items()):
            if _pauses(later, now):
                faults.append(later.error)
                told.refused.append(address)
                continue
            try:
                self._send(settings, letter(self.context, look, later, settings.name), only=address)
                count += later.waiting
            except NotAll as error:
                faults.append(str(error))
                told.refused.append(address)
                if error.later:
                    later.put_off(now, str(error))
                    continue
            del told.later[address]
        if told.unsent:
            try:
                self._send(settings, letter(self.context, look, told, settings.name))
            except NotAll as error:
                faults.append(str(error))
                told.refused += error.refused
                for address in error.later:
                    told.keep_later(address, now, str(error))
            count += len(told.unsent) + told.left_out
            told.letters, told.unsent, told.left_out = [*_recent(told, now), time_text(now)], [], 0
        told.error = "; ".join(dict.fromkeys(faults))
        return count

    def _send(self, settings: TellSettings, what: Letter, *, only: str = "") -> None:
        send(settings, what, sender_name=self.context.settings.name, at=self.context.clock(), only=only)

    def _write(self, settings: TellSettings, look: Look, book: Mapping[str, Told]) -> None:
        write_figures(settings.url, prometheus_text(FIGURES, figures(look, _untold(book))))

    def _change(self, change: Callable[[Sequence[TellSettings]], Sequence[TellSettings]]) -> None:
        def changed(current: NodeSettings) -> NodeSettings:
            if current.tell_faults:  # written anew, they would be lost
                raise current.tell_faults[0]
            return replace(current, tell=change(current.tell))

        self.context.change_settings(changed)

    def _one(self, name: str) -> Telling:
        found = {one.name: one for one in tellings(self.context) if one.kind}
        if name not in found:
            for fault in _settings(self.context).tell_faults:  # it may be that one
                raise fault
            known = ", ".join(found) or "nobody yet"
            raise NotFound(f"nobody is told under the name '{name}'", next=f"There is: {known}. See: diadem tell ls")
        return found[name]


# -- what each was told ----------------------------------------------------------------------------------------------


def tellings(context: Context) -> list[Telling]:
    """Who is told, and how that goes as far as it was noted; and what `node.toml` says of others that cannot be."""
    if not context.writable:
        return []
    book, settings = _read_book(context), _settings(context)
    found = []
    for one in settings.tell:
        told = book.get(one.name, Told())
        state = (
            "waits" if told.waiting or told.tries else "told" if told.letters else "nothing new" if told.log else "new"
        )
        if one.kind == "file":
            state = "failed" if told.error else "written" if Path(one.url).is_file() else "new"
        found += [] if _fault(one) else [_telling(one, told, state)]
    return [*found, *_wrong(context, settings)]


def _settings(context: Context) -> NodeSettings:
    """What `node.toml` says now: another process, or a person, may have added somebody."""
    return read_settings(context.folder)


def _wrong(context: Context, settings: NodeSettings) -> list[Telling]:
    """What people wrote into `node.toml` that cannot be."""
    found = []
    for one in settings.tell:
        if fault := _fault(one):
            fault.message = f"[[tell]] '{one.name}': {fault.message}"
            fault.where = str(context.folder / FILE)
            shown = (one.name, one.kind, one.url, one.to, one.about)
            found.append(Telling(*shown, "wrong", line_of(fault)))
    return [*found, *(Telling(FILE, "", "", (), (), "wrong", line_of(fault)) for fault in settings.tell_faults)]


def _fault(settings: TellSettings) -> UsageError | None:
    """Why nobody can be told like this, where a person has written it into `node.toml`."""
    try:
        _require_topics(checked(settings).about)
    except UsageError as error:
        return error
    return None


def _require_topics(about: Sequence[str]) -> None:
    if wrong := [one for one in about if one not in TOPICS]:
        raise UsageError(f"there is no news about '{wrong[0]}'", next=f"There is: {', '.join(TOPICS)}")


def _telling(settings: TellSettings, told: Told, state: str) -> Telling:
    due = told.due or min((one.due for one in told.later.values()), default="")
    again = f"; tried again after {due[:16].replace('T', ' ')} UTC" if due and settings.kind != "file" else ""
    last = told.letters[-1] if told.letters else ""
    over = bool(told.refused) and not set(told.refused) & set(settings.to)  # they are not written to any more
    words = f"{told.error}{again}" if told.error and not over else ""
    return Telling(
        settings.name, settings.kind, settings.url, settings.to, settings.about, state, words, told.waiting, last
    )


def _untold(book: Mapping[str, Told]) -> dict[str, int]:
    return {name: told.waiting for name, told in book.items() if told.log}


def _pauses(told: Told, now: datetime) -> bool:
    """Whether nothing is sent now: it failed lately, or there were enough letters in the last hour."""
    due = read_time(told.due) if told.due else now
    return now < due <= now + _HOUR or len(_recent(told, now)) >= LETTERS  # later than that: the clock was put back


def _recent(told: Told, now: datetime) -> list[str]:
    return [one for one in told.letters if now - _HOUR < read_time(one) <= now]


def _read_book(context: Context) -> dict[str, Told]:
    """What each was told. A book that cannot be read is begun anew: what is wrong is told once more."""
    try:
        document = json.loads((context.folder / BOOK).read_bytes())
        if document["format"] != FORMAT:
            return {}
        return {str(name): _told(told) for name, told in document["told"].items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def _told(document: Mapping[str, Any]) -> Told:
    later = {str(address): _told(one) for address, one in document.get("later", {}).items()}
    return Told(**{**document, "later": later})


def _write_book(context: Context, book: Mapping[str, Told]) -> None:
    path, parts = context.folder / BOOK, {name: asdict(one) for name, one in book.items()}
    data = json.dumps({"format": FORMAT, "told": parts}, indent=1).encode()
    with suppress(OSError):
        if path.read_bytes() == data:
            return
    write_whole(path, data, mode=0o600)


# -- beside something else that runs for long ------------------------------------------------------------------------


def _tell_until(verbs: TellVerbs, ended: threading.Event, every: float) -> None:
    is_last = False
    while not is_last:
        began = time.monotonic()
        try:
            verbs.now()
        except Exception as error:  # whatever it is, the other work goes on
            _LOG.warning("nobody could be told: %s", line_of(error) if isinstance(error, DiademError) else repr(error))
        is_last = ended.wait(max(every, _RESTS * (time.monotonic() - began)))
    with suppress(Exception):
        verbs.now()

"""Whose key is whose, and since when: from a node's id to every signature in its log. Pure."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from diadem.custody.log_entry import Entry
from diadem.custody.statements import LOG, ONLINE, ROOT, USER
from diadem.errors import DocumentError, UsageError
from diadem.model import statement_kinds as kinds
from diadem.model.times import read_time
from diadem.serialization.validation import validate_statement
from diadem.trust.keys import PublicKey

#: The key by which each sort of signer signs.
_ROLES = {kinds.NODE: ONLINE, kinds.USER: USER, kinds.ROOT: ROOT}
_SIGNERS = {ONLINE: "the node's online key", USER: "a user", ROOT: "the node's root key", LOG: "the node's log key"}


@dataclass(frozen=True, slots=True)
class Card:
    """A key and its owner, as a `key` statement at a place of the log says.

    A later version for the same owner replaces it. From a card with a successor on, the user's key signs nothing more.
    """

    name: str
    role: str
    custody: str
    public: PublicKey
    version: int
    expires: datetime | None
    place: int
    successor: str = ""

    @property
    def owner(self) -> tuple[str, str]:
        """Whom a later card replaces: a user by name, a key of the node by its role."""
        return self.role, self.name if self.role == USER else ""


@dataclass(frozen=True, slots=True)
class SignatureVerdict:
    """What the signatures on an entry are worth: whose hold, by keys that were in force, and why they do not count.

    A doubt weakens them: a card that had ended by the node's own clock.
    """

    signers: tuple[Card, ...]
    problem: str | None = None
    doubt: str | None = None


class KeyRing:
    """The keys of one node, by the `key` and `recovery` entries of its log, oldest first; more can be fed to it.

    Nothing is trusted but the node's id, the SHA-256 of its root key.
    """

    def __init__(self, node: str, entries: Iterable[Entry] = ()) -> None:
        self.node = node
        self.name = ""
        self._by_owner: dict[tuple[str, str], list[Card]] = {}
        self._by_key: dict[str, list[Card]] = {}
        self._by_place: dict[int, Card] = {}
        self._root: PublicKey | None = None
        self.learn(entries)

    def learn(self, entries: Iterable[Entry]) -> dict[str, str]:
        """Take key statements; returns the id of each that does not count, and why, in words."""
        ordered = sorted((entry for entry in entries if entry.statement.kind == "key"), key=lambda entry: entry.place)
        problems = {}
        for entry in ordered:
            self._look_for_root(entry)
        for entry in ordered:
            if (problem := self._learn(entry)) is not None:
                problems[entry.statement_id] = problem
        return problems

    def _look_for_root(self, entry: Entry) -> None:
        """The root key proves itself: the node's id is its hash."""
        predicate = entry.statement.predicate
        if predicate.get("role") == ROOT and self._root is None:
            try:
                public = PublicKey.from_text(str(predicate.get("public")))
            except UsageError:
                return
            if public.key_id == self.node:
                self._root = public

    def _learn(self, entry: Entry) -> str | None:
        try:
            validate_statement(entry.statement)
            card = _card(entry)
        except DocumentError as error:
            return f"the card cannot be read: {error.message}"
        if entry.statement.node != self.node:
            return "the card is of another node's log"
        if card.public.key_id not in {subject.sha256 for subject in entry.statement.subjects}:
            return "the card is about another key than it shows"
        if card.role == ROOT and card.public.key_id != self.node:
            return "the root key is not the one of this node's id"
        judged = self._card_signers(entry, card)
        if judged is not None:
            return judged
        current = self._current(card.owner, card.place)
        if current is not None and current.successor:
            return f"{current.name} had retired, and {current.successor} has followed"
        if current is not None and card.version <= current.version and card.public != current.public:
            return f"a card of version {card.version} stands after one of version {current.version}"
        insort(self._by_owner.setdefault(card.owner, []), card, key=_place)
        self._by_place[card.place] = card
        self._by_key.setdefault(card.public.key_id, []).append(card)
        if card.role != USER:
            self.name = card.name
        return None

    def _card_signers(self, entry: Entry, card: Card) -> str | None:
        """Node keys are the root's to sign, user keys the online key's."""
        if card.role == USER:
            online = self._current((ONLINE, ""), entry.place)
            if online is not None and entry.envelope.signers([online.public]):
                return None
            return "the card is not signed by the node's online key"
        if self._root is not None and entry.envelope.signers([self._root]):
            return None
        return "the card is not signed by the node's root key"

    def _current(self, owner: tuple[str, str], place: int) -> Card | None:
        """The card of an owner that was in force at a place: the last one up to there."""
        cards = self._by_owner.get(owner, [])
        before = bisect_right(cards, place, key=_place)
        return cards[before - 1] if before else None

    def newest(self, role: str) -> Card | None:
        """The card of a key of the node that is in force at the end of the log."""
        cards = self._by_owner.get((role, ""), [])
        return cards[-1] if cards else None

    def log_key(self, place: int) -> PublicKey | None:
        """The key that signs the checkpoint after the entry at a place."""
        card = self._current((LOG, ""), place)
        return card.public if card else None

    def log_keys(self) -> list[PublicKey]:
        """Every key that ever signed checkpoints."""
        return list({card.public: None for card in self._by_owner.get((LOG, ""), [])})

    def users(self) -> list[Card]:
        """The newest card of each user, those who retired included, by name."""
        newest = (cards[-1] for (role, _), cards in self._by_owner.items() if role == USER)
        return sorted(newest, key=lambda card: card.name)

    def owner_of(self, key_id: str) -> Card | None:
        """The newest card of a key."""
        cards = self._by_key.get(key_id)
        return cards[-1] if cards else None

    def judge(self, entry: Entry) -> SignatureVerdict:
        """What the signatures on an entry of this node's log are worth.

        The entry's kind says whose signature it needs; of an unknown kind, the node's or a user's.
        """
        if entry.statement.node != self.node:
            return SignatureVerdict((), f"it is of the log of another node, {entry.statement.node[:12]}…")
        if entry.statement.kind == "key":
            return self._judge_card(entry)
        known = entry.statement.known
        roles = {_ROLES[name] for name in (known.signers if known else (kinds.NODE, kinds.USER))}
        signers, late = self._signers(entry)
        if not any(card.role in roles for card in signers):
            return SignatureVerdict(signers, self._unsigned(entry, roles, late))
        ended = [card for card in signers if card.expires is not None and card.expires < entry.statement.time]
        doubt = f"the card of {ended[0].name} had ended on {ended[0].expires:%Y-%m-%d}" if ended else None
        return SignatureVerdict(signers, None, doubt)

    def _judge_card(self, entry: Entry) -> SignatureVerdict:
        card = self._by_place.get(entry.place)
        if card is None or f"key:{card.public.key_id}" != entry.statement.subjects[0].name:
            return SignatureVerdict((), "the card does not hold")
        signer = self._current((ONLINE, ""), entry.place) if card.role == USER else self._root_card()
        return SignatureVerdict(tuple(by for by in (signer,) if by is not None))

    def _signers(self, entry: Entry) -> tuple[tuple[Card, ...], tuple[Card, ...]]:
        """Cards of those whose signature holds: in force at the entry's place, and replaced or not yet known there."""
        cards = [card for name in entry.signers for card in self._by_key.get(name, ())]
        if (root := self._root_card()) is not None and self.node in entry.signers:
            cards.append(root)
        holding = entry.envelope.signers({card.public for card in cards})
        found = [card for card in cards if card.public.key_id in holding]
        current = {
            card
            for card in found
            if card.role == ROOT or (not card.successor and card == self._current(card.owner, entry.place))
        }
        now = {card.public.key_id: card for card in found if card in current}
        late = {card.public.key_id: card for card in found if card not in current}
        signers = sorted(now.values(), key=lambda card: card.role == USER)
        return tuple(signers), tuple(card for name, card in late.items() if name not in now)

    def _root_card(self) -> Card | None:
        """The root key as a card, which it needs not to hold."""
        return Card(self.name, ROOT, "", self._root, 1, None, 0) if self._root is not None else None

    def _unsigned(self, entry: Entry, roles: set[str], late: tuple[Card, ...]) -> str:
        """Why no signature counts, in words."""
        wanted = " or ".join(sorted(_SIGNERS[role] for role in roles))
        if any(card.role in roles for card in late):
            return f"it is signed with a key of {late[0].name} that was not in force at this place of the log"
        if any(name in self._by_key for name in entry.signers):
            return f"the signature does not hold, or is not by {wanted}: this is not what was signed"
        return f"it is not signed by {wanted}, as far as the key statements say"


def _place(card: Card) -> int:
    return card.place


def _card(entry: Entry) -> Card:
    predicate = entry.statement.predicate
    expires = predicate["expires"]
    return Card(
        predicate["name"],
        predicate["role"],
        predicate.get("custody", ""),
        PublicKey.from_text(predicate["public"]),
        predicate["version"],
        None if expires is None else read_time(expires),
        entry.place,
        str(predicate.get("successor", "")) if predicate["role"] == USER else "",
    )

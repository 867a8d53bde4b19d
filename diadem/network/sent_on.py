"""People to whom a package was sent on from here, and what they lack of what came here of it since."""

from __future__ import annotations

from diadem.model.manifest import PackageId
from diadem.model.transfers import MOVING, OUT, State
from diadem.network.desk import Desk


def behind(desk: Desk, package: str) -> list[tuple[str, str]]:
    """Who at other nodes was not sent corrections or assessments that came here; each with the command that does it.

    Whoever passed them to this node has them. What is still under way to somebody takes them along.
    """
    sheets = desk.context.ledger.of_subject(PackageId(package).hex, ["corrections"])
    sent = [one for one in desk.book.all() if one.direction == OUT and one.package == package] if sheets else []
    if not sent:
        return []
    closures = desk.context.ledger.of_subject(PackageId(package).hex, ["closure"])
    places = {entry.statement_id: entry.place for entry in closures}
    under_way = {State.DRAFTED, State.OFFERED, State.RECEIVED, *MOVING}
    found = []
    for recipient in dict.fromkeys(one.recipient for one in sent):
        theirs = [one for one in sent if one.recipient == recipient]
        had = [places[one.closure] for one in theirs if one.closure in places]
        if not had or any(desk.refreshed(one).state in under_way for one in theirs):
            continue
        peer = theirs[0].peer
        if any(entry.place > max(had) and peer not in entry.statement.predicate["names"] for entry in sheets):
            newest = theirs[0]  # the book begins with it
            user = newest.sender.rpartition("@")[0]
            other = f" --user {user}" if newest.sender != desk.context.address else ""
            found.append((recipient, f"diadem send {package[7:19]} {recipient}{other}"))
    return found

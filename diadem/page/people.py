"""People: the users of the node, who was given what, and why somebody may see something or may not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from diadem.errors import DiademError, NotFound, Refused
from diadem.model.access import DIRECT_ONLY, PACKAGE, Grant, Right
from diadem.model.plain_text import count_text
from diadem.model.ports import Listener
from diadem.page.dry_runs import DryRun
from diadem.page.forms import Form
from diadem.page.jobs import Outcome
from diadem.page.state import PageState

if TYPE_CHECKING:
    from diadem.node.access.grant import Granted, GrantState

PLACE: Final = "/people"
#: Grants on one page, and packages of one that are named.
_MOST: Final = 200
_MOST_NAMED: Final = 12
#: Sessions that are offered to be chosen.
_MOST_OFFERED: Final = 50
#: What may be granted, as people say it.
_RIGHTS: Final = (
    (Right.READ, "see and read"),
    (Right.ASSESS, "assess"),
    (Right.LIST, "find only"),
)
_IN_FORCE: Final = "in force"


@dataclass(frozen=True, slots=True)
class Given:
    """A grant as a page tells it: what of, with where that is shown."""

    state: str
    grant: Grant
    things: Sequence[tuple[str, str]]
    more: int = 0

    @property
    def rights(self) -> str:
        """What is allowed, in words."""
        return ", ".join(words for right, words in _RIGHTS if right in self.grant.rights)


def _given(state: PageState, one: Grant, standing: str) -> Given:
    if one.scope != PACKAGE:
        return Given(standing, one, [(f"the {one.scope} {one.label or one.subjects[0]}", "")])
    things = [(state.title(id_), f"/session/{id_.removeprefix('diadem:')}") for id_ in one.subjects[:_MOST_NAMED]]
    return Given(standing, one, things, len(one.subjects) - _MOST_NAMED)


def _others(state: PageState) -> list[str]:
    """Whom something can be granted to: users of this node, and everybody of a node that is known."""
    node, me = state.node.name, state.node.user
    users = [f"{one.name}@{node}" for one in state.node.users if not one.successor]
    return [one for one in users if one != me] + [f"*@{peer.name}" for peer in state.node.peers]


def _sessions(state: PageState) -> list[tuple[str, str]]:
    """The newest sessions, to choose from: the beginning of each id, and its title."""
    return [(row.id.removeprefix("diadem:")[:12], row.title) for row in state.node.search(limit=_MOST_OFFERED)]


def people(state: PageState, request: Request, **more: Any) -> Response:
    """The users of the node and what was granted, with forms for both."""
    listed = state.node.grants()[::-1]
    return state.page(
        "people.html",
        users=list(state.node.users),
        grants=[_given(state, one.grant, one.state) for one in listed[:_MOST]],
        left_out=len(listed) - _MOST,
        others=_others(state),
        sessions=_sessions(state),
        samples=[f"sample:{one.identifier}" for one in state.node.samples],
        rights=_RIGHTS,
        tickets=[one for one in state.node.peers.tickets() if one.kind == "user"],
        direct_only=DIRECT_ONLY,
        **{
            "ticket": "",
            "expires": None,
            "typed": {"what": request.query_params.get("what", "")},
            **more,
        },
    )


# -- users -----------------------------------------------------------------------------------------------------------


def add_user(state: PageState, request: Request) -> Response:
    """Make a user whose key this node keeps."""
    form = Form(request)
    try:
        made = state.node.users.add(form.needed("user", "Short name"), full_name=form.text("full_name"))
    except DiademError as error:
        return people(state, request, problem=error, typed=form.typed)
    state.forget()
    return state.done(f"{made.name} is a user of this node.", PLACE)


def invite(state: PageState, request: Request) -> Response:
    """A ticket for somebody who works from a laptop, shown once."""
    form = Form(request)
    try:
        name, days = form.needed("invited", "Short name"), form.days("days", "7")
        made = state.node.users.invite(name, guest=form.flag("guest"), days=days)
    except DiademError as error:
        return people(state, request, problem=error, typed=form.typed)
    return people(state, request, ticket=made.to_text(), expires=made.expires, invited=made.user)


def user(state: PageState, request: Request, **more: Any) -> Response:
    """A user: the key by which others know them, and what was granted to them."""
    name = request.path_params["user"]
    found = next((one for one in state.node.users if one.name == name), None)
    if found is None:
        raise NotFound("there is no such user", next="See the list of people.")
    card = state.node.users.show(name)
    heirs = [one.name for one in state.node.users if one.name != name and not one.successor]
    given = [_given(state, one.grant, one.state) for one in state.node.grants(to=card.address)[::-1][:_MOST]]
    return state.page("user.html", user=found, card=card, heirs=heirs, grants=given, **{"retiring": "", **more})


def retire(state: PageState, request: Request) -> Response:
    """What it would mean that a user leaves; done by the second button."""
    form, name = Form(request), request.path_params["user"]
    try:
        heir = form.needed("to", "Who follows")
        if not form.flag("sure"):
            return user(state, request, retiring=heir)
        done = state.node.users.retire(name, heir, reason=form.needed("reason", "Why"))
    except DiademError as error:
        return user(state, request, problem=error, typed=form.typed)
    state.forget()
    return state.done(f"{name} has left; {done.successor} follows.", f"{PLACE}/users/{name}")


# -- grants ----------------------------------------------------------------------------------------------------------


def grant(state: PageState, request: Request) -> Response:
    """What a grant would open; stated by the second button, if it opens the same then."""
    form = Form(request)
    try:
        what, to = form.needed("what", "What"), form.needed("to", "To whom")
        stated = partial(
            state.node.grant,
            what if what.startswith(("project:", "sample:")) else what.split(),
            to,
            form.all("right") or ["read"],
            expires=form.text("expires"),
            not_before=form.text("not_before"),
            purpose=form.text("purpose"),
            require=form.all("require"),
            recipient=form.text("recipient"),
        )
        return RedirectResponse(state.dry_runs.keep(grant_to_state(state, stated, PLACE)), 303)
    except DiademError as error:
        return people(state, request, problem=error, typed=form.typed)


def grant_to_state(state: PageState, stated: Callable[..., Granted], leave: str) -> DryRun:
    """What a grant would open, and the button that states it: once, and only while it opens the same packages."""
    would = stated(dry_run=True)
    given = _given(state, would.grant, "")

    def work(listener: Listener) -> Outcome:
        del listener
        if (now := stated(dry_run=True)).ids != would.ids:
            opens = f"it would open {now.packages} packages by now, and not {would.packages}"
            if now.packages == would.packages:
                opens = "it would now open other packages"
            again = state.dry_runs.keep(grant_to_state(state, stated, leave))
            return Outcome(f"Nothing was granted: {opens}. Look at it once more.", again)
        made = stated().grant
        return Outcome(f"Granted: {made.to} may {given.rights}.", f"{PLACE}/grants/{made.id}")

    return DryRun(
        "What this would open",
        "It can be revoked, under People.",
        "Grant it",
        work,
        back=leave,
        facts=[
            ("to", given.grant.to),
            ("may", given.rights),
            ("opens now", count_text(would.packages, "package")),
            ("from", f"{given.grant.not_before:%Y-%m-%d}" if given.grant.not_before else "now"),
            ("until", f"{given.grant.expires:%Y-%m-%d}" if given.grant.expires else "you revoke it"),
            *([("only", "directly, through no hub")] if given.grant.require else []),
        ],
        lines=[title for title, _ in given.things] + ([f"and {given.more} more"] if given.more > 0 else []),
        doubts=() if would.packages else ["None of your packages belongs to it now; what is archived later will."],
        at_once=True,
    )


def _one(state: PageState, request: Request) -> GrantState:
    id_ = request.path_params["grant"]
    found = next((one for one in state.node.grants() if one.grant.id == id_), None)
    if found is None:
        raise NotFound("there is no such grant", next="See what was granted, under People.")
    return found


def one_grant(state: PageState, request: Request, **more: Any) -> Response:
    """A grant, and how it is taken back."""
    found = _one(state, request)
    return state.page("grant.html", given=_given(state, found.grant, found.state), revocation=found.revocation, **more)


def revoke(state: PageState, request: Request) -> Response:
    """Take a grant back."""
    form, found = Form(request), _one(state, request)
    try:
        if form.text("was") != found.state:
            raise Refused(f"this grant is now {found.state}", next="Nothing was done.")
        reason, more = form.needed("reason", "Why"), _more_grants(state, found.grant)
        state.node.revoke(found.grant.id, reason=reason)
    except DiademError as error:
        return one_grant(state, request, problem=error, typed=form.typed)
    text = "It is revoked. What was delivered before stays delivered."
    if more:
        text += f" {found.grant.to} still has {count_text(more, 'more grant')} that opens the same or a part of it."
    return state.done(text, PLACE)


def _more_grants(state: PageState, one: Grant) -> int:
    """How many other grants to the same person are in force for the same things."""
    also = {
        each.grant.id for what in one.subjects for each in state.node.grants(what, one.to) if each.state == _IN_FORCE
    }
    return len(also - {one.id})


def why(state: PageState, request: Request) -> Response:
    """Whether somebody may do something with a package, and why."""
    asked = request.query_params
    who, package, right = asked.get("who", "").strip(), asked.get("package", "").strip(), asked.get("right", "read")
    values: dict[str, Any] = {"typed": {"who": who, "package": package, "right": right}, "decision": None, "title": ""}
    if who and package:
        try:
            found = state.node.get(package)
            values |= {"decision": state.node.why(who, package, right), "title": state.title(found.id)}
            values |= {"package": found.id}
        except DiademError as error:
            values["problem"] = error
    return state.page("why.html", others=_others(state), sessions=_sessions(state), rights=_RIGHTS, **values)

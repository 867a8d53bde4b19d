"""People: the users of the node, who was given what, and why somebody may see something or may not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from starlette.requests import Request
from starlette.responses import Response

from diadem.errors import DiademError, NotFound, Refused, UsageError
from diadem.model.access import DIRECT_ONLY, PACKAGE, Grant, Right
from diadem.page.forms import Form
from diadem.page.state import PageState

if TYPE_CHECKING:
    from diadem.node.granting import GrantState

PLACE: Final = "/people"
#: Grants on one page, and packages of one that are named.
_MOST: Final = 200
_MOST_NAMED: Final = 12
#: Sessions that are offered to be chosen.
_MOST_OFFERED: Final = 50
#: Fields of the form of a grant; and what may be granted, as people say it.
_GRANTED: Final = ("what", "to", "right", "expires", "not_before", "purpose", "require", "recipient")
_RIGHTS: Final = (
    (Right.READ, "see and read"),
    (Right.ASSESS, "judge"),
    (Right.LIST, "find only"),
)


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
            "draft": None,
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
        days = form.text("days", "7")
        if not (days.isascii() and days.isdigit()):
            raise UsageError(f"'{days}' is no number of days", next="Write 7.")
        made = state.node.users.invite(form.needed("invited", "Short name"), guest=form.flag("guest"), days=float(days))
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
        draft, seen = stated(dry_run=True), form.text("opens")
        if seen == str(draft.packages):
            made = stated()
            return state.done(f"{made.grant.to} may see it from now on.", f"{PLACE}/grants/{made.grant.id}")
    except DiademError as error:
        return people(state, request, problem=error, typed=form.typed)
    kept = [(name, value) for name in _GRANTED for value in form.all(name)]
    more: dict[str, Any] = {"draft": _given(state, draft.grant, ""), "opens": draft.packages, "kept": kept}
    if seen:
        text = f"it would open {draft.packages} packages by now, and not {seen}"
        more["problem"] = Refused(text, next="Look at it once more.")
    return people(state, request, typed=form.typed, **more)


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
            raise Refused(f"this grant is {found.state} by now", next="Nothing was done.")
        state.node.revoke(found.grant.id, reason=form.needed("reason", "Why"))
    except DiademError as error:
        return one_grant(state, request, problem=error, typed=form.typed)
    return state.done("It is taken back. What was delivered before stays delivered.", PLACE)


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

"""Options of the command line on samples: what all verbs have, and what options say of a sample."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, ParamSpec, cast

import typer

from diadem.cli.node_options import As, Json, NodeAt, opened
from diadem.model.sample_cells import read_elements, read_everywhere, read_other_name, read_step

if TYPE_CHECKING:
    from diadem.node.sample_saying import SampleWords
    from diadem.node.sample_verbs import SampleVerbs

P = ParamSpec("P")
#: What a verb has done, and whether it is told as JSON; the exit code.
Tell = Callable[[Any, bool], int]

Names = list[str] | None


def _option(name: str, kind: Any, flag: str, text: str, default: Any = None) -> inspect.Parameter:
    annotation = Annotated[kind, typer.Option(flag, help=text)]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


_TEXT = str | None
_HOW = "How: split, lamella, annealed, mixed or other."
#: What may be said of a sample, see `SampleWords`.
_WORDS = (
    _option("name", _TEXT, "--name", "What it is: ZnO nanorods."),
    _option("called", Names, "--called", "What another lab calls it: K-2026-007@NMI. May be repeated."),
    _option("ids", Names, "--id", "A name that means it everywhere: igsn=10.60510/x1."),
    _option("parents", Names, "--from", "A sample that it was made from. May be repeated."),
    _option("how", str, "--how", _HOW, "other"),
    _option("maker", _TEXT, "--maker", "Who made it."),
    _option("lab", _TEXT, "--lab", "Where it was made."),
    _option("ror", _TEXT, "--ror", "The lab's address in ROR: https://ror.org/01hcx6992"),
    _option("orcid", _TEXT, "--orcid", "The maker's ORCID iD."),
    _option("composition", _TEXT, "--composition", "What it consists of, in words."),
    _option("elements", _TEXT, "--elements", "Chemical symbols: Zn,O."),
    _option("steps", Names, "--step", "How it was prepared: '2026-03-01 FIB lift-out'. May be repeated."),
    _option("comment", _TEXT, "--comment", "A comment."),
)
_COMMON = tuple(
    inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
    for name, annotation, default in (("node", NodeAt, None), ("user", As, None), ("json", Json, False))
)


def verb(
    tell: Tell, *, words: bool = False
) -> Callable[[Callable[Concatenate[SampleVerbs, P], Any]], Callable[..., int]]:
    """Make a command of a function on the samples of a node: it gets --node, --user and --json, and tells the result.

    Parameters
    ----------
    tell : callable
        Prints what the function gives, and returns the exit code.
    words : bool
        Whether the options that say something of a sample are added; the function gets them as keywords.
    """

    def made(function: Callable[Concatenate[SampleVerbs, P], Any]) -> Callable[..., int]:
        own = [one for one in inspect.signature(function, eval_str=True).parameters.values() if one.kind not in _OPEN]
        plain = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in own[1:]]
        kept = [*plain, *(_WORDS if words else ()), *_COMMON]

        def command(*, node: str | None, user: str | None, json: bool, **given: Any) -> int:
            said = {one.name: given.pop(one.name) for one in _WORDS} if words else {}
            with opened(node, user) as found:
                done = cast("Any", function)(found.samples, **given, **(sample_words(said) if words else {}))
                return tell(done, json)

        command.__name__, command.__doc__ = function.__name__, function.__doc__
        command.__annotations__ = {one.name: one.annotation for one in kept}
        command.__signature__ = inspect.Signature(kept)  # type: ignore[attr-defined]
        return command

    return made


_OPEN = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)


def sample_words(given: Mapping[str, Any]) -> SampleWords:
    """What was said with options, as `node.samples` takes it; what was not is left out."""
    told = {key: value for key, value in given.items() if value is not None}
    said = {key: value for key, value in told.items() if key not in _WRITTEN and key != "how"}
    said |= {_WRITTEN[key][0]: _WRITTEN[key][1](told[key]) for key in _WRITTEN.keys() & told.keys()}
    return cast("SampleWords", said | ({"how": given["how"]} if told.get("parents") else {}))


def _called(texts: Sequence[str]) -> Mapping[str, list[str]]:
    """Names by their labs; ``@NMI`` takes a lab's names back."""
    found: dict[str, list[str]] = {}
    for other in map(read_other_name, texts):
        found.setdefault(other.lab, []).append(other.name)
    return found


def _steps(texts: Sequence[str]) -> list[Mapping[str, str]]:
    steps = [read_step(one) for one in texts if one]
    return [{"step": one.step, **({"date": one.date} if one.date else {})} for one in steps]


#: Options that are not taken word for word: the member, and what makes it of the option.
_WRITTEN: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    "called": ("names", _called),
    "ids": ("identifiers", lambda texts: dict(map(read_everywhere, texts))),
    "parents": ("parents", lambda texts: [one for one in texts if one]),
    "elements": ("elements", read_elements),
    "steps": ("preparation", _steps),
}

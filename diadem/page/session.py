"""One session, one of its datasets, and how the archive stands."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from diadem.page.house import House


def package(house: House, request: Request) -> Response:
    """A session: what is known of it, its datasets as pictures, its files."""
    found = house.node.get(request.path_params["package"])
    return house.page("session.html", package=found, record=found.record)


def dataset(house: House, request: Request) -> Response:
    """A dataset: its picture, and every value with where it stands in the file."""
    found = house.node.get(request.path_params["package"])
    return house.page("session.html", package=found, record=found.record)


def health(house: House, request: Request) -> Response:
    """Every rule of the policy and how it stands, and what to do now."""
    del request
    return house.page("health.html", status=house.node.status())

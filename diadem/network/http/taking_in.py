"""A body that is handed over as it comes, a portion at a time, by whatever thread is free; never by two at once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from diadem.network.exchange import Intake, Response, Services, problem, problem_of
from diadem.network.http.gate import Admitted


class TakingIn:
    """One request whose route has an intake.

    Parameters
    ----------
    admitted : Admitted
        The request.
    services : Services
        For the route.
    fault : callable
        Told of what is no refusal.
    """

    def __init__(self, admitted: Admitted, services: Services, fault: Callable[[Exception], None]) -> None:
        self._admitted, self._services, self._fault = admitted, services, fault
        self._digest = hashlib.sha256()
        self._intake: Intake | None = None
        #: Once there is one, what still comes is dropped: who sends it would not hear the answer otherwise.
        self.refusal: Response | None = None

    def begin(self) -> None:
        """Ask the route, before the body is read."""
        intake = self._admitted.route.intake
        assert intake is not None
        try:
            self._intake = intake(self._admitted.request, self._services, self._admitted.length)
        except Exception as error:
            self._refuse(error)

    def take(self, data: bytes) -> None:
        """Hand over a portion."""
        if self.refusal is None and self._intake is not None:
            try:
                self._digest.update(data)
                self._intake.take(data)
            except Exception as error:
                self._refuse(error)

    def end(self) -> Response:
        """The answer, when all came. What was taken in of a body that is not the one that was signed stays."""
        if self.refusal is None and self._intake is not None:
            if self._digest.digest() != self._admitted.digest:
                return problem(400, "digest", "the body is not the one that was signed", next="Send it again.")
            try:
                return self._intake.end()
            except Exception as error:
                self._refuse(error)
        assert self.refusal is not None
        return self.refusal

    def _refuse(self, error: Exception) -> None:
        self.refusal = problem_of(error)
        if self.refusal.status == 500:
            self._fault(error)

"""What keeps a part of the process from its work: logged once, and once that it is over, and a sentence for /readyz in between."""

from __future__ import annotations

import logging

log = logging.getLogger(__name__)


class Complaint:
    """Of one part."""

    def __init__(self, trouble: str, over: str, problem: str = "") -> None:
        """`trouble` and `over` are what is logged. `problem` holds from the start; nothing is logged of it, for nobody has tried yet."""
        self._trouble, self._over = trouble, over
        self.problem = problem
        """Why it does not work, a sentence. Empty when it does."""

    def say(self, problem: str) -> None:
        """How the last attempt went. Empty: well."""
        if problem and problem != self.problem:
            log.warning(self._trouble, extra={"why": problem})
        elif self.problem and not problem:
            log.info(self._over)
        self.problem = problem

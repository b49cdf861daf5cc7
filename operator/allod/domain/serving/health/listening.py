"""What follows from what is heard of one pod: evidence comes in, a state and the seconds until the next look go out. No I/O, no clock.

                        a verdict                          a verdict
        Unknown ------------------------> Serving <-----------------------> Faulty, Starting, Draining
           ^                                 |
           |          +----------------------+----------------------+
           |          | no verdict in time   | closed or refused,   | no answer to a connection
           |          v                      v and again            v
           |        Silent                 Gone                 Unreachable
           |
           +-- another page than ours, a connection that does not last, or no way for us to look

A verdict leads out of every state. A pod that has never served in this life is Starting instead of Silent, Gone or Unreachable: its
startup probe ends starts that last too long. A pod that said it drains stays Draining: it closes its port before its work is done.

Evidence is never one packet. A closed or refused connection is looked at again at once, and only the second time in a row counts
(measured on a killed process: 0.03 s). Silence counts in *watched* seconds: time in which our own event loop stood still is no silence.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from allod.domain.serving.health.beat import State

TICK: Final = 0.05
"""Seconds between looks at the time: how much later than at its limit a silence is found. Half of it on average."""
BLINK: Final = 0.25
"""Seconds of a gap between two looks that count at most. Five missed ticks are a loaded loop; more is a loop that stood still."""
SILENCE: Final = 1.2
"""Seconds without a verdict. Beats come each 0.5 s: two missed in full, and 0.2 s for the second to be late. After a process stopped
that is 0.7 to 1.25 s, as it stopped just before or just after a beat."""
CONNECT: Final = 0.75
"""Seconds for a connection. In a cluster it takes 1 ms; a lost SYN is sent again after 1 s, which is too late to wait for."""
LASTS: Final = 2.0
"""Seconds of verdicts after which earlier failures are forgotten."""
HASTE: Final = 2
"""How often a failure is looked at again at once until verdicts last: a server that closes each connection after one word would be asked
thousands of times a second."""
FIRST, CAP = 0.25, 5.0
"""Seconds until the next look after a failure, doubled with each. 1,000 dead pods take 2 to 3 % of a core at the cap (measured). That a pod
is back is known from its readiness too, which makes us look at once."""
FOREIGN_FIRST, FOREIGN_CAP = 1.0, 60.0
"""The same for a page that is not ours: nothing will change until somebody changes the image."""
EVIDENCE: Final = frozenset({"Silent", "Gone", "Unreachable"})


@dataclass(slots=True)
class Attention:
    """Watched seconds: as much time as the observer really looked."""

    now: float = 0.0
    looked_at: float | None = None

    def look(self, at: float) -> float:
        """Takes in the time (seconds of any steady clock). Returns by how much this look is late, in seconds."""
        gap = 0.0 if self.looked_at is None else at - self.looked_at
        self.looked_at = at
        self.now += min(gap, BLINK)
        return max(0.0, gap - TICK)


@dataclass(slots=True)
class Listening:
    """One pod in one life of its engine. `now` is in watched seconds; what returns a number returns seconds until the next look."""

    proven: bool = False
    """It has served in this life, by its own word or by kubelet's."""
    state: State = "Unknown"
    message: str = "not looked long enough"
    words: str = ""
    """The verdict's own words, without numbers that move."""
    heard_at: float = -math.inf
    connected_at: float | None = None
    good_since: float | None = None
    """Since when verdicts come and nothing fails."""
    blows: int = 0
    """Closed or refused in a row, without a verdict in between."""
    last_blow: str = ""
    failures: int = 0
    hastes: int = 0
    """Looks at once, since verdicts lasted."""

    def connected(self, now: float) -> None:
        """There is a connection, and the question is sent."""
        self.connected_at = now

    def parted(self) -> None:
        """The connection ended as it should, with the next one due."""
        self.connected_at = None

    def heard(self, now: float, state: State, words: str, inflight: int | None) -> bool:
        """A verdict: whether it is another one than before. `inflight` requests are told where there is a fault."""
        self.heard_at = now
        self.blows = 0
        if self.failures:
            self._forgive(now)
        if state == self.state and words == self.words:
            return False
        self.state, self.words, self.message = state, words, _sentence(state, words, inflight)
        if state in ("Serving", "Starting"):
            self.proven = state == "Serving"
        return True

    def closed(self, how: str) -> float:
        """A connection ended that should not have."""
        return self._blow(how, "Gone")

    def refused(self) -> float:
        """Nobody listens on the port."""
        return self._blow("refused", "Gone")

    def rejected(self, how: str) -> float:
        """The network says that there is no way."""
        return self._blow(f"rejected ({how})", "Unreachable")

    def unanswered(self) -> float:
        """No connection within CONNECT."""
        self._say("Unreachable", f"no answer to a connection for {CONNECT:g} s")
        return self._failed()

    def silent(self, now: float) -> float:
        """The deadline has passed. The connection is given up for a new one: it tells a hung server from a node that is away."""
        since = now - max(self.heard_at, self.connected_at or 0.0)
        self._say("Silent", f"no heartbeat for {since:.1f} s" if self.heard_at > -math.inf else f"connected, and no word for {since:.1f} s")
        self._failed()
        return 0.0

    def foreign(self, what: str) -> float:
        """What came is not a page of ours: an older watchdog, or an image of the user's own."""
        self.state, self.message, self.words = "Unknown", what, ""
        self._failed()
        return min(FOREIGN_CAP, FOREIGN_FIRST * 2.0 ** min(self.failures - 1, 10))

    def unable(self, why: str) -> float:
        """We could not even try: says nothing about the pod."""
        self.state, self.message, self.words = "Unknown", f"cannot look: {why}", ""
        return self._failed()

    def deadline(self) -> float:
        """When, in watched seconds, the connection has been silent for too long."""
        if self.connected_at is None:
            return math.inf
        if self.heard_at >= self.connected_at:
            return self.heard_at + SILENCE
        return self.connected_at + max(SILENCE, self._patience())

    def _blow(self, how: str, state: State) -> float:
        self.blows += 1
        before, self.last_blow = self.last_blow, how
        patience = self._failed()
        if self.blows > 1:
            self._say(state, f"the connection was {f'{how} twice' if before == how else f'{before}, then {how}'}")
        elif self.hastes < HASTE:
            self.hastes += 1
            return 0.0
        else:
            self._say("Unknown", f"no connection lasts: {how}, {self.failures} failures in a row")
        return patience

    def _failed(self) -> float:
        self.connected_at = self.good_since = None
        self.failures += 1
        return self._patience()

    def _patience(self) -> float:
        return min(CAP, FIRST * 2.0 ** min(self.failures - 1, 10))

    def _forgive(self, now: float) -> None:
        if self.good_since is None:
            self.good_since = now
        elif now - self.good_since >= LASTS:
            self.failures = self.hastes = 0

    def _say(self, state: State, message: str) -> None:
        """A state that is not the pod's own word."""
        if self.state == "Draining":
            return
        if state in EVIDENCE and not self.proven:
            state, message = "Starting", f"it has not served yet: {message}"
        if state != self.state:
            self.state, self.message, self.words = state, message, ""


def _sentence(state: State, words: str, inflight: int | None) -> str:
    if not words:
        return "it says that it is well" if state == "Serving" else "it says that something is wrong"
    return f"{words}; requests in flight: {inflight}" if state == "Faulty" and inflight is not None else words

"""Whether one revision has more bad requests than another: a test that may be looked at as often as one likes.

A bare threshold would be crossed by chance sooner or later, and so would a usual test that is repeated at each look. Here evidence is
what a bet has won. At each look, of the requests since the last one, n of the new revision with x bad ones and N of the old one with X,
the stake is multiplied by

    a^x * b^(X + d*N)      with  s = n / (n + N),  a = r / (r*s + 1 - s),  b = 1 / (r*s + 1 - s)

for a ratio r > 1. `s` is the new revision's share of the requests, and of the bad ones too if both are equally good; r says by how much
worse the bet takes it to be, and several are bet on with equal stakes (`RATIOS`). d is the part of bad requests that is allowed on top.

Why chance seldom wins: let bad requests be independent, with probability p <= P + d in this look. As 1 + p(a-1) <= exp(p(a-1)), the
expected factor is at most exp(np(a-1) + NP(b-1) + dN ln b). From s*a + (1-s)*b = 1 follows n(a-1) = N(1-b), so this is at most
exp(dN(1 - b + ln b)) <= 1. So while the new revision is no worse than allowed the stake is a supermartingale, and by Ville's inequality
it ever reaches 1/q with a probability of at most q: however long, and however often one looks. p and P may change from look to look,
as they do when load does; n and N may be anything that does not depend on what came of these very requests.

What it takes to see a real difference (simulated in the tests, q = 0.01): with a tenth of the traffic, 10 % errors against 0.5 % are
found within 150 requests of the new revision in 19 of 20 cases, and 3 % within 700.
Where it is wrong: requests that fail together (one burst, one node) are not independent, and weigh more than they should.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log

RATIOS = (1.5, 2.0, 4.0, 8.0, 20.0)
"""Which ratios are bet on: one that lies between two of them is found nearly as soon."""


@dataclass(frozen=True, slots=True)
class Look:
    """Requests since the last look."""

    requests: float
    """Of the new revision."""
    bad: float
    old_requests: float
    old_bad: float


@dataclass(frozen=True, slots=True)
class Stake:
    """What was won so far."""

    logs: tuple[float, ...] = (0.0,) * len(RATIOS)
    """Natural logarithms, by ratio."""

    def after(self, look: Look, allowed: float = 0.0) -> Stake:
        """One look more; at one side alone it says nothing. `allowed` is the part of requests that may be bad beyond the old one's."""
        together = look.requests + look.old_requests
        if not look.requests or not look.old_requests:
            return self
        share = look.requests / together
        old = look.old_bad + allowed * look.old_requests
        won = []
        for before, ratio in zip(self.logs, RATIOS, strict=True):
            worth = log(ratio * share + 1 - share)
            won.append(before + look.bad * (log(ratio) - worth) - old * worth)
        return Stake(tuple(won))


def evidence(*stakes: Stake) -> float:
    """Natural logarithm of the mean of all bets. The probability that it ever reaches -ln(q) by chance is at most q."""
    logs = [each for stake in stakes for each in stake.logs]
    most = max(logs)
    return most + log(sum(exp(each - most) for each in logs) / len(logs))

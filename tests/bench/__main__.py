"""`python -m bench [NAME ...]`: measures one after the other and publishes each."""

from __future__ import annotations

import argparse

from bench import box, failover, hang, heartbeats, nothing, operator, prometheus, scrapes, silence, watchdog
from bench.publication import publish

BENCHES = {
    "box": box.figures,
    "failover": failover.figures,
    "hang": hang.figures,
    "heartbeats": heartbeats.figures,
    "nothing": nothing.figures,
    "operator": operator.figures,
    "prometheus": prometheus.figures,
    "scrapes": scrapes.figures,
    "silence": silence.figures,
    "watchdog": watchdog.figures,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument(
        "name", nargs="*", help=f"of {', '.join(BENCHES)}; without one: all but nothing, which fetches and builds everything anew"
    )
    asked = parser.parse_args()
    if unknown := set(asked.name) - set(BENCHES):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(BENCHES)}")
    for name in asked.name or [each for each in BENCHES if each != "nothing"]:
        print(f"== {name}", flush=True)
        print(publish(name, BENCHES[name]()), flush=True)


main()

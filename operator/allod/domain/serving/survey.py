"""The world of one model, sorted: which revisions there are, how each of them does, and where the Service points."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from allod.domain.names import REVISION
from allod.domain.serving import pod as pods
from allod.domain.serving import trial as trials
from allod.domain.serving import wishes
from allod.domain.serving.canary import canary, gateway
from allod.domain.serving.engine.download import past_hub
from allod.domain.serving.groups import regroup
from allod.domain.serving.groups.group import asked, groups, statefulsets
from allod.domain.serving.groups.lostrank import lost_rank, sentence
from allod.domain.serving.health.evidence import finding as heard
from allod.domain.serving.health.evidence import group_serves
from allod.domain.serving.health.finding import Finding
from allod.domain.serving.health.findings import PREPARED, RevisionSeen, first_finding, mounts_until, prepared_since
from allod.domain.serving.health.slos import slo_finding
from allod.domain.serving.revision import Revision, hash_of, remembered, snapshot, wanted_hash
from allod.domain.serving.revisionfacts import RevisionFacts
from allod.domain.serving.standby import standby as standbys
from allod.domain.serving.trial import Case, Rules
from allod.domain.serving.wanted import wanted as wanted_pods

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from allod.domain.manifest import Manifest
    from allod.domain.serving.groups.group import Group
    from allod.domain.serving.seen import Seen
    from allod.domain.serving.standby.standby import StandbySeen
    from allod.domain.serving.trial import Trial


@dataclass(frozen=True, slots=True)
class Survey:
    """Everything that is there."""

    desired: Revision
    """What the spec asks for, or a person in its place; remembered or new."""
    is_new: bool
    """Whether `desired` is not remembered yet."""
    by_hand: bool
    """A person wants `desired` in place of what the spec asks for."""
    facts: Mapping[str, RevisionFacts]
    """By hash, oldest first, of every remembered revision."""
    home: str | None
    """The revision that traffic belongs to: where the stable Service points, or would."""
    on_standby: str | None
    """The standby that the stable Service points at instead."""
    standby: StandbySeen | None
    """The one that the spec names."""
    shares: Mapping[str, int]
    """Percent of the Gateway's traffic by revision, of those that were seen to get any."""

    def look_again(self, now: datetime) -> Iterator[datetime]:
        """When something turns of which no event tells: a trial, a pod that is prepared for too long, a hub that gives after all."""
        staying = [pod for facts in self.facts.values() for pod in facts.pods]
        starts = (since for pod in staying if (since := prepared_since(pod)))
        yield from (since + PREPARED for since in starts if since + PREPARED > now)
        asking = [(facts.revision.snapshot, pod) for facts in self.facts.values() for pod in facts.pods]
        yield from (moment for spec, pod in asking if (moment := mounts_until(spec, pod)) and moment > now)
        engines = ((spec, engine) for spec, pod in asking if (engine := pods.container(pod, pods.ENGINE)) and not engine.ready)
        yield from (moment for spec, engine in engines if (moment := past_hub(engine, spec)) and moment > now)
        yield from (facts.deadline for facts in self.facts.values() if facts.deadline and facts.deadline > now)

    @property
    def newest(self) -> int:
        """Number of the newest revision; 0 without any."""
        return max((facts.revision.number for facts in self.facts.values()), default=0)

    @property
    def fallback(self) -> str | None:
        """Where traffic could return: what serves before what is only remembered, newer before older."""
        others = (facts for name, facts in self.facts.items() if name not in (self.home, self.desired.hash) and not facts.failed)
        able = [facts for facts in others if facts.good or (facts.proven and facts.asked)]
        best = max(able, key=lambda facts: (facts.ready > 0, facts.revision.number), default=None)
        return best.revision.hash if best else None


def survey(seen: Seen, now: datetime) -> Survey:
    """Sort what was seen."""
    taken = snapshot(seen.model.spec)
    exact = hash_of(taken)
    known = _known(seen, taken, exact)
    by_hash = {revision.hash: revision for revision in known}
    on_standby = standbys.routed(seen)
    home = _home(seen, known, on_standby=on_standby is not None)
    # The newest may be on its way: as a canary it may have served for hours.
    spec = wanted_hash(taken, *(_kept(seen, each, now) for each in (by_hash.get(home or ""), known[-1] if known else None)))
    by_hand = wishes.rolled_back(seen, by_hash)
    wanted = by_hand or spec
    newest = max((revision.number for revision in known), default=0)
    desired = by_hash.get(wanted) or Revision(wanted, newest + 1, taken)
    found = Survey(
        desired,
        wanted not in by_hash,
        by_hand not in (None, spec),
        {},
        home,
        on_standby,
        standbys.find(seen),
        gateway.shares(seen, by_hash),
    )
    return replace(found, facts=_judged(seen, found, known, now))


def _known(seen: Seen, taken: Mapping[str, Any], exact: str) -> tuple[Revision, ...]:
    """What is remembered, and what the spec asks for and was given up: of that there may be no groups from which to read it."""
    known = tuple(replace(each, snapshot=taken) if each.hash == exact else each for each in remembered(seen.children))
    if any(each.hash == exact for each in known) or _given_up_before(written(seen, exact)) is None:
        return known
    return (*known, Revision(exact, max((each.number for each in known), default=0) + 1, taken))


def _kept(seen: Seen, revision: Revision | None, now: datetime) -> Revision | None:
    """It, if a spec may go on with it though its pods have more than it asks for: it has served, and none is stuck."""
    if revision is None:
        return None
    before, replicas = written(seen, revision.hash), groups(seen, revision)
    serving = any(group_serves(seen, group) for group in replicas)
    has_served = trials.served(before) or serving
    finding = first_finding(_revision_seen(seen, revision, replicas, now, proven=True))
    # One pod of several, or GPUs that are short, are no reason to exchange what serves.
    hangs = finding is not None and finding.reason != "InsufficientGPUs" and not serving
    return revision if has_served and not hangs and before.get("state") != "Failed" else None


def written(seen: Seen, revision: str) -> Mapping[str, Any]:
    """What the last status says of a revision; empty when it does not know it."""
    listed = seen.status.get("revisions") or []
    return next((found for found in listed if found.get("name") == revision), {})


def _judged(seen: Seen, found: Survey, known: Sequence[Revision], now: datetime) -> dict[str, RevisionFacts]:
    """Each on its own first, then against the others: what is given up depends on who else serves."""
    rules = Rules.of(seen.model.spec)
    cases = {revision.hash: _case(seen, found, revision, known, now) for revision in known}
    tried = {name: trials.trial(case, rules) for name, case in cases.items()}
    elsewhere = bool(found.on_standby and found.standby and found.standby.ready)
    facts = {}
    for revision in known:
        name = revision.hash
        others = [other for other in cases if other != name]
        failed = trials.verdict(
            cases[name],
            tried[name],
            rules,
            another_ready=elsewhere or any(cases[other].ready for other in others),
            way_back=cases[name].shares or (name == found.home and any(_could_serve(cases[other], tried[other]) for other in others)),
        )
        facts[name] = RevisionFacts(
            revision,
            asked=asked(seen, revision),
            groups=groups(seen, revision),
            ready=cases[name].ready,
            trial=tried[name],
            finding=failed or cases[name].finding,
            failed=failed is not None,
            deadline=min(trials.deadlines(cases[name], tried[name], rules, alone=not others), default=None),
        )
    return facts


def _could_serve(case: Case, tried: Trial) -> bool:
    return not case.given_up and (tried.good_since is not None or case.ready > 0)


def _case(seen: Seen, found: Survey, revision: Revision, known: Sequence[Revision], now: datetime) -> Case:
    name, replicas, asked_for = revision.hash, groups(seen, revision), asked(seen, revision) or 0
    again = wishes.tries_again(seen, name, found.desired.hash)
    before = written(seen, name)
    given_up = _given_up_before(before)
    before = {} if given_up and again else before  # another try is a new trial
    told = seen.status.get("canary") or {}
    shares = found.home not in (None, name) and (name in found.shares or (told.get("revision") == name and told.get("step", 0) > 0))
    return Case(
        now=now,
        before=before,
        asked=asked_for,
        ready=sum(group_serves(seen, group) for group in replicas),
        whole=asked_for >= wanted_pods(seen),
        finding=_finding(seen, revision, replicas, proven=trials.served(before), now=now),
        home_since=_home_since(seen, name, now) if name == found.home and not found.on_standby else None,
        alone=not seen.status.get("revisions") and all(asked(seen, other) is None for other in known if other != revision),
        given_up=None if again else given_up,
        shares=shares,
        measured=seen.measurement is None or seen.measurement.whole,
        worse=_worse(seen, found, name),
    )


def _revision_seen(seen: Seen, revision: Revision, replicas: Sequence[Group], now: datetime, *, proven: bool) -> RevisionSeen:
    staying = tuple(pod for group in replicas for pod in group.pods)
    names = {each["metadata"]["name"] for each in statefulsets(seen, revision)}
    failing = {group.name: regroup.lately(seen, group.name, now) for group in replicas if group.size > 1 and not group_serves(seen, group)}
    return RevisionSeen(
        now,
        (asked(seen, revision) or 0) * revision.nodes,
        staying,
        proven,
        tuple(event for event in seen.events if _about(event) in names),
        revision.snapshot,
        {name: causes for name, causes in failing.items() if causes},
    )


def _worse(seen: Seen, found: Survey, name: str) -> Finding | None:
    if name == found.home or name != found.desired.hash:
        return None
    return canary.verdict(seen.duel, name, found.home, seen.model.spec.rollout.canary.min_requests)


def _finding(seen: Seen, revision: Revision, replicas: Sequence[Group], *, proven: bool, now: datetime) -> Finding | None:
    """What is wrong with its pods: by what Kubernetes says, by what was heard, by what was counted."""
    staying = tuple(pod for group in replicas for pod in group.pods)
    return (
        first_finding(_revision_seen(seen, revision, replicas, now, proven=proven))
        or next((Finding("RankLost", sentence(group, lost)) for group in replicas if (lost := lost_rank(group))), None)
        or heard(seen, staying)
        or slo_finding(seen.model.spec.health.slos, seen.windows.get(revision.hash, {}))
    )


def _home_since(seen: Seen, revision: str, now: datetime) -> datetime:
    traffic = seen.status.get("traffic") or {}
    there = traffic.get("name") == revision and traffic.get("since")
    return datetime.fromisoformat(traffic["since"]) if there else now


def _given_up_before(before: Mapping[str, Any]) -> Finding | None:
    if before.get("state") != "Failed":
        return None
    return Finding(before.get("reason", "Failed"), before.get("message", "it failed before"), "Always")


def _home(seen: Seen, known: Sequence[Revision], *, on_standby: bool) -> str | None:
    """What the Service says; where it is gone or points at the standby, what the status remembers; else what serves."""
    service = standbys.service(seen)
    points_at = [] if on_standby or not service else [(service["spec"].get("selector") or {}).get(REVISION)]
    names = [revision.hash for revision in known]
    serving = [each.hash for each in known if any(group_serves(seen, group) for group in groups(seen, each))][::-1]
    # The standby goes on answering for somebody, though nothing of ours runs.
    running = [*(each.hash for each in known if asked(seen, each) is not None), *names[::-1]] if on_standby else []
    return next((name for name in [*points_at, seen.status.get("activeRevision"), *serving, *running] if name in names), None)


def _about(event: Manifest) -> str:
    return str((event.get("regarding") or event.get("involvedObject") or {}).get("name", ""))

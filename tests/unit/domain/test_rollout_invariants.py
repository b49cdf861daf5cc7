"""Random failures, restarts, edits and shortages: what has to hold at every step, and that it comes to rest."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from allod.domain.names import REPLICA_GROUP, REVISION
from allod.domain.serving.canary.canary import ERRORS
from allod.domain.serving.canary.contest import Duel
from allod.domain.serving.canary.gateway import API
from allod.domain.serving.claim import Held
from allod.domain.serving.decide import decide
from allod.domain.serving.health.counts import Counts
from allod.domain.serving.revision import edition
from allod.domain.serving.wishes import RETRY
from allod.render.serving.plan import plan
from unit.domain.simulation import World, companion, crashing, hung, ready, refused, starting

if TYPE_CHECKING:
    from collections.abc import Callable

    from allod.domain.plan import Plan
    from unit.domain.simulation import Status

ENGINES: dict[str, Callable[[], Status]] = {
    "ready": ready,
    "starting": starting,
    "refused": refused,
    "crashing": crashing,
    "hung": hung,
}
LENGTHS = (1024, 2048, 4096)
STRATEGIES = ("Surge", "Recreate", "StandbyHandoff", "Canary")
CANARY = {"parentRef": {"name": "edge"}, "steps": [{"weight": 10, "hold": "30s"}, {"weight": 50, "hold": "2m"}]}
STANDBY = "chat-small"
STAGES = (Held(), Held(frozenset({"chat"})), Held(frozenset({"chat"}), served=True))
"""How far another model came under our name."""


def rollout(strategy: str, bake: str) -> dict[str, Any]:
    """With any strategy there is a Gateway."""
    canary = CANARY if strategy == "Canary" else {"parentRef": CANARY["parentRef"]}
    return {"strategy": strategy, "bake": bake, "canary": canary}


class Watched(World):
    """A world in which every single step is looked at, those on the way to rest too."""

    def reconcile(self) -> Plan:
        before, up, had, answers = self.route, self.serving(), self.asked(), self.standby_answers()
        given_up = {each["name"] for each in self.status.get("revisions", ()) if each["state"] == "Failed"}
        same_spec = self.status.get("observedSpec") == edition(self.model.spec)
        wished = self.annotations.get(RETRY) != self.status.get("retried")
        gateway, known = self.weights, self.recorded()
        made = super().reconcile()
        has = self.asked()
        self.look_at_the_gateway(gateway, up, had)
        served = (before in up and before in known) or (before == STANDBY and answers)
        if before != self.route and served and self.spec["replicas"]:
            assert self.route in up or (self.route == STANDBY and answers), "traffic left what serves for what does not"
        assert self.route in has or self.route in ("-", STANDBY), "the Service points at a revision without a StatefulSet"
        gave_way = bool(self.neighbours) and before not in up
        # Of no groups there is no StatefulSet either, from which a revision could be read whose record somebody deletes.
        assert before in has or not had.get(before) or gave_way, "a revision was removed before traffic was seen to have left it"
        if not self.spec.get("suspend") and self.condition("Degraded")[1] == "NameTaken":
            assert has.keys() <= had.keys(), "a model whose name another one keeps got pods"
        assert len(has) <= 2, f"more than two revisions have pods: {has}"
        assert sum(has.values()) <= max(sum(had.values()), self.most()), f"more pods than the strategy allows: {had} -> {has}"
        if same_spec and not wished:
            letters = [self.letters.get(name, "") for name in given_up]
            tried = [letter for letter in letters if has.get(letter, 0) > had.get(letter, 0)]
            assert not tried, "a revision that was given up has pods again"
        return made

    def look_at_the_gateway(self, before: dict[str, int], up: list[str], had: dict[str, int]) -> None:
        """Weights are 100 together, on targets with ready pods; nothing is taken from under them."""
        weights, has = self.weights, self.asked()
        if not weights or self.spec.get("suspend"):
            return
        assert sum(weights.values()) == 100, f"weights are not 100 together: {weights}"
        assert len(weights) <= 2
        home = self.letters.get(self.status.get("activeRevision", ""), "")
        trying = {name for name in weights if name != home and name in self.letters.values()}
        assert not trying - set(up), f"a target without ready pods gets traffic: {weights}, {up} are ready"
        failed = {self.letters[each["name"]] for each in self.status.get("revisions", ()) if each["state"] == "Failed"}
        assert not trying & failed, "a revision that was given up gets traffic"
        lost = [name for name in before if name != home and name in had and has.get(name, 0) < had[name]]
        assert not lost, f"pods go before their traffic has left them: {lost} of {before}"

    def recorded(self) -> set[str]:
        """Revisions that the cluster remembers.

        Of no groups there is no StatefulSet, from which one could be read whose record somebody deletes while its last pods end: nobody
        knows it then, and traffic goes to what is wanted next.
        """
        kept = (child for kind in ("ControllerRevision", "StatefulSet") for child in self._kind(kind))
        return {self.letter(child["metadata"]["labels"][REVISION]) for child in kept}

    def standby_answers(self) -> bool:
        return self.companion is not None and bool(self.companion.pods)

    def most(self) -> int:
        rollout, wanted = self.spec["rollout"], int(self.spec["replicas"])
        beside = rollout.get("strategy", "Surge") in ("Surge", "Canary")
        return wanted + (int(rollout.get("maxSurge", wanted)) if beside else 0)

    def at_rest(self) -> None:
        """What has to hold once nothing changes any more."""
        if self.weights and self.status.get("revisions") and "canary" not in self.status and not self.spec.get("suspend"):
            assert list(self.weights.values()) == [100], f"without a canary one target gets everything: {self.weights}"
        if not self.spec["replicas"] or self.spec.get("suspend"):
            return
        up = self.serving()
        if self.route == STANDBY and not self.standby_answers():
            home = self.letters.get(self.status.get("activeRevision", ""), "")
            assert home not in up, "traffic waits on a dead standby while the model serves"
        if self.route not in (STANDBY, "-") and self.route not in up and self.standby_answers():
            assert not self.proven(self.route), "traffic waits for a model that was lost while its standby answers"

    def proven(self, letter: str) -> bool:
        told: dict[str, Any] = next((each for each in self.status["revisions"] if self.letters.get(each["name"]) == letter), {})
        return bool(told.get("readySince"))

    def length(self, letter: str) -> int:
        """By which a revision is told from others: its maxModelLen."""
        for child in self._kind("StatefulSet"):
            if self.letter(child["metadata"]["labels"][REVISION]) == letter:
                engine = next(part for part in child["spec"]["template"]["spec"]["containers"] if part["name"] == "engine")
                return int(next(word for word in engine["args"] if word.startswith("--max-model-len=")).partition("=")[2])
        return 0


MOMENTS = 15
"""Seconds: each step that moves a Gateway's traffic waits some for its proxies."""

SETTLING = timedelta(seconds=2)
"""How long a world at rest takes to show that it is."""


class Rollouts(RuleBasedStateMachine):
    """One model, and everything that may happen to it."""

    def __init__(self) -> None:
        super().__init__()
        self.world = Watched()
        self.does: dict[int, str] = {}
        self.failed = 0

    def compare(self, new: str, old: str) -> Duel | None:
        """Of a hundred requests so many failed."""
        duel = Duel(new, old, (ERRORS,))
        return duel.after(Counts({"answered": 100 - self.failed, "failed": self.failed}), Counts({"answered": 1000.0}))

    @initialize(
        gpus=st.integers(0, 4),
        replicas=st.integers(0, 2),
        at_rest=st.booleans(),
        strategy=st.sampled_from(STRATEGIES),
        bake=st.sampled_from(["0s", "2m"]),
        surge=st.sampled_from([None, 1]),
        nodes=st.sampled_from([1, 3]),
    )
    def begin(self, *, gpus: int, replicas: int, at_rest: bool, strategy: str, bake: str, surge: int | None, nodes: int) -> None:
        self.world.gpus = gpus * nodes
        self.world.spec |= {"nodes": nodes, "parallelism": {"tensor": nodes}}
        self.world.companion = companion()
        self.world.spec["standby"] = {"modelDeploymentRef": {"name": STANDBY}}
        self.world.spec["health"] = {"failover": {"holdFor": "1m"}}
        stepwise = {"maxSurge": surge} if surge and strategy == "Surge" else {}
        self.world.spec["rollout"] = rollout(strategy, bake) | stepwise
        self.world.apis = frozenset({API})
        self.world.duel = self.compare
        self.world.spec["replicas"] = replicas
        self.world.spec["engine"]["maxModelLen"] = LENGTHS[0]
        self.world.engine = lambda letter: ENGINES[self.does.get(self.world.length(letter), "ready")]()
        if at_rest:
            self.world.settle()

    @rule(length=st.sampled_from(LENGTHS), does=st.sampled_from(sorted(ENGINES)), known=st.booleans())
    def edit_the_model(self, length: int, does: str, known: bool) -> None:  # noqa: FBT001  # Hypothesis draws it
        self.does[length] = does
        self.world.edit(engine__maxModelLen=length, engine__args={} if known else {"swap-space": "1"})

    @rule(replicas=st.integers(0, 3))
    def scale(self, replicas: int) -> None:
        self.world.edit(replicas=replicas)

    @rule(length=st.sampled_from(LENGTHS), does=st.sampled_from(sorted(ENGINES)), gpus=st.integers(0, 6))
    def engines_change_their_mind_and_gpus_come_and_go(self, length: int, does: str, gpus: int) -> None:
        self.does[length] = does
        self.world.gpus = gpus * int(self.world.spec["nodes"])

    @rule(nodes=st.sampled_from([1, 3]))
    def a_replica_gets_other_pods(self, nodes: int) -> None:
        self.world.edit(nodes=nodes, parallelism={"tensor": nodes})

    @precondition(lambda self: any(REPLICA_GROUP in pod["metadata"]["labels"] and "status" in pod for pod in self.world.pods.values()))
    @rule(pick=st.integers(0, 20), after=st.sampled_from([15, 60]))
    def a_rank_ends(self, pick: int, after: int) -> None:
        self.world.now += timedelta(seconds=after)
        ranks = sorted(name for name, pod in self.world.pods.items() if REPLICA_GROUP in pod["metadata"]["labels"] and "status" in pod)
        self.world.rank_ends(ranks[pick % len(ranks)])

    @rule(node_dies=st.booleans())
    def kubernetes_does_something(self, node_dies: bool) -> None:  # noqa: FBT001  # Hypothesis draws it
        if node_dies:
            self.world.pods.clear()
        self.world.kubernetes()

    @rule(up=st.integers(0, 1))
    def the_standby_comes_and_goes(self, up: int) -> None:
        self.world.companion = companion(up=up)

    @rule(
        stage=st.sampled_from([None, *STAGES]),
        created=st.sampled_from(["2026-11-20T00:00:00Z", "2026-11-20T01:00:00Z", "2026-11-20T02:00:00Z"]),
    )
    def a_rival_for_the_name_comes_and_goes(self, stage: Held | None, created: str) -> None:
        self.world.neighbours = ()
        if stage is not None:
            self.world.with_neighbour("brother", created, "chat", held=stage)

    @rule(strategy=st.sampled_from(STRATEGIES))
    def a_person_prefers_another_strategy(self, strategy: str) -> None:
        self.world.edit(rollout=rollout(strategy, self.world.spec["rollout"]["bake"]))

    @rule(failed=st.sampled_from([0, 0, 30]))
    def the_comparison_turns_out_otherwise(self, failed: int) -> None:
        self.failed = failed

    @rule(served=st.booleans())
    def the_gateway_api_comes_and_goes(self, served: bool) -> None:  # noqa: FBT001  # Hypothesis draws it
        self.world.apis = frozenset({API}) if served else frozenset()
        for name in [] if served else [name for name in self.world.children if name.kind == "HTTPRoute"]:
            del self.world.children[name]

    @rule(says=st.sampled_from(["True", "False"]))
    def the_gateway_changes_its_mind(self, says: str) -> None:
        def answer(route: dict[str, Any]) -> dict[str, Any]:
            conditions = [{"type": "Accepted", "status": says, "reason": "Pending"}]
            return {"parents": [{"parentRef": route["spec"]["parentRefs"][0], "conditions": conditions}]}

        self.world.gateway = answer

    @rule(suspend=st.booleans())
    def a_person_suspends_or_resumes(self, suspend: bool) -> None:  # noqa: FBT001  # Hypothesis draws it
        self.world.edit(suspend=suspend)

    @rule(annotation=st.sampled_from(["rollback-to", "retry-revision", "return-traffic", "drill"]), pick=st.integers(0, 5))
    def a_person_wishes(self, annotation: str, pick: int) -> None:
        known = [*self.world.letters, ""]
        self.world.annotations = {f"allod.dev/{annotation}": known[pick % len(known)]}

    @rule(seconds=st.sampled_from([1, 31, 130]))
    def time_goes_by(self, seconds: int) -> None:
        self.world.wait(seconds)

    @rule(kind=st.sampled_from(["ConfigMap", "NetworkPolicy", "PodDisruptionBudget", "ControllerRevision"]))
    def somebody_deletes_children(self, kind: str) -> None:
        for name in [name for name in self.world.children if name.kind == kind]:
            del self.world.children[name]

    @rule(times=st.integers(1, 3))
    def reconcile(self, times: int) -> None:
        for _ in range(times):
            self.world.reconcile()

    @rule()
    def it_comes_to_rest(self) -> None:
        self.world.wait(MOMENTS)
        due = self.world.reconcile().requeue_after
        if due is None or due > SETTLING:  # a drill, or a time to hold, may be over in this very moment
            assert self.world.settle() == []
        self.world.at_rest()

    @precondition(lambda self: self.world.status)
    @rule()
    def the_status_is_lost(self) -> None:
        self.world.lose_status()

    def teardown(self) -> None:
        """The same world gives the same plan, and whatever happened, it comes to rest."""
        seen = self.world.seen
        assert plan(seen, decide(seen, self.world.now)) == plan(seen, decide(seen, self.world.now))
        self.world.settle()


TestRollouts = Rollouts.TestCase
TestRollouts.settings = settings(max_examples=int(os.environ.get("ALLOD_HISTORIES", "60")), stateful_step_count=20, deadline=None)
"""60 histories in each run; ALLOD_HISTORIES asks for more (docs/contributing.md)."""

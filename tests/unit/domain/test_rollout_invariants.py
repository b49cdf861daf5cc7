"""Random failures, restarts, edits and shortages: what has to hold at every step, and that it comes to rest."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from allod.domain.names import REVISION
from allod.domain.serving.decide import decide
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
STRATEGIES = ("Surge", "Recreate", "StandbyHandoff")
STANDBY = "chat-small"


class Watched(World):
    """A world in which every single step is looked at, those on the way to rest too."""

    def reconcile(self) -> Plan:
        before, up, had, answers = self.route, self.serving(), self.asked(), self.standby_answers()
        given_up = {each["name"] for each in self.status.get("revisions", ()) if each["state"] == "Failed"}
        same_spec = self.status.get("observedSpec") == edition(self.model.spec)
        wished = self.annotations.get(RETRY) != self.status.get("retried")
        made = super().reconcile()
        has = self.asked()
        if before != self.route and (before in up or (before == STANDBY and answers)) and self.spec["replicas"]:
            assert self.route in up or (self.route == STANDBY and answers), "traffic left what serves for what does not"
        assert self.route in has or self.route in ("-", STANDBY), "the Service points at a revision without a StatefulSet"
        assert before in has or before not in had, "a revision was removed before traffic was seen to have left it"
        assert len(has) <= 2, f"more than two revisions have pods: {has}"
        assert sum(has.values()) <= max(sum(had.values()), self.most()), f"more pods than the strategy allows: {had} -> {has}"
        if same_spec and not wished:
            letters = [self.letters.get(name, "") for name in given_up]
            tried = [letter for letter in letters if has.get(letter, 0) > had.get(letter, 0)]
            assert not tried, "a revision that was given up has pods again"
        return made

    def standby_answers(self) -> bool:
        return self.companion is not None and bool(self.companion.pods)

    def most(self) -> int:
        rollout, wanted = self.spec["rollout"], int(self.spec["replicas"])
        return wanted + (int(rollout.get("maxSurge", wanted)) if rollout.get("strategy", "Surge") == "Surge" else 0)

    def at_rest(self) -> None:
        """What has to hold once nothing changes any more."""
        if not self.spec["replicas"] or self.spec.get("suspend"):
            return
        up = self.serving()
        if self.route == STANDBY and not self.standby_answers():
            home = self.letters.get(self.status["activeRevision"], "")
            assert home not in up, "traffic waits on a dead standby while the model serves"
        if self.route not in (STANDBY, "-") and self.route not in up and self.standby_answers():
            assert not self.proven(self.route), "traffic waits for a model that was lost while its standby answers"

    def proven(self, letter: str) -> bool:
        told: dict[str, Any] = next((each for each in self.status["revisions"] if self.letters.get(each["name"]) == letter), {})
        return bool(told.get("readySince"))

    def asked(self) -> dict[str, int]:
        """Pods that are asked for, by the letter of the revision."""
        found = [child for child in self.children.values() if child["kind"] == "StatefulSet"]
        return {self.letter(child["metadata"]["labels"][REVISION]): child["spec"]["replicas"] for child in found}

    def length(self, letter: str) -> int:
        """By which a revision is told from others: its maxModelLen."""
        for child in self._kind("StatefulSet"):
            if self.letter(child["metadata"]["labels"][REVISION]) == letter:
                engine = next(part for part in child["spec"]["template"]["spec"]["containers"] if part["name"] == "engine")
                return int(next(word for word in engine["args"] if word.startswith("--max-model-len=")).partition("=")[2])
        return 0


class Rollouts(RuleBasedStateMachine):
    """One model, and everything that may happen to it."""

    def __init__(self) -> None:
        super().__init__()
        self.world = Watched()
        self.does: dict[int, str] = {}

    @initialize(
        gpus=st.integers(0, 4),
        replicas=st.integers(0, 2),
        at_rest=st.booleans(),
        strategy=st.sampled_from(STRATEGIES),
        bake=st.sampled_from(["0s", "2m"]),
        surge=st.sampled_from([None, 1]),
    )
    def begin(self, *, gpus: int, replicas: int, at_rest: bool, strategy: str, bake: str, surge: int | None) -> None:
        self.world.gpus = gpus
        self.world.companion = companion()
        self.world.spec["standby"] = {"modelDeploymentRef": {"name": STANDBY}}
        self.world.spec["health"] = {"failover": {"holdFor": "1m"}}
        stepwise = {"maxSurge": surge} if surge and strategy == "Surge" else {}
        self.world.spec["rollout"] = {"strategy": strategy, "bake": bake} | stepwise
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
        self.world.gpus = gpus

    @rule(node_dies=st.booleans())
    def kubernetes_does_something(self, node_dies: bool) -> None:  # noqa: FBT001  # Hypothesis draws it
        if node_dies:
            self.world.pods.clear()
        self.world.kubernetes()

    @rule(up=st.integers(0, 1))
    def the_standby_comes_and_goes(self, up: int) -> None:
        self.world.companion = companion(up=up)

    @rule(strategy=st.sampled_from(STRATEGIES))
    def a_person_prefers_another_strategy(self, strategy: str) -> None:
        self.world.edit(rollout={"strategy": strategy, "bake": self.world.spec["rollout"]["bake"]})

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
        self.world.settle()
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

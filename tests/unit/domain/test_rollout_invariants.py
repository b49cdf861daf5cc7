"""Random failures, restarts, edits and shortages: what has to hold at every step, and that it comes to rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from allod.domain.names import REVISION
from allod.domain.serving.decide import decide
from allod.render.serving.plan import plan
from unit.domain.simulation import World, crashing, ready, refused, starting

if TYPE_CHECKING:
    from collections.abc import Callable

    from unit.domain.simulation import Status

ENGINES: dict[str, Callable[[], Status]] = {"ready": ready, "starting": starting, "refused": refused, "crashing": crashing}
LENGTHS = (1024, 2048, 4096)


class Rollouts(RuleBasedStateMachine):
    """One model, and everything that may happen to it."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.does: dict[int, str] = {}

    @initialize(gpus=st.integers(0, 4), replicas=st.integers(0, 2))
    def begin(self, gpus: int, replicas: int) -> None:
        self.world = World(gpus=gpus)
        self.world.spec["replicas"] = replicas
        self.world.spec["engine"]["maxModelLen"] = LENGTHS[0]
        self.world.engine = lambda letter: ENGINES[self.does.get(self._length(letter), "ready")]()

    @rule(length=st.sampled_from(LENGTHS))
    def edit_the_model(self, length: int) -> None:
        self.world.edit(engine__maxModelLen=length)

    @rule(replicas=st.integers(0, 3))
    def scale(self, replicas: int) -> None:
        self.world.edit(replicas=replicas)

    @rule(length=st.sampled_from(LENGTHS), does=st.sampled_from(sorted(ENGINES)))
    def engines_change_their_mind(self, length: int, does: str) -> None:
        self.does[length] = does

    @rule(gpus=st.integers(0, 6))
    def gpus_come_and_go(self, gpus: int) -> None:
        self.world.gpus = gpus

    @rule()
    def kubernetes_does_something(self) -> None:
        self.world.kubernetes()

    @rule()
    def a_node_dies(self) -> None:
        self.world.pods.clear()

    @rule()
    def somebody_deletes_a_child(self) -> None:
        for name in [name for name in self.world.children if name.kind in {"ConfigMap", "NetworkPolicy"}]:
            del self.world.children[name]

    @rule(known=st.booleans())
    def a_flag_is_written(self, known: bool) -> None:  # noqa: FBT001  # Hypothesis draws it
        self.world.edit(engine__args={"seed" if known else "swap-space": "1"})

    @rule()
    def reconcile(self) -> None:
        world = self.world
        before, up = world.route, world.serving()
        given_up = {each["name"] for each in world.status.get("revisions", ()) if each["state"] == "Failed"}
        same_spec = world.status.get("observedGeneration") == world.generation
        pods_before = self._asked()
        world.reconcile()
        asked = self._asked()
        if before != world.route and before in up and world.spec["replicas"]:
            assert world.route in up, "traffic left a revision that serves for one that does not"
        assert world.route in asked or world.route == "-", "the Service points at a revision without a StatefulSet"
        assert before in asked or before not in pods_before, "a revision was removed before traffic was seen to have left it"
        assert len(asked) <= 2, f"more than two revisions have pods: {asked}"
        if same_spec:
            assert not any(asked.get(world.letters[name], 0) for name in given_up if name in world.letters), "a failed revision has pods"

    @rule()
    def it_comes_to_rest(self) -> None:
        self.world.settle()
        assert self.world.settle() == []

    @precondition(lambda self: self.world.status)
    @rule()
    def the_status_is_lost(self) -> None:
        self.world.lose_status()

    @rule()
    def the_same_world_gives_the_same_plan(self) -> None:
        seen = self.world.seen
        assert plan(seen, decide(seen, self.world.now)) == plan(seen, decide(seen, self.world.now))

    def _asked(self) -> dict[str, int]:
        found = [child for child in self.world.children.values() if child["kind"] == "StatefulSet"]
        return {self.world.letter(child["metadata"]["labels"][REVISION]): child["spec"]["replicas"] for child in found}

    def _length(self, letter: str) -> int:
        for child in self.world.children.values():
            if child["kind"] == "ControllerRevision" and self.world.letter(child["metadata"]["labels"][REVISION]) == letter:
                return int(child["data"]["spec"]["engine"]["maxModelLen"])
        return 0


TestRollouts = Rollouts.TestCase
TestRollouts.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)

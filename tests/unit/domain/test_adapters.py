from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from allod.api.adapter import Adapter
from allod.api.modeldeployment import ModelDeploymentSpec
from allod.domain.manifest import Ref
from allod.domain.names import ADAPTERS
from allod.domain.serving.adapters.adapters import Room, room, version
from allod.domain.serving.canary.canary import ERRORS
from allod.domain.serving.canary.contest import Duel
from allod.domain.serving.canary.gateway import API
from allod.domain.serving.health.beat import AdapterSaid
from allod.domain.serving.revision import hash_of, snapshot
from unit.domain.simulation import SPEC, World, crashing, heard, no_gpus, ready, starting

if TYPE_CHECKING:
    from allod.domain.plan import Plan
    from allod.domain.serving.health.beat import Beat

ONE = {"name": "one", "uri": "pvc://loras/one/v1", "rank": 8}
TWO = {"name": "two", "uri": "pvc://loras/two"}
NODE = {"name": "node", "uri": "file:///srv/loras/node"}
WIDE = {"name": "wide", "uri": "pvc://loras/wide", "rank": 64}


def adapters(*listed: dict[str, Any]) -> list[Adapter]:
    return [Adapter.model_validate(each) for each in listed]


def said(*listed: dict[str, Any], **refused: str) -> dict[str, AdapterSaid]:
    return {each.name: AdapterSaid(version(each), refused.get(each.name, "")) for each in adapters(*listed)}


class Loras(World):
    """A world whose pods keep what their revision's list says, unless a test says otherwise."""

    refused: dict[str, str]
    follows: bool

    def __init__(self, *listed: dict[str, Any]) -> None:
        super().__init__()
        self.refused, self.follows, self.hears = {}, True, self.beat
        self.known: dict[str, dict[str, AdapterSaid]] = {}
        if listed:
            self.spec["adapters"] = list(listed)
        self.settle()
        self.settle()

    def beat(self, letter: str) -> Beat | None:
        known = self.known.get(letter)
        configmap = next((each for each in self._kind("ConfigMap") if self.is_list(each, letter)), None)
        if configmap and (known is None or self.follows):
            listed = json.loads(configmap["data"]["adapters.json"])["adapters"]
            known = self.known[letter] = {one["name"]: AdapterSaid(one["version"], self.refused.get(one["name"], "")) for one in listed}
        return replace(heard("Serving", "well", self.now), adapters=known)

    def is_list(self, configmap: dict[str, Any], letter: str) -> bool:
        meta = configmap["metadata"]
        return meta["name"].endswith("-adapters") and self.letter(meta["labels"]["allod.dev/revision"]) == letter

    def wants(self, *listed: dict[str, Any]) -> list[str]:
        """Edit, and what was done until all is at rest."""
        self.edit(adapters=list(listed))
        return self.settle()

    @property
    def states(self) -> dict[str, str]:
        return {each["name"]: each["state"] for each in self.status.get("adapters", ())}

    def message(self, name: str) -> str:
        return self._lettered(next(each["message"] for each in self.status["adapters"] if each["name"] == name))


@pytest.mark.parametrize(
    ("listed", "found"),
    [
        ([], None),
        ([ONE], Room(16, ("pvc://loras",))),
        ([ONE, TWO], Room(16, ("pvc://loras",))),
        ([ONE, NODE], Room(16, ("file:///srv/loras", "pvc://loras"))),
        ([ONE, WIDE], Room(64, ("pvc://loras",))),
        ([ONE | {"rank": 17}], Room(32, ("pvc://loras",))),
        ([ONE | {"rank": 300}], Room(320, ("pvc://loras",))),
        ([ONE | {"rank": 512}], Room(512, ("pvc://loras",))),
    ],
)
def test_the_room_is_the_least_that_holds_all(listed: list[dict[str, Any]], found: Room | None) -> None:
    assert room(adapters(*listed)) == found


@pytest.mark.parametrize("nothing", [{}, {"adapters": []}], ids=str)
def test_a_model_without_adapters_has_the_revision_that_it_always_had(nothing: dict[str, Any]) -> None:
    assert hash_of(snapshot(ModelDeploymentSpec.model_validate(SPEC | nothing))) == "08277d62"


def test_a_model_without_adapters_has_no_word_of_them() -> None:
    world = Loras()
    assert not any("adapter" in json.dumps(child).lower() for ref, child in world.children.items() if ref.kind != "ConfigMap")
    assert not any(ref.name.endswith("-adapters") for ref in world.children)
    assert "adapters" not in json.dumps(world.status).lower()


def test_the_first_adapter_makes_a_revision_and_says_so() -> None:
    world = Loras()
    assert world.wants(ONE) == ["B: 1 pods", "route B", "A: gone"]
    assert world.states == {"one": "Loaded"}
    created = next(line for line in world.told() if "RevisionCreated" in line and "revision B" in line)
    assert created.endswith('adapters.maxRank none -> 16, adapters.volumes none -> ["pvc://loras"]')


@pytest.mark.parametrize(
    "listed",
    [[ONE, TWO], [TWO], [], [ONE | {"uri": "pvc://loras/one/v2"}], [ONE | {"rank": 16}]],
    ids=["one more", "another", "none", "a new version", "a rank that has room"],
)
def test_what_has_room_restarts_nothing(listed: list[dict[str, Any]]) -> None:
    world = Loras(ONE)
    assert world.wants(*listed) == []
    assert world.status["desiredRevision"] == world.status["activeRevision"]
    assert world.states == {each["name"]: "Loaded" for each in listed}


@pytest.mark.parametrize(("more", "what"), [(WIDE, "adapters.maxRank 16 -> 64"), (NODE, "adapters.volumes")], ids=["rank", "volume"])
def test_what_has_no_room_makes_a_revision_while_the_others_answer(more: dict[str, Any], what: str) -> None:
    world = Loras(ONE)
    world.engine = lambda letter: ready() if letter == "A" else starting()
    world.wants(ONE, more)
    assert world.states == {"one": "Loaded", more["name"]: "Pending"}
    assert world.message(more["name"]).startswith("waits for revision B: the pods of A have no room for rank ")
    assert any(what in line for line in world.told() if "RevisionCreated" in line)
    world.engine = lambda _letter: ready()
    world.settle()
    assert (world.route, set(world.states.values())) == ("B", {"Loaded"})


def test_a_revision_with_more_room_than_is_needed_stays_until_something_else_changes() -> None:
    world = Loras(ONE, WIDE, NODE)
    assert world.wants(ONE) == []
    world.edit(engine__maxModelLen=8192)
    assert world.settle() == ["B: 1 pods", "route B", "A: gone"]
    kept = max((child for ref, child in world.children.items() if ref.kind == "ControllerRevision"), key=lambda child: child["revision"])
    assert kept["data"]["spec"]["adapters"] == {"maxRank": 16, "volumes": ["pvc://loras"]}


def test_a_failed_revision_is_not_what_a_spec_without_adapters_gets() -> None:
    world = Loras()
    world.engine = lambda letter: ready() if letter == "A" else crashing()
    world.wants(ONE)
    assert (world.route, world.state("B"), world.states) == ("A", "Failed", {"one": "Pending"})
    assert world.wants() == ["B: gone"]
    assert world.status["desiredRevision"] == world.status["activeRevision"]


@pytest.mark.parametrize("status", [no_gpus(), crashing()], ids=["never started", "crashes"])
def test_a_revision_that_cannot_run_is_left_when_its_room_is_no_longer_needed(status: dict[str, Any]) -> None:
    """A claim that does not exist, memory that the slots take: to remove the adapter is the way out."""
    world = World(spec=SPEC | {"adapters": [ONE]}, engine=lambda letter: status if letter == "A" else ready())
    world.settle()
    world.edit(adapters=[])
    world.settle()
    assert (world.route, "adapters" in world.status) == ("B", False)


def test_a_restart_of_the_last_pod_or_a_lost_status_makes_no_revision_of_less_room() -> None:
    world = Loras(ONE, WIDE)
    world.wants(ONE)
    world.engine = lambda _letter: starting()
    world.settle()
    world.engine = lambda _letter: ready()
    world.settle()
    world.lose_status()
    world.settle()
    assert (world.route, len(world.letters)) == ("A", 1)


def test_an_adapter_that_comes_by_itself_ends_no_rollback_by_hand() -> None:
    world = Loras(ONE)
    old = world.status["activeRevision"]
    world.edit(engine__maxModelLen=8192)
    world.settle()
    world.annotations["allod.dev/rollback-to"] = old
    world.settle()
    assert world.route == "A"
    world.wants(ONE, TWO)
    assert (world.route, world.states) == ("A", {"one": "Loaded", "two": "Loaded"})
    world.edit(engine__maxModelLen=4096)
    world.settle()
    assert world.route == "C"


def test_an_adapter_that_goes_ends_no_rollback_by_hand_though_less_room_would_do() -> None:
    world = Loras(ONE, WIDE)
    old = world.status["activeRevision"]
    world.edit(engine__maxModelLen=8192)
    world.settle()
    world.annotations["allod.dev/rollback-to"] = old
    world.settle()
    assert world.wants(ONE) == []
    assert (world.route, world.states) == ("A", {"one": "Loaded"})


def test_an_adapter_that_goes_begins_no_canary_anew() -> None:
    world = Loras(ONE, WIDE)
    world.apis, world.duel = frozenset({API}), lambda new, old: Duel(new, old, (ERRORS,))
    steps = [{"weight": 5, "hold": "5m"}, {"weight": 50, "hold": "10m"}]
    world.edit(rollout={"strategy": "Canary", "bake": "2m", "canary": {"parentRef": {"name": "edge"}, "steps": steps}})
    world.settle()
    world.wait(130)
    world.edit(engine__maxModelLen=8192)
    world.settle()
    before = world.status["canary"]
    assert (world.weights, before["step"]) == ({"A": 95, "B": 5}, 1)
    assert world.wants(ONE) == []
    assert (world.weights, world.status["canary"]) == ({"A": 95, "B": 5}, before)


def test_each_revision_is_told_only_of_what_it_has_room_for() -> None:
    world = Loras(ONE)
    world.engine = lambda letter: ready() if letter == "A" else starting()
    world.wants(ONE, NODE)
    lists = {
        world.letter(each["metadata"]["labels"]["allod.dev/revision"]): [
            one["name"] for one in json.loads(each["data"]["adapters.json"])["adapters"]
        ]
        for each in world._kind("ConfigMap")  # noqa: SLF001  # of our own subclass
        if each["metadata"]["name"].endswith("-adapters")
    }
    assert lists == {"A": ["one"], "B": ["node", "one"]}


def nudged(made: Plan) -> list[dict[str, str]]:
    return [each["metadata"]["annotations"] for each in made.marks]


def test_a_pod_is_nudged_once_when_its_list_changes_and_never_when_it_knows_it() -> None:
    world = Loras(ONE)
    assert world.reconcile().marks == ()
    world.follows = False
    world.edit(adapters=[ONE, TWO])
    (annotation,) = nudged(world.reconcile())
    assert annotation.keys() == {ADAPTERS}
    assert world.reconcile().marks == ()
    assert world.states == {"one": "Loaded", "two": "Pending"}
    world.follows = True
    world.settle()
    assert (world.reconcile().marks, world.states) == ((), {"one": "Loaded", "two": "Loaded"})


def test_a_pod_that_has_said_nothing_is_not_nudged() -> None:
    world = Loras(ONE)
    world.hears = lambda _letter: heard("Serving", "well", world.now)
    world.edit(adapters=[TWO])
    assert world.reconcile().marks == ()


def test_a_suspended_model_keeps_its_list() -> None:
    world = Loras(ONE)
    world.edit(suspend=True)
    world.wants(ONE, TWO)
    (name,) = (ref.name for ref in world.children if ref.kind == "ConfigMap" and ref.name.endswith("-adapters"))
    assert "two" not in world.children[Ref("v1", "ConfigMap", "ai", name)]["data"]["adapters.json"]
    assert world.reconcile().marks == ()


def test_a_refusal_is_a_sentence_in_status_condition_and_event() -> None:
    world = Loras(ONE)
    world.refused = {"two": "rank 64 > 16: set adapters[].rank to 64"}
    world.wants(ONE, TWO)
    assert world.condition("AdaptersReady") == (
        "False",
        "AdapterRefused",
        "1 of 2 adapters loaded; two: rank 64 > 16: set adapters[].rank to 64",
    )
    assert world.condition("Ready")[0] == "True"
    assert "Warning AdapterRefused: two: rank 64 > 16: set adapters[].rank to 64" in world.told()
    world.wants(ONE)
    assert world.condition("AdaptersReady") == ("True", "AllLoaded", "1 of 1 adapter loaded")
    assert world.told()[-1] == "Normal AdapterRemoved: two is no longer asked for: requests for it get 404"


def test_each_step_is_told_once() -> None:
    world = Loras(ONE)
    assert [line for line in world.told() if "Adapter" in line] == ["Normal AdapterLoaded: one: loaded on 1 of 1 pod"]
    for _ in range(3):
        world.reconcile()
    assert sum("AdapterLoaded" in line for line in world.told()) == 1


def test_an_operator_that_hears_nothing_yet_says_what_it_said_before() -> None:
    world = Loras(ONE)
    before = world.status["adapters"]
    world.hears = lambda _letter: None
    world.settle()
    assert world.status["adapters"] == before
    world.edit(adapters=[ONE, TWO])
    world.settle()
    assert world.states == {"one": "Pending", "two": "Pending"}


def test_pods_that_have_an_older_version_do_not_count() -> None:
    world = Loras(ONE)
    world.follows = False
    world.wants(ONE | {"uri": "pvc://loras/one/v2"})
    assert (world.states, world.message("one")) == ({"one": "Pending"}, "loaded on 0 of 1 pod")


def test_without_a_pod_nothing_is_loaded() -> None:
    world = Loras(ONE)
    world.edit(replicas=0)
    world.settle()
    assert (world.states, world.message("one")) == ({"one": "Pending"}, "no pod of revision A serves")


def test_gpus_that_are_short_for_one_pod_exchange_no_model_that_serves_with_more_room_than_it_needs() -> None:
    world = Loras(ONE, WIDE)
    world.gpus = 3
    world.wants(ONE)
    world.edit(replicas=3)
    world.settle()
    world.edit(replicas=4)
    assert world.settle() == ["A: 4 pods"]
    assert world.route == "A"


def test_the_list_that_pods_mount_stays_though_somebody_deletes_the_controller_revision() -> None:
    world = Loras(ONE)
    world.engine = lambda letter: ready() if letter == "A" else starting()
    world.edit(engine__maxModelLen=8192)
    world.settle()
    mounted = {name for name in world.children if name.kind == "ConfigMap" and name.name.endswith("-adapters")}
    for name in [name for name in world.children if name.kind == "ControllerRevision"]:
        del world.children[name]
    world.settle()
    assert mounted <= set(world.children)

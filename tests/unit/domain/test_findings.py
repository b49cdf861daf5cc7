from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from allod.domain.serving.health.findings import RevisionSeen, first_finding
from allod.domain.serving.pod import last_words, seconds_between
from unit.domain.simulation import START

ENGINE_SPEC = {
    "name": "engine",
    "image": "registry.test/vllm:v9",
    "startupProbe": {"periodSeconds": 1, "failureThreshold": 1800},
    "resources": {"limits": {"nvidia.com/gpu": "2", "memory": "64Gi"}},
}
IMAGE_VOLUME = {"name": "model", "image": {"reference": "registry.test/models/smol:1"}}


def pod(conditions: list[dict[str, Any]] | None = None, engine: dict[str, Any] | None = None, inspect: dict[str, Any] | None = None) -> Any:
    status: dict[str, Any] = {"conditions": conditions or [{"type": "PodScheduled", "status": "True"}]}
    if engine:
        status["containerStatuses"] = [{"name": "engine", "restartCount": 0, "ready": False} | engine]
    if inspect:
        status["initContainerStatuses"] = [{"name": "inspect", "restartCount": 0, "ready": False} | inspect]
    spec = {
        "containers": [ENGINE_SPEC],
        "initContainers": [{"name": "inspect", "image": "registry.test/allod:1"}],
        "volumes": [IMAGE_VOLUME],
    }
    return {"metadata": {"name": "chat-5b21aa0c-0"}, "spec": spec, "status": status}


def unplaced(says: str) -> Any:
    return pod([{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": says}])


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"state": {"waiting": {"reason": reason, "message": message}}}


def ended(restarts: int, message: str = "", seconds: int = 9, **more: Any) -> dict[str, Any]:
    minutes, rest = divmod(seconds, 60)
    last = {"exitCode": 1, "message": message, "startedAt": "2026-11-20T02:00:00Z", "finishedAt": f"2026-11-20T02:{minutes:02}:{rest:02}Z"}
    return waiting("CrashLoopBackOff", "back-off") | {"restartCount": restarts, "lastState": {"terminated": last | more}}


def refusal(reason: str, message: str) -> dict[str, Any]:
    document = json.dumps({"verdict": "Misfit", "reason": reason, "message": message})
    return {"state": {"terminated": {"exitCode": 1, "message": document}}}


QUOTA = {
    "reason": "FailedCreate",
    "message": 'create Pod chat-0 in StatefulSet chat failed error: pods "chat-0" is forbidden: exceeded quota: gpus',
    "metadata": {"creationTimestamp": "2026-11-20T02:00:00Z"},
}
NEWER = {"reason": "FailedCreate", "note": "denied by policy", "eventTime": "2026-11-20T03:00:00Z", "metadata": {}}
RESTRICTED = {
    "reason": "FailedCreate",
    "message": 'create Pod chat-0 in StatefulSet chat failed error: pods "chat-0" is forbidden: violates PodSecurity "restricted:latest": '
    'restricted volume types (volume "model" uses restricted volume type "hostPath")',
    "metadata": {"creationTimestamp": "2026-11-20T02:00:00Z"},
}
KV_MISFIT = (
    "(EngineCore pid=71) ERROR 11-22 10:00:00 [core.py:700] Engine core failed to start.\n"
    "(EngineCore pid=71) ERROR 11-22 10:00:00 [core.py:701] ValueError: "
    "To serve at least one request with the model's max seq len (65536), "
    "(1.41 GiB KV cache is needed, which is larger than the available KV cache memory (1.0 GiB).\n"
    "exit\n"
)
OCCUPIED = (
    "ValueError: Free memory on device cuda:0 (58.15/79.18 GiB) on startup is less than desired GPU memory utilization (0.92, 72.84 GiB). "
    "Decrease GPU memory utilization or reduce GPU memory used by other processes."
)


@dataclass(frozen=True)
class Case:
    name: str
    seen: RevisionSeen
    reason: str = ""
    gives_up: str = ""
    says: str = field(default="", kw_only=True)

    def __str__(self) -> str:
        return self.name


def one(found: Any, *, good: bool = False) -> RevisionSeen:
    return RevisionSeen(START, wanted=1, pods=(found,), good=good)


def placed(minutes: int, **more: Any) -> Any:
    since = (START - timedelta(minutes=minutes)).isoformat()
    found = pod([{"type": "PodScheduled", "status": "True", "lastTransitionTime": since}], **more)
    return found | {"spec": found["spec"] | {"nodeName": "node1"}}


CASES = [
    Case("no pod yet", RevisionSeen(START, 1, ())),
    Case("a pod that has just been made", one({"metadata": {"name": "p"}, "spec": {"containers": []}})),
    Case("an engine that loads", one(pod(engine={"state": {"running": {}}}))),
    Case("an engine that was restarted once", one(pod(engine=ended(1, "RuntimeError: x")))),
    Case("an engine that is ready after three restarts", one(pod(engine=ended(3) | {"ready": True}))),
    Case(
        "a pod that a quota refuses",
        RevisionSeen(START, 1, (), events=(QUOTA,)),
        "PodRefused",
        "Never",
        says="Kubernetes refuses the pod: create Pod chat-0 in StatefulSet chat failed error: "
        'pods "chat-0" is forbidden: exceeded quota: gpus',
    ),
    Case(
        "the newest refusal counts, in the shape of the new event API too",
        RevisionSeen(
            START,
            1,
            (),
            events=(QUOTA, NEWER),
        ),
        "PodRefused",
        "Never",
        says="Kubernetes refuses the pod: denied by policy",
    ),
    Case(
        "a folder of a node in a namespace of restricted pods",
        RevisionSeen(START, 1, (), events=(RESTRICTED,), spec={"model": {"uri": "file:///models/a.gguf"}}),
        "PodRefused",
        "Never",
        says=f"Kubernetes refuses the pod: {RESTRICTED['message']}; file:// is a folder of a node (hostPath), which this namespace does "
        "not admit: use pvc:// or oci://",
    ),
    Case(
        "a folder of a node that somebody's podTemplate mounts there",
        RevisionSeen(START, 1, (), events=(RESTRICTED,), spec={"model": {"uri": "pvc://models/a.gguf"}}),
        "PodRefused",
        "Never",
        says=f"Kubernetes refuses the pod: {RESTRICTED['message']}",
    ),
    Case("a refusal that is over", RevisionSeen(START, 1, (pod(),), events=(QUOTA,))),
    Case("a warning of another kind", RevisionSeen(START, 1, (), events=(QUOTA | {"reason": "Other"},))),
    Case(
        "no node with free GPUs",
        one(unplaced("0/2 nodes are available: 2 Insufficient nvidia.com/gpu. preemption: none.")),
        "InsufficientGPUs",
        "Never",
        says="chat-5b21aa0c-0 needs 2 nvidia.com/gpu on one node, and none has them free; the scheduler says: "
        "0/2 nodes are available: 2 Insufficient nvidia.com/gpu. preemption: none",
    ),
    Case(
        "a claim that does not exist",
        one(unplaced('0/2 nodes are available: persistentvolumeclaim "models" not found.')),
        "ClaimNotFound",
        "Never",
        says="the PersistentVolumeClaim models of model.uri does not exist in this namespace: create it, or correct model.uri",
    ),
    Case(
        "no node for another reason",
        one(unplaced("0/2 nodes are available: 2 Insufficient memory.")),
        "Unschedulable",
        "Never",
        says="no node takes chat-5b21aa0c-0; the scheduler says: 0/2 nodes are available: 2 Insufficient memory",
    ),
    Case(
        "an image that the registry does not have",
        one(
            pod(
                engine=waiting(
                    "ImagePullBackOff",
                    'Back-off pulling image "registry.test/vllm:v9": ErrImagePull: '
                    'failed to pull and unpack image "registry.test/vllm:v9": '
                    'failed to resolve reference "registry.test/vllm:v9": registry.test/vllm:v9: not found',
                )
            )
        ),
        "ImagePull",
        "Never",
        says="the image registry.test/vllm:v9 cannot be pulled: registry.test/vllm:v9: not found",
    ),
    Case(
        "an image about which kubelet says nothing",
        one(pod(engine=waiting("ErrImageNeverPull"))),
        "ImagePull",
        "Never",
        says="the image registry.test/vllm:v9 cannot be pulled: ErrImageNeverPull",
    ),
    Case(
        "a model's image that cannot be pulled",
        one(pod(engine=waiting("ErrImagePull", 'Back-off pulling image "registry.test/models/smol:1": ErrImagePull: unauthorized'))),
        "ModelImagePull",
        "Never",
        says="the model's image registry.test/models/smol:1 cannot be pulled: unauthorized",
    ),
    Case(
        "a model that the inspection refuses",
        one(pod(inspect=refusal("HeadsNotDivisible", "9 attention heads cannot be divided"))),
        "HeadsNotDivisible",
        "Always",
        says="9 attention heads cannot be divided",
    ),
    Case(
        "an inspection that is restarted after its refusal",
        one(pod(inspect=ended(2, json.dumps({"verdict": "Missing", "reason": "ModelMissing", "message": "nothing there"})))),
        "ModelMissing",
        "Always",
        says="nothing there",
    ),
    Case(
        "a missing Secret",
        one(pod(engine=waiting("CreateContainerConfigError", 'secret "hf-token" not found'))),
        "ContainerNotStarted",
        "Never",
        says='chat-5b21aa0c-0: kubelet cannot start engine: secret "hf-token" not found',
    ),
    Case(
        "a pod whose volume cannot be mounted",
        one(placed(5, engine=waiting("ContainerCreating"))),
        "NotPrepared",
        "Never",
        says="chat-5b21aa0c-0 has its node for more than 5m and no container runs: "
        "kubectl describe pod chat-5b21aa0c-0 says which volume or image it waits for",
    ),
    Case(
        "a folder of a node that cannot be mounted",
        replace(one(placed(1, engine=waiting("ContainerCreating"))), spec={"model": {"uri": "file:///srv/models/chat"}}),
        "FolderNotMounted",
        "Never",
        says="chat-5b21aa0c-0 has had node1 for more than 30s and no container of it runs: "
        "is the folder of file:///srv/models/chat there on node1? kubectl describe pod chat-5b21aa0c-0 says what it waits for",
    ),
    Case(
        "a folder of a node that was mounted",
        replace(one(placed(1, engine={"state": {"running": {}}})), spec={"model": {"uri": "file:///srv/models/chat"}}),
    ),
    Case("a pod that has had its node for four minutes", one(placed(4, engine=waiting("ContainerCreating")))),
    Case("a pod that reads its model for long", one(placed(60, engine=waiting("PodInitializing"), inspect={"state": {"running": {}}}))),
    Case(
        "a flag that vLLM does not know",
        one(pod(engine=ended(1, "usage: vllm serve\nvllm serve: error: unrecognized arguments: --swap-space=4"))),
        "UnknownFlag",
        "Always",
        says="the engine does not know --swap-space=4: correct engine.args or engine.extraArgs",
    ),
    Case(
        "a flag that llama.cpp does not know",
        one(pod(engine=ended(1, "error: invalid argument: --nope"))),
        "UnknownFlag",
        "Always",
        says="the engine does not know --nope: correct engine.args or engine.extraArgs",
    ),
    Case(
        "an engine that takes more than its memory",
        one(pod(engine=ended(3, reason="OOMKilled"))),
        "OutOfMemory",
        "WhenAnotherServes",
        says="chat-5b21aa0c-0: engine took more memory than resources.memory and was killed 3 times",
    ),
    Case(
        "a KV cache that does not fit",
        one(pod(engine=ended(4, KV_MISFIT))),
        "DoesNotFit",
        "WhenAnotherServes",
        says="chat-5b21aa0c-0: engine ended 4 times, last with: ValueError: "
        "To serve at least one request with the model's max seq len (65536), "
        "(1.41 GiB KV cache is needed, which is larger than the available KV cache memory (1.0 GiB).",
    ),
    Case(
        "a GPU that another process holds",
        one(pod(engine=ended(3, OCCUPIED))),
        "DoesNotFit",
        "WhenAnotherServes",
        says=f"chat-5b21aa0c-0: engine ended 3 times, last with: {OCCUPIED}",
    ),
    Case(
        "weights that are more than the GPU",
        one(pod(engine=ended(3, "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 924.00 MiB."))),
        "DoesNotFit",
        "WhenAnotherServes",
    ),
    Case(
        "an engine whose cause is further up than Kubernetes keeps",
        one(pod(engine=ended(3, "    raise RuntimeError(\nRuntimeError: Engine core initialization failed. See root cause above. {}\n"))),
        "CrashLoop",
        "WhenAnotherServes",
        says="chat-5b21aa0c-0: engine ended 3 times, last with: RuntimeError: Engine core initialization failed. See root cause above. {} "
        "The cause stands further up: kubectl logs --previous chat-5b21aa0c-0 --container engine | grep Error:",
    ),
    Case(
        "an engine that ends without a word",
        one(pod(engine=ended(5, "", exitCode=0))),
        "CrashLoop",
        "WhenAnotherServes",
        says="chat-5b21aa0c-0: engine ended 5 times, last with: exit code 0, without a word",
    ),
    Case(
        "an inspection that is killed again and again",
        one(pod(inspect=ended(3, "", exitCode=137))),
        "CrashLoop",
        "WhenAnotherServes",
        says="chat-5b21aa0c-0: inspect ended 3 times, last with: exit code 137, without a word",
    ),
    Case(
        "an engine that loads for longer than it may",
        one(pod(engine=ended(1, seconds=1801))),
        "StartupTimeout",
        "WhenAnotherServes",
        says="chat-5b21aa0c-0: the engine did not serve within health.startupTimeout (30m) and was restarted",
    ),
    Case("an engine that was slow three times", one(pod(engine=ended(3, seconds=1801))), "StartupTimeout", "WhenAnotherServes"),
    Case("an engine that had served for long", one(pod(engine=ended(3, seconds=1801)), good=True), "CrashLoop", "WhenAnotherServes"),
]


@pytest.mark.parametrize(("claim", "of"), [("models", "model.uri"), ("loras", "adapters[].uri")])
def test_a_claim_that_does_not_exist_is_named_with_its_field(claim: str, of: str) -> None:
    spec = {"model": {"uri": "pvc://models/smollm2"}, "adapters": {"maxRank": 16, "volumes": ["pvc://loras", "pvc://models"]}}
    pod = unplaced(f'0/2 nodes are available: persistentvolumeclaim "{claim}" not found.')
    found = first_finding(replace(one(pod), spec=spec))
    assert found is not None
    assert found.message == f"the PersistentVolumeClaim {claim} of {of} does not exist in this namespace: create it, or correct {of}"


@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_is_wrong_is_found_and_said_in_one_sentence(case: Case) -> None:
    found = first_finding(case.seen)
    if not case.reason:
        assert found is None
        return
    assert found is not None
    assert (found.reason, found.gives_up) == (case.reason, case.gives_up)
    assert not case.says or found.message == case.says


def test_a_content_inspection_is_no_finding() -> None:
    document = json.dumps({"verdict": "Fits", "reason": "Fits", "message": "ok"})
    assert first_finding(one(pod(inspect={"state": {"terminated": {"exitCode": 0, "message": document}}}))) is None


def test_an_end_whose_times_are_not_known_was_not_slow() -> None:
    assert seconds_between(None, "2026-11-20T02:00:00Z") == 0
    found = first_finding(one(pod(engine=ended(3, finishedAt=None))))
    assert found is not None
    assert found.reason == "CrashLoop"


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ("", ""),
        ("one\ntwo\n\n", "two"),
        ("ValueError: bad\nmore lines\nlast line", "ValueError: bad"),
        ("(Worker_TP0 pid=9) ERROR 11-22 10:00:00 [worker.py:1] RuntimeError: NCCL error\n", "RuntimeError: NCCL error"),
        ("error: failed to load model\n", "error: failed to load model"),
        ("x" * 400, "x" * 297 + "..."),
    ],
)
def test_the_last_words_of_an_engine_are_the_line_that_names_its_error(log: str, words: str) -> None:
    assert last_words(log) == words

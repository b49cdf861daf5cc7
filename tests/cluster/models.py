"""ModelDeployments in a test's namespace: written, watched and asked as their users would."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from box import waiting
from cluster.space import pod

if TYPE_CHECKING:
    from cluster.space import Space

Manifest = dict[str, Any]
FOLDER = "/var/lib/models/smollm2"
"""Where the tests of vLLM put the same model as safetensors on their node."""
HANG = 5
"""Seconds, of its health.hangTimeout."""
HUNG_UP = re.compile(r"the connection was (closed|reset|refused)(, then (closed|reset|refused)| twice)")
"""What is told of a process that died. Which words depends on how far its kernel was when the operator was writing and connecting."""
GGUF = "oci://allod.test/model/smollm2:gguf/model.gguf"


def chat(name: str = "chat", **spec: Any) -> Manifest:
    """A small llama.cpp model; keywords replace whole sections of its spec."""
    return {
        "apiVersion": "allod.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": name},
        "spec": {
            "model": {"uri": GGUF},
            "engine": {"type": "LlamaCpp", "maxModelLen": 2048, "threads": 1},
            "resources": {"cpu": "100m", "memory": "512Mi"},
            "health": {"drainTimeout": "1s"},  # llama.cpp drains by waiting: what is to be seen here is not that
            "rollout": {"bake": "0s"},
            **spec,
        },
    }


def smol(node: str, **spec: Any) -> dict[str, Any]:
    """The small model on vLLM for CPUs."""
    return {
        "apiVersion": "allod.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": "smol"},
        "spec": {
            "model": {"uri": f"file://{FOLDER}"},
            "engine": {
                "type": "vLLM",
                "image": "allod.test/vllm-cpu:dev",
                "dtype": "float32",
                "maxModelLen": 1024,
                "args": {"enforce-eager": "true"},
                "env": [
                    {"name": "VLLM_CPU_KVCACHE_SPACE", "value": "1"},
                    {"name": "OMP_NUM_THREADS", "value": "1"},
                    # With several ranks vLLM compiles a small function whatever --enforce-eager says; our CPU image has no compiler.
                    {"name": "TORCHDYNAMO_DISABLE", "value": "1"},
                    {"name": "VLLM_CPU_OMP_THREADS_BIND", "value": "nobind"},
                ],
            },
            "resources": {"cpu": "500m", "memory": "8Gi"},
            "health": {"hangTimeout": f"{HANG}s", "startupTimeout": "10m", "drainTimeout": "2s"},
            "scheduling": {"nodeSelector": {"kubernetes.io/hostname": node}},
            **spec,
        },
    }


@dataclass(frozen=True)
class Model:
    """One ModelDeployment that was applied."""

    space: Space
    name: str

    @classmethod
    def apply(cls, space: Space, manifest: Manifest) -> Model:
        space.apply(manifest)
        return cls(space, manifest["metadata"]["name"])

    def seen(self) -> Manifest:
        return self.space.get("mdl", self.name)

    def status(self) -> Manifest:
        status: Manifest = self.seen().get("status") or {}
        return status

    def condition(self, kind: str) -> Manifest:
        """The condition as it is for the newest spec; empty as long as the operator has not looked at that."""
        seen = self.seen()
        status = seen.get("status") or {}
        if status.get("observedGeneration") != seen["metadata"]["generation"]:
            return {}
        return next((one for one in status.get("conditions", ()) if one["type"] == kind), {})

    def wait(self, kind: str, is_: str, reason: str | None = None, seconds: int = 60) -> str:
        """Until the condition has that status (and reason), for the newest spec; its message."""
        last: dict[str, Manifest] = {}

        def holds() -> bool:
            last["seen"] = self.condition(kind)
            return last["seen"].get("status") == is_ and reason in (None, last["seen"].get("reason"))

        try:
            waiting.until(f"{self.name} has {kind}={is_} {reason or ''}", holds, seconds=seconds)
        except Exception as error:
            raise AssertionError(
                f"{error}\n{json.dumps(self.status(), indent=2)}\n{self.space.kubectl('get', 'pods,sts,events')}"
            ) from error
        return str(last["seen"]["message"])

    def pods(self) -> list[Manifest]:
        return self.space.listed("pod", labels=f"allod.dev/model={self.name}")

    def endpoints(self) -> set[str]:
        """Addresses to which the stable Service sends: ready ones."""
        return {
            address
            for piece in self.space.listed("endpointslice", labels=f"kubernetes.io/service-name={self.name}")
            for endpoint in piece.get("endpoints") or ()
            if endpoint["conditions"].get("ready")
            for address in endpoint["addresses"]
        }

    def events(self) -> list[str]:
        """`Reason: sentence` of each event about it, oldest first."""
        found = self.space.listed("event", fields=f"regarding.kind=ModelDeployment,regarding.name={self.name}")
        return [f"{one['reason']}: {one['note']}" for one in sorted(found, key=lambda one: one["eventTime"] or "")]

    def tells(self, *parts: str) -> None:
        """Waits for an event that says all of these: events are sent after what they tell of."""
        waiting.until(
            f"an event of {self.name} says {' ... '.join(parts)}",
            lambda: any(all(part in event for part in parts) for event in self.events()),
            seconds=20,
        )

    def actions(self) -> list[str]:
        """Of its history, newest first."""
        return [step["action"] for step in self.status().get("history", [])]

    def has_done(self, *actions: str, apart_from: str = "") -> None:
        """Waits until these are what it did last, newest first: clients see an answer before the status tells of the move that gave it."""

        def done() -> bool:
            return tuple([action for action in self.actions() if action != apart_from][: len(actions)]) == actions

        waiting.until(f"{self.name} tells of {', '.join(actions)}", done, seconds=20)

    def ask(self, question: str = "What is Kubernetes?", *, name: str | None = None, seconds: int = 30) -> str:
        """What the model answers through its Service to a pod of its namespace; nobody else may ask. Clients retry, so does this one:
        kube-proxy follows a change of endpoints within a second."""
        answers: list[str] = []

        def answered() -> bool:
            said = self.space.inside(client(self.space), request(f"http://{self.name}:8000", name or self.name, question))
            answers[:] = [json.loads(said)["choices"][0]["message"]["content"]] if said.strip() else []
            return bool(answers)

        waiting.until(f"{self.name} answers", answered, seconds=seconds)
        return answers[0]


def client(space: Space) -> str:
    """A pod from which models of the namespace can be asked; made at the first question."""
    if not space.listed("pod", fields="metadata.name=client"):
        space.run(pod("client"))
    return "client"


def posted(space: Space, model: str, path: str, body: Manifest) -> Manifest:
    """What the model answers, JSON for JSON, through its Service. Fails with the server's status where it refuses."""
    header = "--header 'Content-Type: application/json'"
    asks = f"wget -q -T 60 -O - {header} --post-data '{json.dumps(body)}' http://{model}:8000{path}"
    answer: Manifest = json.loads(space.inside(client(space), asks))
    return answer


def request(url: str, model: str, question: str, max_tokens: int = 16) -> str:
    """A shell command that prints the answer's JSON, and nothing when there is none."""
    body = {"model": model, "messages": [{"role": "user", "content": question}], "max_tokens": max_tokens, "temperature": 0}
    header = "--header 'Content-Type: application/json'"
    return f"wget -q -T 20 -O - {header} --post-data '{json.dumps(body)}' {url}/v1/chat/completions || true"

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from admission.case import vllm

if TYPE_CHECKING:
    from admission.case import Manifest


@dataclass(frozen=True, slots=True)
class ShapeCase:
    """A manifest that the schema itself refuses."""

    rule: str
    manifest: Manifest
    path: str
    says: str
    """By `allod lint`. The API server has words of its own."""

    def __str__(self) -> str:
        return f"{self.rule} {self.path}"


def without(manifest: Manifest, section: str, field: str) -> Manifest:
    del manifest["spec"][section][field]
    return manifest


SHAPE_CASES = (
    ShapeCase(
        "required",
        without(vllm(), "resources", "memory"),
        "spec.resources.memory",
        "spec.resources.memory is missing: Memory that is reserved, and the limit: an engine that takes more is killed. sharedMemory counts"
        " as part of it.",
    ),
    ShapeCase(
        "type",
        vllm(engine__gpuMemoryUtilization=0.85),
        "spec.engine.gpuMemoryUtilization",
        'spec.engine.gpuMemoryUtilization is the number 0.85 and has to be a string: a ratio is a string between "0" and "1": "0.85"',
    ),
    ShapeCase(
        "type",
        vllm(resources__memory=128),
        "spec.resources.memory",
        "spec.resources.memory is the number 128 and has to be a string: an amount of memory is a number with its unit, Ki, Mi, Gi, Ti or"
        " k, M, G, T: 80Gi, 512Mi",
    ),
    ShapeCase("type", vllm(suspend="yes"), "spec.suspend", "spec.suspend is a string and has to be true or false"),
    ShapeCase("type", vllm(replicas=True), "spec.replicas", "spec.replicas is true or false and has to be a whole number"),
    ShapeCase(
        "type",
        vllm(resources__cpu=0.5),
        "spec.resources.cpu",
        "spec.resources.cpu is the number 0.5 and has to be a string or a whole number: an amount of CPU is a number of cores or"
        " thousandths of one: 16, 0.5, 500m",
    ),
    ShapeCase("type", vllm(engine__extraArgs="--x"), "spec.engine.extraArgs", "spec.engine.extraArgs is a string and has to be a list"),
    ShapeCase(
        "type", vllm(engine__args={"seed": 7}), "spec.engine.args.seed", "spec.engine.args.seed is the number 7 and has to be a string"
    ),
    ShapeCase(
        "type",
        vllm(health__slos=[{"name": "errors", "metric": "ErrorRatio", "threshold": 0.01, "window": "2m"}]),
        "spec.health.slos[0].threshold",
        "spec.health.slos[0].threshold is the number 0.01 and has to be a string: a decimal number is written as a string, with a point"
        ' and without a unit: "2.5"',
    ),
    ShapeCase(
        "duplicate",
        vllm(health__slos=[{"name": "errors", "metric": "ErrorRatio", "threshold": "0", "window": "2m"}] * 2),
        "spec.health.slos[1]",
        "spec.health.slos has errors twice: remove one of them",
    ),
    ShapeCase("enum", vllm(engine__type="vllm"), "spec.engine.type", "spec.engine.type is vllm and has to be one of vLLM, LlamaCpp"),
    ShapeCase("bounds", vllm(replicas=-1), "spec.replicas", "spec.replicas is -1 and has to be 0 to 1000"),
    ShapeCase(
        "bounds",
        vllm(model__aliases=[f"m{number}" for number in range(17)]),
        "spec.model.aliases",
        "spec.model.aliases has 17 items and may have 0 to 16",
    ),
    ShapeCase(
        "bounds",
        vllm(model__servedName="m" * 129),
        "spec.model.servedName",
        "spec.model.servedName has 129 characters and may have 1 to 128",
    ),
    ShapeCase(
        "bounds",
        vllm(engine__args={f"flag-{number}": "x" for number in range(65)}),
        "spec.engine.args",
        "spec.engine.args has 65 entries and may have 64",
    ),
    ShapeCase("duplicate", vllm(model__aliases=["a", "a"]), "spec.model.aliases[1]", "spec.model.aliases has a twice: remove one of them"),
    ShapeCase(
        "duplicate",
        vllm(engine__env=[{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]),
        "spec.engine.env[1]",
        "spec.engine.env has A twice: remove one of them",
    ),
    ShapeCase(
        "unknown-field",
        vllm(engine__maxModelLength=4096),
        "spec.engine.maxModelLength",
        "there is no field spec.engine.maxModelLength: did you mean maxModelLen?",
    ),
    ShapeCase(
        "unknown-field",
        vllm(health__startuptimeout="1m"),
        "spec.health.startuptimeout",
        "there is no field spec.health.startuptimeout: did you mean startupTimeout?",
    ),
    ShapeCase(
        "unknown-field",
        vllm(servedName="chat"),
        "spec.servedName",
        "there is no field spec.servedName: did you mean spec.model.servedName?",
    ),
    ShapeCase(
        "unknown-field",
        vllm(parallelism={"tensor": 1, "xyz": 2}),
        "spec.parallelism.xyz",
        "there is no field spec.parallelism.xyz: spec.parallelism has tensor, pipeline",
    ),
)

"""What the API server refuses about a ModelDeployment, beyond the engine's settings: each rule with its sentence."""

from __future__ import annotations

from allod.api.markers import Cel
from allod.api.values import Duration, Memory, cel_string

NAME_LENGTH = 40
"""A pod's label controller-revision-hash is `<StatefulSet>-<10 characters>` and has at most 63: the StatefulSet has 52. Its name is
`<name>-<8 characters of the revision>`, which leaves 43; three are kept for numbering groups of pods (`-g9`)."""

SERVED_NAME = Cel(
    "served-name-shape",
    f"self.matches({cel_string(r'^[A-Za-z0-9]([A-Za-z0-9._/:-]*[A-Za-z0-9])?$')})",
    "a served name has letters, digits and . _ / : - between them, such as deepseek-ai/DeepSeek-R1",
)

MODEL_DEPLOYMENT = (
    Cel(
        "name-length",
        f"size(self.metadata.name) <= {NAME_LENGTH}",
        f"metadata.name is at most {NAME_LENGTH} characters long, so that the names and labels of its pods fit into Kubernetes' 63",
        f"'metadata.name has %d characters and at most {NAME_LENGTH} fit, because the names and labels of its pods are longer by up to 23'"
        ".format([size(self.metadata.name)])",
        field_path=".metadata.name",
    ),
    Cel(
        "name-shape",
        r"self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
        "metadata.name becomes the name of a Service: lower-case letters, digits and -, beginning with a letter",
        field_path=".metadata.name",
    ),
    Cel(
        "alias-is-name",
        "!has(self.spec.model.aliases) || has(self.spec.model.servedName) || !(self.metadata.name in self.spec.model.aliases)",
        "model.aliases repeats metadata.name, which is the served name already: leave it out of the aliases",
        field_path=".spec.model.aliases",
    ),
)

TASK = "(has({0}.task) ? {0}.task : 'Generate')"

MODEL = (
    Cel(
        "task-immutable",
        f"{TASK.format('self')} == {TASK.format('oldSelf')}",
        "model.task cannot be changed, because the clients of a model speak another protocol then: make a new ModelDeployment",
    ),
    Cel(
        "alias-is-served-name",
        "!has(self.aliases) || !has(self.servedName) || !(self.servedName in self.aliases)",
        "model.aliases repeats model.servedName: leave it out of the aliases",
        field_path=".aliases",
    ),
    Cel(
        "revision-hf",
        "!has(self.revision) || self.uri.startsWith('hf://')",
        "model.revision pins a hf:// repository; what other addresses name does not move by revision, so leave it out",
        field_path=".revision",
    ),
    Cel(
        "secret-hf",
        "!has(self.secretRef) || self.uri.startsWith('hf://')",
        "model.secretRef is the token for a hf:// repository; credentials of registries go into engine.imagePullSecrets",
        field_path=".secretRef",
    ),
)

GPU_RESOURCE = Cel(
    "gpu-resource-name",
    r"self.matches('^[a-z0-9]([a-z0-9.-]*[a-z0-9])?/[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$')",
    "resources.gpu.resourceName is the name under which the device plugin offers GPUs, such as nvidia.com/gpu",
)

_MEMORY = f"self.memory.matches({cel_string(Memory.pattern)})"
_SHARED = f"self.sharedMemory.matches({cel_string(Memory.pattern)})"

RESOURCES = (
    Cel(
        "shared-memory",
        f"!has(self.sharedMemory) || !{_SHARED} || !{_MEMORY} || quantity(self.sharedMemory).isLessThan(quantity(self.memory))",
        "resources.sharedMemory counts as part of resources.memory, so it has to be smaller",
        "'resources.sharedMemory %s counts as part of resources.memory %s, so it has to be smaller'"
        ".format([self.sharedMemory, self.memory])",
        field_path=".sharedMemory",
    ),
)


QUEUE_NAME = Cel(
    "queue-name",
    "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
    "scheduling.queueName is the name of a LocalQueue: lower-case letters, digits and -",
)


def between(name: str, field: str, least: str, most: str) -> Cel:
    """Bounds of a duration. One that has no duration's shape is left to the rule that says so."""
    return Cel(
        name,
        f"!self.matches({cel_string(Duration.pattern)}) || (duration(self) >= duration('{least}') && duration(self) <= duration('{most}'))",
        f"{field} is between {least} and {most}",
        f"'{field} %s is not between {least} and {most}'.format([self])",
    )


_TENSOR = "(has(self.parallelism) && has(self.parallelism.tensor) ? self.parallelism.tensor : 1)"
_PIPELINE = "(has(self.parallelism) && has(self.parallelism.pipeline) ? self.parallelism.pipeline : 1)"
_ON_VLLM = "self.engine.type != 'vLLM'"
_ON_LLAMA = "self.engine.type != 'LlamaCpp'"

SPEC = (
    Cel(
        "gpu-count",
        f"{_ON_VLLM} || !has(self.resources.gpu) || {_TENSOR} * {_PIPELINE} == self.resources.gpu.count",
        "parallelism.tensor x parallelism.pipeline is the number of GPUs that a replica needs: resources.gpu.count has to be the same",
        "'parallelism.tensor %d x parallelism.pipeline %d needs %d GPU%s per replica, resources.gpu.count %d gives %d'"
        f".format([{_TENSOR}, {_PIPELINE}, {_TENSOR} * {_PIPELINE}, {_TENSOR} * {_PIPELINE} == 1 ? '' : 's',"
        " self.resources.gpu.count, self.resources.gpu.count])",
        field_path=".parallelism",
    ),
    Cel(
        "cpu-pipeline",
        f"{_ON_VLLM} || has(self.resources.gpu) || {_PIPELINE} == 1",
        "parallelism.pipeline needs GPUs: vLLM on CPUs dies at the first request with it, so use parallelism.tensor or set resources.gpu",
        field_path=".parallelism",
    ),
    Cel(
        "llamacpp-parallelism",
        f"{_ON_LLAMA} || ({_TENSOR} == 1 && {_PIPELINE} == 1)",
        "parallelism is vLLM's: LlamaCpp uses the cores of resources.cpu, and more replicas serve more clients",
        field_path=".parallelism",
    ),
    Cel(
        "llamacpp-gpu",
        f"{_ON_LLAMA} || !has(self.resources.gpu)",
        "resources.gpu is for vLLM: LlamaCpp runs on CPUs, so leave resources.gpu out or use engine.type vLLM",
        field_path=".resources",
    ),
    Cel(
        "llamacpp-gguf",
        f"{_ON_LLAMA} || (self.model.uri.endsWith('.gguf') && !self.model.uri.startsWith('hf://'))",
        "LlamaCpp reads one GGUF file that is there already: model.uri is pvc://claim/file.gguf, oci://image:tag/file.gguf or"
        " file:///path/file.gguf",
        field_path=".model",
    ),
)

_OWN_LABEL = "key.startsWith('allod.dev/') || key in ['app.kubernetes.io/managed-by']"

POD_LABELS = Cel(
    "pod-labels",
    f"self.all(key, !({_OWN_LABEL}))",
    "podTemplate.metadata.labels may not set allod.dev/ labels nor app.kubernetes.io/managed-by: Services find the pods by them",
    f"'podTemplate.metadata.labels may not set %s: Services find the pods by these labels'.format([self.filter(key, {_OWN_LABEL})])",
)


def _own(list_: str, container: str, instead: str) -> Cel:
    taken = "has(c.command) || has(c.args) || has(c.image) || has(c.env)"
    return Cel(
        f"pod-{container}",
        f"!has(self.{list_}) || self.{list_}.all(c, c.name != '{container}' || !({taken}))",
        f"podTemplate.spec may not change image, command, args or env of the container {container}: {instead}",
        field_path=f".{list_}",
    )


POD_SPEC = (
    _own("containers", "engine", "use engine.image, args, extraArgs and env"),
    _own("initContainers", "inspect", "it is the operator's own"),
    Cel(
        "pod-first-process",
        "!(has(self.shareProcessNamespace) && self.shareProcessNamespace) && !(has(self.hostPID) && self.hostPID)",
        "podTemplate.spec may not set shareProcessNamespace or hostPID: only as the first process of its container does a dead vLLM take"
        " its workers along",
    ),
)

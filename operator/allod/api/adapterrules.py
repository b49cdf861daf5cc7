"""What the API server refuses about adapters: each rule with its sentence."""

from __future__ import annotations

from allod.api.markers import Cel
from allod.api.values import cel_string

PVC = r"^pvc://[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[^/].*$"
FILE = r"^file:///[^/]+/.*[^/].*$"

_INSTEAD = "put the adapter on a volume (pvc://claim/path) or into a folder of the node (file:///folder/adapter)"

URI = (
    Cel(
        "adapter-uri-supported",
        "self.matches('^(pvc|file)://')",
        f"adapters[].uri has an address that is not supported: {_INSTEAD}",
        f"'adapters[].uri %s:// is not supported: {_INSTEAD}'.format([self.split('://')[0]])",
    ),
    Cel(
        "adapter-uri-pvc",
        f"!self.startsWith('pvc://') || self.matches({cel_string(PVC)})",
        "adapters[].uri pvc:// names a PersistentVolumeClaim and the adapter's folder in it: pvc://adapters/fraud/v7",
    ),
    Cel(
        "adapter-uri-file",
        f"!self.startsWith('file://') || self.matches({cel_string(FILE)})",
        "adapters[].uri file:// has three slashes, a folder of the node and the adapter's own folder in it: file:///srv/adapters/fraud-v7",
    ),
    Cel(
        "adapter-uri-no-dots",
        r"!self.matches(r'/\.\.?(/|$)')",
        "adapters[].uri has . or .. in its path: write the path without them",
    ),
)

_TAKEN = "(has(self.model.servedName) && a.name == self.model.servedName) || (has(self.model.aliases) && a.name in self.model.aliases)"

SPEC = (
    Cel(
        "adapters-engine",
        "!has(self.adapters) || self.engine.type == 'vLLM'",
        "adapters are for vLLM: LlamaCpp takes no new one without a restart, so merge the adapter into the GGUF file",
        field_path=".adapters",
    ),
    Cel(
        "adapters-task",
        "!has(self.adapters) || !has(self.model.task) || self.model.task == 'Generate'",
        "adapters are for models of the task Generate: for embeddings and reranking serve the merged model",
        field_path=".adapters",
    ),
    Cel(
        "adapter-is-served-name",
        f"!has(self.adapters) || self.adapters.all(a, !({_TAKEN}))",
        "adapters repeats model.servedName or one of model.aliases: give the adapter another name",
        f"'adapters repeats %s, by which the model itself is asked for: give the adapter another name'"
        f".format([self.adapters.filter(a, {_TAKEN}).map(a, a.name)])",
        field_path=".adapters",
    ),
)

ADAPTER_IS_NAME = Cel(
    "adapter-is-name",
    "!has(self.spec.adapters) || has(self.spec.model.servedName) || self.spec.adapters.all(a, a.name != self.metadata.name)",
    "adapters repeats metadata.name, which is the served name of the model itself: give the adapter another name",
    field_path=".spec.adapters",
)

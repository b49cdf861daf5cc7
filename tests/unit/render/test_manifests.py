"""What a user's manifest becomes: the whole of it as files under tests/golden, and each part that has a reason by itself."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import kubernetes_validate  # type: ignore[import-untyped]  # it ships no types
import pytest
import yaml

from allod.api.modeldeployment import ModelDeployment
from allod.cli.main import to_yaml
from allod.domain.names import APPLIED
from allod.domain.serving.decide import decide
from allod.domain.serving.groups.turn import in_full
from allod.domain.serving.revision import digest
from allod.domain.serving.seen import Seen
from allod.render.monitoring import podmonitor, prometheusrule
from allod.render.serving import httproute
from allod.render.serving.plan import plan
from unit.domain.simulation import DEFAULTS, SPEC, START

if TYPE_CHECKING:
    from allod.domain.manifest import Manifest
    from support.golden import Golden

FOLDER = Path(__file__).parent / "models"
MODELS = sorted(path.stem for path in FOLDER.glob("*.yaml"))
OLDEST, NEWEST = "1.30", "1.36"
"""Of Kubernetes, as Chart.yaml lets in and as the box runs."""
FROM_IMAGES = {"llamacpp-oci", "vllm-cpu"}
"""Image volumes came with 1.31."""
OPTIONAL = frozenset({podmonitor.API, prometheusrule.API, httproute.API})


def new(raw: dict[str, Any], apis: frozenset[str] = OPTIONAL) -> Seen:
    """A model that was applied just now."""
    meta = {"namespace": "ai", "uid": "5a0a9a1e", "generation": 1} | raw["metadata"]
    model = ModelDeployment.model_validate(raw | {"metadata": meta})
    return Seen(model=model, status={}, children=(), pods=(), defaults=DEFAULTS, apis=apis)


def planned(seen: Seen) -> list[Manifest]:
    return list(plan(seen, in_full(decide(seen, START), seen.model.spec.replicas)).objects)


def rendered(raw: dict[str, Any], apis: frozenset[str] = OPTIONAL) -> list[Manifest]:
    return planned(new(raw, apis))


def model(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
    return loaded


def of(kind: str, objects: list[Manifest], name: str = "") -> Manifest:
    return next(each for each in objects if each["kind"] == kind and name in each["metadata"]["name"])


def pod(spec: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = of("StatefulSet", rendered({"metadata": {"name": "chat"}, "spec": spec}))["spec"]["template"]
    return found


def engine(spec: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = next(part for part in pod(spec)["spec"]["containers"] if part["name"] == "engine")
    return found


def env(spec: dict[str, Any]) -> dict[str, Any]:
    return {variable["name"]: variable.get("value", variable.get("valueFrom")) for variable in engine(spec)["env"]}


def with_(**changes: Any) -> dict[str, Any]:
    """The usual spec, sections merged."""
    return SPEC | {name: SPEC[name] | value if isinstance(SPEC.get(name), dict) else value for name, value in changes.items()}


CPU = {"engine": {"type": "vLLM"}, "resources": {"memory": "8Gi", "cpu": "6"}}

NAMED = {"sitecustomize.py": "cause.py"}
"""Programs that pods have under another name."""


@pytest.mark.parametrize("name", MODELS)
def test_a_model_becomes_these_objects(name: str, golden: Golden) -> None:
    objects = rendered(model(name))
    for each in objects:
        programs = {name: f"(images/engine/{NAMED.get(name, name)})\n" for name in each.get("data", ()) if name.endswith(".py")}
        if each["kind"] == "ConfigMap" and programs:  # its text, and so its digest, is another file's matter
            each["data"] = programs
            each["metadata"]["annotations"][APPLIED] = "(its digest)"
    golden.check(f"serving/{name}.yaml", to_yaml(objects) + "\n")


@pytest.mark.parametrize(
    ("name", "kubernetes"), [*((name, NEWEST) for name in MODELS), *((name, OLDEST) for name in MODELS if name not in FROM_IMAGES)]
)
def test_kubernetes_own_schemas_take_every_object(name: str, kubernetes: str) -> None:
    for manifest in rendered(model(name), apis=frozenset()):
        kubernetes_validate.validate(manifest, kubernetes, strict=True)


@pytest.mark.parametrize("name", MODELS)
def test_the_objects_are_json_and_hold_no_empty_or_null_part(name: str) -> None:
    def empty(value: Any, path: str) -> list[str]:
        if isinstance(value, dict):
            return [found for key, part in value.items() for found in empty(part, f"{path}.{key}")]
        if isinstance(value, list):
            return ([path] if not value else []) + [found for part in value for found in empty(part, path)]
        return [path] if value is None else []

    for manifest in rendered(model(name)):
        json.dumps(manifest)
        manifest.get("data", {}).pop("spec", None)  # the user's own words, nulls of podTemplate included
        assert empty(manifest, manifest["kind"]) == []


def test_every_child_is_owned_found_by_labels_and_marked_with_what_was_applied() -> None:
    for manifest in rendered(model("vllm-gpu")):
        meta = manifest["metadata"]
        assert meta["ownerReferences"][0] == {
            "apiVersion": "allod.dev/v1alpha1",
            "kind": "ModelDeployment",
            "name": "legal",
            "uid": "5a0a9a1e",
            "controller": True,
            "blockOwnerDeletion": True,
        }
        assert meta["labels"]["allod.dev/model"] == "legal"
        assert meta["labels"]["app.kubernetes.io/managed-by"] == "allod"
        applied = meta["annotations"].pop(APPLIED)
        del meta["annotations"]
        assert applied == digest(manifest)


def test_a_cluster_without_the_prometheus_operator_gets_no_object_of_it() -> None:
    kinds = {manifest["kind"] for manifest in rendered(model("vllm-gpu"), apis=frozenset())}
    assert not kinds & {"PodMonitor", "PrometheusRule"}


def test_monitoring_can_be_left_out() -> None:
    raw = {"metadata": {"name": "chat"}, "spec": SPEC | {"monitoring": {"podMonitor": False, "prometheusRule": False}}}
    assert not {manifest["kind"] for manifest in rendered(raw)} & {"PodMonitor", "PrometheusRule"}


def test_a_short_window_is_scraped_as_often_as_the_operator_looks() -> None:
    def interval(window: str) -> Any:
        slo = {"name": "errors", "metric": "ErrorRatio", "threshold": "0.01", "window": window}
        objects = rendered({"metadata": {"name": "chat"}, "spec": SPEC | {"health": {"slos": [slo]}}})
        return of("PodMonitor", objects)["spec"]["podMetricsEndpoints"][0]["interval"]

    assert (interval("59s"), interval("1m")) == ("10s", "15s")


def test_pods_meet_the_restricted_standard_and_know_no_token_and_no_service() -> None:
    spec = pod(SPEC)["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    for container in [*spec["initContainers"], *spec["containers"]]:
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert container["securityContext"]["allowPrivilegeEscalation"] is False


def test_three_timeouts_set_probes_grace_and_the_engines_own_limits_together() -> None:
    spec = SPEC | {"health": {"startupTimeout": "10m", "hangTimeout": "40s", "drainTimeout": "90s"}}
    container = engine(spec)
    assert container["startupProbe"]["periodSeconds"] * container["startupProbe"]["failureThreshold"] == 600
    assert container["livenessProbe"]["periodSeconds"] * container["livenessProbe"]["failureThreshold"] >= 40
    assert container["readinessProbe"]["failureThreshold"] * container["readinessProbe"]["periodSeconds"] == 2
    found = env(spec)
    assert found["ALLOD_HANG_SECONDS"] == "40"
    assert found["VLLM_ENGINE_READY_TIMEOUT_S"] == "600"
    assert found["VLLM_EXECUTE_MODEL_TIMEOUT_SECONDS"] == "80"
    assert "--shutdown-timeout=90" in container["args"]
    sleeps = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod(spec)["spec"]["terminationGracePeriodSeconds"] >= sleeps + 90 + 12


@pytest.mark.parametrize(
    ("uri", "location", "volume"),
    [
        ("pvc://models/a/b", "/models/a/b", {"persistentVolumeClaim": {"claimName": "models", "readOnly": True}}),
        ("pvc://models", "/models", {"persistentVolumeClaim": {"claimName": "models", "readOnly": True}}),
        ("oci://r.test/m/smol:1", "/models", {"image": {"reference": "r.test/m/smol:1"}}),
        ("oci://r.test:5000/m:1/a/x.gguf", "/models/a/x.gguf", {"image": {"reference": "r.test:5000/m:1"}}),
        ("file:///srv/models/smol", "/models", {"hostPath": {"path": "/srv/models/smol", "type": "Directory"}}),
        ("file:///srv/models/x.gguf", "/models/x.gguf", {"hostPath": {"path": "/srv/models", "type": "Directory"}}),
    ],
)
def test_a_model_is_mounted_read_only_where_the_engine_and_the_inspection_look(uri: str, location: str, volume: dict[str, Any]) -> None:
    template = pod(with_(model={"uri": uri}))["spec"]
    assert template["volumes"][0] == {"name": "model"} | volume
    (inspect,) = template["initContainers"]
    assert f"--model={location}" in inspect["args"]
    container = next(part for part in template["containers"] if part["name"] == "engine")
    assert container["args"][0] == location
    for part in (inspect, container):
        assert {"name": "model", "mountPath": "/models", "readOnly": True} in part["volumeMounts"]


def test_a_model_from_hugging_face_is_downloaded_by_the_engine_alone() -> None:
    spec = with_(model={"uri": "hf://org/name", "revision": "1df8507", "secretRef": {"name": "hf"}})
    template = pod(spec)["spec"]
    assert "initContainers" not in template
    assert engine(spec)["args"][0] == "org/name"
    assert "--revision=1df8507" in engine(spec)["args"]
    found = env(spec)
    assert found["HF_TOKEN"] == {"secretKeyRef": {"name": "hf", "key": "token"}}
    assert not {"HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"} & found.keys()
    policy = of("NetworkPolicy", rendered({"metadata": {"name": "chat"}, "spec": spec}))
    assert {"ports": [{"port": 443, "protocol": "TCP"}]} in policy["spec"]["egress"]


def test_a_mounted_model_is_served_without_any_way_out() -> None:
    found = env(SPEC)
    assert (found["HF_HUB_OFFLINE"], found["TRANSFORMERS_OFFLINE"], found["VLLM_NO_USAGE_STATS"]) == ("1", "1", "1")
    policy = of("NetworkPolicy", rendered({"metadata": {"name": "chat"}, "spec": SPEC}))
    ports = [port["port"] for rule in policy["spec"]["egress"] for port in rule.get("ports", ())]
    assert set(ports) == {53, 5353}


@pytest.mark.parametrize(
    ("written", "clients"),
    [
        ({}, [{"podSelector": {}}]),
        ({"allowFrom": []}, []),
        (
            {"allowFrom": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}]},
            [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}],
        ),
    ],
)
def test_clients_are_those_of_the_namespace_or_those_that_are_named(written: dict[str, Any], clients: list[Any]) -> None:
    policy = of("NetworkPolicy", rendered({"metadata": {"name": "chat"}, "spec": SPEC | {"networkPolicy": written}}))
    operator = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "allod-system"}}}
    assert policy["spec"]["ingress"][0] == {"from": [*clients, operator], "ports": [{"port": 8000, "protocol": "TCP"}]}


@pytest.mark.parametrize(
    ("spec", "flags"),
    [
        (with_(engine={"args": {"enable-prefix-caching": "true", "async-scheduling": "false", "seed": "1"}}), 3),
        (with_(engine={"extraArgs": ["--lora-modules", "a=/a"]}), 2),
    ],
)
def test_the_users_flags_come_last(spec: dict[str, Any], flags: int) -> None:
    given = engine(spec)["args"][-flags:]
    assert given in (["--no-async-scheduling", "--enable-prefix-caching", "--seed=1"], ["--lora-modules", "a=/a"])


def test_served_name_and_aliases_are_given_in_this_order() -> None:
    args = engine(with_(model={"servedName": "smol", "aliases": ["s", "chat-small"]}))["args"]
    at = args.index("--served-model-name")
    assert args[at + 1 : at + 4] == ["smol", "s", "chat-small"]
    assert env(with_(model={"servedName": "smol"}))["ALLOD_MODEL"] == "smol"


@pytest.mark.parametrize(("task", "flag"), [("Generate", False), ("Embed", True), ("Rerank", True)])
def test_embeddings_and_reranking_need_the_pooling_runner(task: str, flag: bool) -> None:  # noqa: FBT001  # a table of cases
    spec = with_(model={"task": task})
    assert ("--runner=pooling" in engine(spec)["args"]) is flag
    assert env(spec)["ALLOD_TASK"] == task


def test_a_cpu_engine_gets_a_cache_that_its_memory_limit_allows_and_threads_that_it_reserved() -> None:
    spec = SPEC | CPU | {"parallelism": {"tensor": 3}}
    assert f"--kv-cache-memory-bytes={682 * 2**20}" in engine(spec)["args"]
    assert env(spec)["OMP_NUM_THREADS"] == "2"
    assert f"--kv-memory={682 * 2**20}" in pod(spec)["spec"]["initContainers"][0]["args"]
    without_cpu = SPEC | CPU | {"resources": {"memory": "8Gi"}}
    assert env(without_cpu)["OMP_NUM_THREADS"] == "1"


@pytest.mark.parametrize(
    ("own", "bytes_"),
    [
        ({"args": {"kv-cache-memory-bytes": "64M"}}, 64 * 2**20),
        ({"args": {"kv-cache-memory-bytes": "1.5g"}}, 1_500_000_000),
        ({"extraArgs": ["--kv-cache-memory-bytes", "1000"]}, 1000),
        ({"extraArgs": ["--kv-cache-memory-bytes=1000"]}, 1000),
        ({"env": [{"name": "VLLM_CPU_KVCACHE_SPACE", "value": "2"}]}, 2 * 2**30),
        ({"args": {"kv-cache-memory-bytes": "plenty"}}, None),
    ],
)
def test_a_cache_that_the_user_chose_stays_and_is_what_the_inspection_reckons_with(own: dict[str, Any], bytes_: int | None) -> None:
    spec = SPEC | CPU | {"engine": {"type": "vLLM"} | own}
    flags = [flag for flag in engine(spec)["args"] if flag.startswith("--kv-cache-memory-bytes")]
    assert len(flags) == (1 if "VLLM_CPU_KVCACHE_SPACE" not in env(spec) else 0)
    told = [flag for flag in pod(spec)["spec"]["initContainers"][0]["args"] if flag.startswith("--kv-memory")]
    assert told == ([f"--kv-memory={bytes_}"] if bytes_ else [])


def test_a_variable_of_the_user_replaces_ours_and_stands_once() -> None:
    spec = with_(
        engine={
            "env": [{"name": "HF_HOME", "value": "/data/hf"}, {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]
        }
    )
    names = [variable["name"] for variable in engine(spec)["env"]]
    assert len(names) == len(set(names))
    assert env(spec)["HF_HOME"] == "/data/hf"
    assert env(spec)["TOKEN"] == {"secretKeyRef": {"name": "s", "key": "k"}}


def test_memory_is_a_limit_and_cpu_is_not() -> None:
    resources = engine(with_(resources={"cpu": "16"}))["resources"]
    assert resources["limits"] == {"memory": "32Gi", "nvidia.com/gpu": "1"}
    assert resources["requests"] == {"cpu": "16", "memory": "32Gi", "nvidia.com/gpu": "1"}


def test_shared_memory_is_there_even_if_nobody_asks_and_as_large_as_asked() -> None:
    def shm(spec: dict[str, Any]) -> Any:
        return next(volume["emptyDir"] for volume in pod(spec)["spec"]["volumes"] if volume["name"] == "shm")

    assert shm(SPEC) == {"medium": "Memory", "sizeLimit": "2Gi"}
    assert shm(with_(resources={"sharedMemory": "16Gi"})) == {"medium": "Memory", "sizeLimit": "16Gi"}


def test_the_stable_service_points_at_one_revision_and_leaves_out_pods_that_were_taken_out() -> None:
    objects = rendered({"metadata": {"name": "chat"}, "spec": SPEC})
    revision = of("ControllerRevision", objects)["metadata"]["labels"]["allod.dev/revision"]
    stable = next(each for each in objects if each["kind"] == "Service" and each["metadata"]["name"] == "chat")
    assert stable["spec"]["selector"] == {"allod.dev/model": "chat", "allod.dev/revision": revision, "allod.dev/traffic": "on"}
    assert "publishNotReadyAddresses" not in stable["spec"]
    peers = of("Service", objects, "-peers")
    assert (peers["spec"]["clusterIP"], peers["spec"]["publishNotReadyAddresses"]) == ("None", True)


def test_an_image_volume_and_the_engine_are_pulled_as_the_spec_says() -> None:
    spec = with_(model={"uri": "oci://r.test/m:1"}, engine={"imagePullPolicy": "Always", "imagePullSecrets": [{"name": "registry"}]})
    template = pod(spec)["spec"]
    assert template["volumes"][0]["image"]["pullPolicy"] == "Always"
    assert engine(spec)["imagePullPolicy"] == "Always"
    assert template["imagePullSecrets"] == [{"name": "registry"}]


def test_one_pod_for_each_replica_is_what_there_was_before_there_were_several() -> None:
    """A newer operator restarts no model: to say nodes 1 renders every object as to say nothing."""
    plain = {"metadata": {"name": "chat"}, "spec": SPEC}
    assert rendered(plain | {"spec": SPEC | {"nodes": 1}}) == rendered(plain)
    assert "allod.dev/group" not in json.dumps(rendered(plain))
    assert "pod-index" not in json.dumps(rendered(plain))


def test_pods_of_one_group_reach_each_other_on_every_port_and_no_other_pods_of_the_model() -> None:
    objects = rendered(model("vllm-nodes"))
    policies = {each["metadata"]["name"].rpartition("-")[2]: each["spec"] for each in objects if each["kind"] == "NetworkPolicy"}
    pods = {
        each["metadata"]["name"].rpartition("-")[2]: each["spec"]["template"]["metadata"]["labels"]
        for each in objects
        if each["kind"] == "StatefulSet"
    }
    assert sorted(policies) == ["big", "g0", "g1"]
    for group in ("g0", "g1"):
        (ingress,), (egress,) = policies[group]["ingress"], policies[group]["egress"]
        assert "ports" not in ingress | egress
        for peers in (ingress["from"], egress["to"]):
            taken = [other for other, labels in pods.items() if peers[0]["podSelector"]["matchLabels"].items() <= labels.items()]
            assert taken == [group]
    assert all("ports" in rule for rule in policies["big"]["ingress"] + policies["big"]["egress"])


def test_prometheus_asks_the_first_pod_of_a_group() -> None:
    (endpoint,) = of("PodMonitor", rendered(model("vllm-nodes")))["spec"]["podMetricsEndpoints"]
    (drop,) = endpoint["relabelings"]
    labels = ["__meta_kubernetes_pod_label_allod_dev_group", "__meta_kubernetes_pod_label_apps_kubernetes_io_pod_index"]
    assert (drop["action"], drop["sourceLabels"]) == ("drop", labels)
    dropped = [pod for pod in ("0;0", "0;1", "3;12", ";1", ";0") if re.fullmatch(drop["regex"], pod)]
    assert dropped == ["0;1", "3;12"], "pods without a group have a page each"

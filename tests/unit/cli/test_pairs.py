"""What only several manifests together show."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from allod.cli.main import main


def model(name: str, namespace: str = "ai", **spec: Any) -> dict[str, Any]:
    whole = {"model": {"uri": "pvc://m/x.gguf"}, "engine": {"type": "LlamaCpp"}, "resources": {"memory": "1Gi"}} | spec
    meta = {"name": name, "namespace": namespace}
    return {"apiVersion": "allod.dev/v1alpha1", "kind": "ModelDeployment", "metadata": meta, "spec": whole}


def standby(name: str) -> dict[str, Any]:
    return {"standby": {"modelDeploymentRef": {"name": name}}}


def served(*aliases: str, **more: Any) -> dict[str, Any]:
    return {"model": {"uri": "pvc://m/x.gguf", "aliases": list(aliases)} | more}


TAKEN = "give this model another model.servedName or other aliases"
BACK = "as its own standby: one of the two has to stand by itself"
CASES: dict[str, tuple[list[dict[str, Any]], list[tuple[str, str]]]] = {
    "a pair": ([model("chat", **standby("small")), model("small", **served("chat"))], []),
    "a pair whose standby is elsewhere": ([model("chat", **standby("small")), model("small", "other")], []),
    "a standby that is not among the files": ([model("chat", **standby("small"))], []),
    "each names the other": (
        [model("chat", **standby("small"), **served("small")), model("small", **standby("chat"), **served("chat"))],
        [("standby-points-back", f"small names chat {BACK}"), ("standby-points-back", f"chat names small {BACK}")],
    ),
    "a standby without the names": (
        [model("chat", **standby("small"), **served("legal", servedName="qwen")), model("small", **served("legal"))],
        [("standby-name", "clients ask for qwen, which small does not serve: add it to model.aliases of small")],
    ),
    "a standby for another task": (
        [model("chat", **standby("small")), model("small", engine={"type": "vLLM"}, **served("chat", task="Embed"))],
        [("standby-task", "small is for the task Embed and this model for Generate")],
    ),
    "one name twice": ([model("b"), model("a", **served("b"))], [("name-taken", f"a claims b too: {TAKEN}")]),
    "one name three times": (
        [model("c", **served(servedName="x")), model("a", **served(servedName="x")), model("b", **served(servedName="x"))],
        [("name-taken", f"a claims x too: {TAKEN}")] * 2,
    ),
    "one name in two namespaces": ([model("a", "ai"), model("a", "dev")], []),
    "the last of one object twice is the one that counts": (
        [model("chat", **served("small")), model("small"), model("chat")],
        [("duplicate-object", "ModelDeployment chat of namespace ai stands at 0.yaml:1 too: the one applied last wins")],
    ),
    "one object twice": (
        [model("a"), model("a", replicas=2)],
        [("duplicate-object", "ModelDeployment a of namespace ai stands at 0.yaml:1 too: the one applied last wins")],
    ),
}


@pytest.mark.parametrize("what", CASES)
def test_manifests_are_judged_together(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    given, wanted = CASES[what]
    for number, each in enumerate(given):
        Path(f"{number}.yaml").write_text(yaml.safe_dump(each))
    files = [f"{number}.yaml" for number in range(len(given))]
    errors = [rule for rule, _ in wanted if rule != "duplicate-object"]
    assert main(["lint", "-o", "json", *files]) == bool(errors)
    assert [(found["rule"], found["message"]) for found in json.loads(capsys.readouterr().out)] == wanted

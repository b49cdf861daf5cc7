"""What only the pods of llama.cpp have."""

from __future__ import annotations

import pytest

from unit.render.test_manifests import engine, pod


def test_llama_cpp_drains_before_it_is_told_to_end() -> None:
    spec = {
        "model": {"uri": "pvc://m/a.gguf"},
        "engine": {"type": "LlamaCpp"},
        "resources": {"memory": "1Gi"},
        "health": {"drainTimeout": "30s"},
    }
    assert engine(spec)["lifecycle"]["preStop"]["sleep"]["seconds"] == 30
    assert pod(spec)["spec"]["terminationGracePeriodSeconds"] > 30
    assert engine(spec | {"health": {"drainTimeout": "0s"}})["lifecycle"]["preStop"]["sleep"]["seconds"] == 5


def test_llama_cpp_gets_its_flags_as_separate_words() -> None:
    engine_ = {
        "type": "LlamaCpp",
        "maxModelLen": 1024,
        "maxNumSeqs": 4,
        "threads": 6,
        "args": {"cont-batching": "false", "top-k": "5", "webui": "true"},
    }
    spec = {"model": {"uri": "pvc://m/a.gguf", "aliases": ["b"]}, "engine": engine_ | {"extraArgs": ["-v"]}, "resources": {"memory": "1Gi"}}
    args = engine(spec)["args"]
    assert args[:8] == ["-m", "/models/a.gguf", "--alias", "chat,b", "-c", "4096", "--parallel", "4"]
    assert args[-5:] == ["--no-cont-batching", "--top-k", "5", "--webui", "-v"]
    assert args[args.index("-t") + 1] == "6"
    assert "--batch-size" not in args, "what is generated may well be read in parts"


@pytest.mark.parametrize(("task", "flag"), [("Embed", "--embedding"), ("Rerank", "--reranking")])
def test_llama_cpp_embeds_and_ranks_texts_as_long_as_the_spec_promises(task: str, flag: str) -> None:
    spec = {"model": {"uri": "pvc://m/a.gguf", "task": task}, "resources": {"memory": "1Gi"}}
    args = engine(spec | {"engine": {"type": "LlamaCpp", "maxModelLen": 2048, "maxNumSeqs": 4}})["args"]
    assert flag in args
    assert [args[args.index(each) + 1] for each in ("-c", "--batch-size", "--ubatch-size")] == ["8192", "2048", "2048"]
    assert "--batch-size" not in engine(spec | {"engine": {"type": "LlamaCpp"}})["args"]


def test_llama_cpp_gets_shared_memory_only_where_it_is_asked_for() -> None:
    spec = {"model": {"uri": "pvc://m/a.gguf"}, "engine": {"type": "LlamaCpp"}, "resources": {"memory": "1Gi"}}
    assert [volume["name"] for volume in pod(spec)["spec"]["volumes"]] == ["model", "tmp"]
    asked = spec | {"resources": {"memory": "1Gi", "sharedMemory": "64Mi"}}
    assert [volume["name"] for volume in pod(asked)["spec"]["volumes"]] == ["model", "shm", "tmp"]

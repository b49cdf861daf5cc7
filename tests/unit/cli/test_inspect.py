from __future__ import annotations

import json
import struct
from argparse import ArgumentParser
from typing import TYPE_CHECKING, Any

import pytest

from allod.api.modeldeployment import ModelDeploymentSpec
from allod.cli import inspect
from allod.cli.main import main
from allod.contracts.inspection import Inspection, inspection
from allod.domain.serving.model.demand import Demand, demand
from allod.render.serving.inspect import flags
from unit.domain.simulation import SPEC

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "hidden_size": 64,
    "max_position_embeddings": 2048,
    "torch_dtype": "float32",
}


def shard(tensors: dict[str, tuple[int, ...]], missing: int = 0) -> bytes:
    """A safetensors file of zeros, or the first part of one."""
    header: dict[str, Any] = {}
    at = 0
    for name, shape in tensors.items():
        size = 4
        for side in shape:
            size *= side
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    raw = json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + b"\0" * (at - missing)


def gguf(layers: int = 2, **more: int) -> bytes:
    def text(words: str) -> bytes:
        return struct.pack("<Q", len(words)) + words.encode()

    numbers = {"block_count": layers, "attention.head_count": 4, "embedding_length": 64, "context_length": 2048} | more
    pairs = text("general.architecture") + struct.pack("<I", 8) + text("llama")
    pairs += b"".join(text(f"llama.{key}") + struct.pack("<II", 4, number) for key, number in numbers.items())
    return b"GGUF" + struct.pack("<IQQ", 3, 0, 1 + len(numbers)) + pairs + b"\0" * 10_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small whole model."""
    made = tmp_path / "model"
    made.mkdir()
    (made / "config.json").write_text(json.dumps(CONFIG))
    (made / "model.safetensors").write_bytes(shard({"a": (64, 64), "b": (64,)}))
    return made


def look(model: Path, *words: str) -> tuple[int, Inspection]:
    """Run the command as a pod does."""
    log = model.parent / "termination-log"
    code = main(["inspect", f"--model={model}", f"--termination-log={log}", *words])
    found = inspection(log.read_text())
    assert found is not None
    return code, found


def look_in(model: Path, log: Path) -> Inspection:
    """The same, with the log elsewhere."""
    main(["inspect", f"--model={model}", f"--termination-log={log / 'log'}"])
    found = inspection((log / "log").read_text())
    assert found is not None
    return found


def test_a_model_that_fits_is_described(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = look(folder, "--gpu", "--gpu-memory=85899345920")
    assert code == 0
    assert (found.verdict, found.architecture, found.parameters, found.layers) == ("Fits", "LlamaForCausalLM", 64 * 64 + 64, 2)
    assert found.weights == int((64 * 64 + 64) * 2 * 1.02)
    assert found.digest is not None
    assert capsys.readouterr().out == f"{found.message}\n"


def test_the_digest_follows_names_sizes_and_headers(folder: Path) -> None:
    before = look(folder)[1].digest
    assert look(folder)[1].digest == before
    (folder / "model.safetensors").write_bytes(shard({"a": (64, 64), "c": (64,)}))
    assert look(folder)[1].digest != before


@pytest.mark.parametrize("first", [0, 1], ids=["safetensors", "gguf"])
def test_another_training_of_the_same_shape_has_another_digest(folder: Path, first: int) -> None:
    file = (folder / "model.safetensors", folder.parent / "model.gguf")[first]
    file.write_bytes((shard({"a": (64, 64), "b": (64,)}), gguf())[first])
    where = (folder, file)[first]
    engine = ("--engine=vLLM", "--engine=LlamaCpp")[first]
    before, whole = look(where, engine)[1].digest, file.read_bytes()
    assert before
    file.write_bytes(whole[:-2000] + b"\x01" * 2000)
    assert look(where, engine)[1].digest not in (None, before)
    file.write_bytes(whole)
    assert look(where, engine)[1].digest == before


def test_heads_that_cannot_be_divided_are_refused(folder: Path) -> None:
    code, found = look(folder, "--tensor=3")
    assert (code, found.verdict, found.reason) == (1, "Misfit", "HeadsNotDivisible")
    assert found.message == "4 attention heads cannot be divided among parallelism.tensor 3; possible are 1, 2, 4"


@pytest.mark.parametrize(
    ("words", "pooling", "refused"),
    [
        (["--needs-pooling"], {}, True),
        (["--needs-pooling"], {"pooling_type": 0}, True),
        (["--needs-pooling"], {"pooling_type": 3}, False),
        ([], {}, False),
    ],
    ids=["it chats", "it says none", "it embeds", "a flag says it"],
)
def test_a_file_that_makes_no_embedding_is_refused_where_one_is_asked_for(
    tmp_path: Path,
    words: list[str],
    pooling: dict[str, int],
    refused: bool,  # noqa: FBT001  # a table of cases
) -> None:
    (tmp_path / "a.gguf").write_bytes(gguf(**pooling))
    code, found = look(tmp_path / "a.gguf", "--engine=LlamaCpp", "--pooling", *words)
    assert (code, found.reason == "PoolingMissing") == (int(refused), refused)
    assert not refused or "set pooling in engine.args to mean, cls or last" in found.message


def test_a_path_that_does_not_exist_is_refused_with_what_is_there(folder: Path) -> None:
    code, found = look(folder / "modle", "--uri=pvc://models/modle")
    assert (code, found.verdict, found.reason) == (1, "Missing", "ModelMissing")
    assert found.message == f"pvc://models/modle: {folder}/modle does not exist; {folder} holds config.json, model.safetensors"


def test_a_volume_that_is_not_mounted_at_all_is_said_without_a_list(folder: Path) -> None:
    assert look_in(folder / "a" / "b", folder).message == f"{folder}/a/b does not exist"


def test_an_empty_volume_is_called_empty(tmp_path: Path) -> None:
    (tmp_path / "volume").mkdir()
    found = look_in(tmp_path / "volume" / "smol", tmp_path)
    assert found.message == f"{tmp_path}/volume/smol does not exist; {tmp_path}/volume is empty"


def test_a_long_list_of_what_is_there_is_cut(folder: Path) -> None:
    for number in range(10):
        (folder / f"file-{number}").touch()
    assert look(folder / "x")[1].message.endswith("holds config.json, file-0, file-1, file-2, file-3 and 7 more")


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({}, "has no config.json, so there is no model of Hugging Face's shape; "),
        ({"model.gguf": b"GGUF"}, "holds model.gguf: give model.uri that file, and engine.type LlamaCpp"),
        ({"config.json": b"{"}, "config.json is not JSON"),
        ({"config.json": json.dumps(CONFIG).encode()}, "has a config.json and no weights"),
    ],
)
def test_a_folder_without_a_whole_model_is_refused(files: dict[str, bytes], says: str, tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    for name, content in files.items():
        (model / name).write_bytes(content)
    code, found = look(model)
    assert code == 1
    assert says in found.message


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        (
            "model.safetensors",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n",
            "is a pointer of Git LFS and not the file itself: run git lfs pull",
        ),
        ("model.safetensors", shard({"a": (64, 64)}, missing=100), "model.safetensors: it lacks 100 bytes of its tensors"),
        ("model.safetensors", b"", "model.safetensors: its header claims 0 bytes of 0"),
        ("model.safetensors.index.json", b'{"weight_map": {"a": "model-00001-of-00002.safetensors"}}', "1 of 1 weight files are missing"),
        ("model.safetensors.index.json", b'{"weight_map": {"a": "../../secret"}}', "which is no file beside it"),
    ],
)
def test_weights_that_are_not_whole_are_refused(name: str, content: bytes, says: str, folder: Path) -> None:
    (folder / name).write_bytes(content)
    code, found = look(folder)
    assert code == 1
    assert says in found.message


def test_the_index_says_which_files_count(folder: Path) -> None:
    (folder / "consolidated.safetensors").write_bytes(shard({"a": (64, 64)}))
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "model.safetensors"}}')
    assert look(folder)[1].parameters == 64 * 64 + 64


def test_weights_of_pytorch_count_by_their_size(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"\0" * 10_000)
    _, found = look(folder)
    assert found.parameters is None
    assert found.weights == 10_200


def test_an_engine_that_is_told_how_to_load_may_do_without_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    code, found = look(folder, "--load-format=dummy", "--gpu", "--gpu-memory=85899345920")
    assert (code, found.verdict, found.digest) == (0, "Unknown", None)


def test_a_file_that_may_not_be_read_says_for_whom(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> None:
        raise PermissionError(13, "Permission denied", str(folder / "model.safetensors"))

    monkeypatch.setattr(inspect, "load", refuse)  # tests run as root, whom no mode keeps out
    code, found = look(folder)
    assert (code, found.reason) == (1, "ModelUnreadable")
    assert found.message.endswith("may not be read by the uid of the pod: make it readable for everybody, or for its group")


def test_a_disk_that_fails_is_a_refusal_and_no_traceback(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Path) -> None:
        raise OSError(5, "Input/output error", str(folder))

    monkeypatch.setattr(inspect, "load", fail)
    assert look(folder, "--uri=pvc://m")[1].message == f"pvc://m: {folder}: Input/output error"


def test_a_gguf_file_is_described_and_its_parts_are_added(tmp_path: Path) -> None:
    first, second = (tmp_path / f"m-0000{part}-of-00002.gguf" for part in (1, 2))
    first.write_bytes(gguf())
    words = ("--engine=LlamaCpp", "--host-memory=1073741824", "--max-model-len=1024")
    code, found = look(first, *words)
    assert (code, found.message) == (1, "m-00001-of-00002.gguf is the first of 2 parts, and m-00002-of-00002.gguf is missing")
    second.write_bytes(gguf())
    code, found = look(first, *words)
    assert (code, found.weights) == (0, int(20_000 * 1.02))
    second.write_bytes(b"")
    assert look(first, *words)[1].message == "m-00002-of-00002.gguf: it is empty"
    second.write_bytes(b"PK")
    assert look(first, *words)[1].message == "m-00002-of-00002.gguf: it does not begin with GGUF: this is another kind of file"


def test_each_engine_gets_the_kind_of_model_that_it_reads(folder: Path) -> None:
    assert "llama.cpp needs one GGUF file" in look(folder, "--engine=LlamaCpp")[1].message
    file = folder / "model.gguf"
    file.write_bytes(gguf())
    assert "vLLM needs a folder with config.json" in look(file)[1].message


def test_a_log_that_cannot_be_written_changes_nothing_about_the_verdict(folder: Path) -> None:
    assert main(["inspect", f"--model={folder}", "--termination-log=/nowhere/at/all"]) == 0


@pytest.mark.parametrize(
    "spec",
    [
        SPEC,
        SPEC | {"model": {"uri": "pvc://m/x", "task": "Embed"}, "parallelism": {"tensor": 2, "pipeline": 2}},
        SPEC | {"engine": {"type": "LlamaCpp", "maxModelLen": 512, "maxNumSeqs": 3}, "resources": {"memory": "2Gi"}},
        SPEC
        | {"engine": {"type": "vLLM", "dtype": "float32", "kvCacheDtype": "fp8", "quantization": "fp8", "gpuMemoryUtilization": "0.5"}},
        SPEC | {"model": {"uri": "pvc://m/x.gguf", "task": "Embed"}, "engine": {"type": "LlamaCpp"}},
        SPEC | {"model": {"uri": "pvc://m/x.gguf", "task": "Embed"}, "engine": {"type": "LlamaCpp", "args": {"pooling": "mean"}}},
        SPEC | {"engine": {"type": "vLLM", "args": {"load-format": "dummy"}}, "resources": {"memory": "8Gi"}},
    ],
    ids=str,
)
def test_the_pod_is_told_all_that_the_spec_says_about_memory(spec: dict[str, Any]) -> None:
    asked = demand(ModelDeploymentSpec.model_validate(spec))
    parser = ArgumentParser()
    inspect.arguments(parser)
    assert inspect.demand(parser.parse_args(["--model=/m", *flags(asked)])) == asked
    assert asked != Demand()


def test_a_result_never_exceeds_what_kubelet_keeps() -> None:
    found = Inspection(verdict="Misfit", reason="DoesNotFit", message="\N{HIGH VOLTAGE SIGN}\x00" * 512)
    assert len(found.text().encode()) < 4096
    again = inspection(found.text())
    assert again is not None
    assert again.refuses


@pytest.mark.parametrize("text", ["", "Killed", "{}", '{"verdict": "Great"}', "[1]"])
def test_a_message_that_is_not_ours_is_no_result(text: str) -> None:
    assert inspection(text) is None

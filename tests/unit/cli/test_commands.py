from __future__ import annotations

import io
import json
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from allod import __version__
from allod.api.crds import manifests
from allod.cli.main import main
from tutorial.page import Command, steps
from unit.cli.article import EXAMPLES, GPU_COUNT, HEAVY, SWAP, model
from unit.cli.test_inspect import gguf

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def linted(folder: Path, capsys: pytest.CaptureFixture[str]) -> Callable[[str], Any]:
    """What lint finds in a text, which has to be something."""

    def lint(written: str) -> Any:
        (folder / "x.yaml").write_text(written)
        assert main(["lint", "-o", "json", "x.yaml"]) == 1
        return json.loads(capsys.readouterr().out)

    return lint


@pytest.mark.parametrize(
    ("name", "code", "rules"),
    [*((name, 0, []) for name in ("adapters", "canary", "chat", "legal", "nodes", "survive")), ("article", 1, ["gpu-count"])],
)
def test_each_example_lints_as_its_comment_says(name: str, code: int, rules: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lint", "--output", "json", str(EXAMPLES / f"{name}.yaml")]) == code
    assert [found["rule"] for found in json.loads(capsys.readouterr().out)] == rules
    comment = (EXAMPLES / f"{name}.yaml").read_text()
    assert ("finds nothing." in comment) is (code == 0)


PAGE = EXAMPLES.parent / "command-line.md"


@pytest.mark.parametrize(
    "command", [step for step in steps(PAGE.read_text("utf-8")) if isinstance(step, Command)], ids=lambda step: step.text
)
def test_the_page_shows_what_is_printed(command: Command, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PAGE.parents[1])
    program, *words = shlex.split(command.text)
    assert program == "allod"
    main(words)
    assert command.missing(capsys.readouterr().out) is None


def test_there_is_no_example_without_its_test() -> None:
    assert sorted(path.stem for path in EXAMPLES.glob("*.yaml")) == ["adapters", "article", "canary", "chat", "legal", "nodes", "survive"]


@pytest.mark.usefixtures("folder")
def test_lint_names_line_rule_and_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lint", "article.yaml"]) == 1
    assert capsys.readouterr().out == (
        "article.yaml:1   note     ignored       1 object of no kind of allod.dev was not looked at: Namespace\n"
        f"article.yaml:15  error    unknown-flag  {SWAP}\n"
        f"article.yaml:17  error    gpu-count     {GPU_COUNT}\n"
        "2 errors, 0 warnings in 1 ModelDeployment; nothing was sent to a cluster\n"
    )


@pytest.mark.usefixtures("folder")
def test_lint_judges_memory_by_what_is_reserved(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lint", "article.yaml", "--model-config", "config.json"]) == 1
    assert f"article.yaml:19  error    memory        {HEAVY}\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("written", "line", "rule", "says"),
    [
        ("a: [", 1, "yaml", "this is not YAML: "),
        ("a: \x01", 1, "yaml", "this is not YAML: "),
        ("- 1", 1, "yaml", "a manifest is a map"),
        ("apiVersion: allod.dev/v1alpha1\nkind: ModelDeployments", 2, "kind", "write kind: ModelDeployment"),
        ("apiVersion: allod.dev/v1alpha1\nkind: ModelDeployment\nmetadata: 5\nspec: {}", 3, "type", "metadata is the number 5"),
        (
            "apiVersion: allod.dev/v1alpha1\nkind: ModelDeployment\nmetadata: &a {labels: *a}",
            1,
            "yaml",
            "this is not YAML: an alias stands inside the anchor that it names",
        ),
        (
            "apiVersion: allod.dev/v1alpha1\na: &a [1,1,1,1,1,1,1,1,1,1]\n"
            + "".join(f"{x}: &{x} [{','.join([f'*{y}'] * 10)}]\n" for x, y in ("ba", "cb", "dc", "ed", "fe")),
            1,
            "yaml",
            "more than 100000 values",
        ),
    ],
)
def test_what_is_no_manifest_is_said_with_its_line(written: str, line: int, rule: str, says: str, linted: Callable[[str], Any]) -> None:
    found = linted(written)[0]
    assert (found["line"], found["rule"]) == (line, rule)
    assert says in found["message"]


def test_an_error_in_a_list_is_found_on_its_own_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    engine = {"type": "LlamaCpp", "env": [{"name": "A", "value": "1"}, {"name": "B", "value": 5}]}
    (folder / "x.yaml").write_text(yaml.safe_dump(model(engine=engine), sort_keys=False))
    assert main(["lint", "x.yaml"]) == 1
    line = (folder / "x.yaml").read_text().splitlines().index("      value: 5") + 1
    assert f"x.yaml:{line}  error" in capsys.readouterr().out


def test_two_models_of_one_namespace_cannot_share_a_name(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = model(model={"uri": "pvc://m/y.gguf", "aliases": ["chat"]}) | {"metadata": {"name": "small"}}
    elsewhere = model() | {"metadata": {"name": "chat", "namespace": "ai"}}
    (folder / "x.yaml").write_text(yaml.safe_dump_all([model(), other, elsewhere]))
    assert main(["lint", "x.yaml"]) == 1
    out = capsys.readouterr().out
    assert "name-taken  chat claims chat too: give this model another model.servedName or other aliases" in out
    assert "1 error, 0 warnings" in out


@pytest.mark.usefixtures("folder")
def test_standard_input_is_read_and_empty_documents_are_passed_over(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("---\n---\n" + yaml.safe_dump(model())))
    assert main(["lint", "-"]) == 0
    assert capsys.readouterr().out == "0 errors, 0 warnings in 1 ModelDeployment; nothing was sent to a cluster\n"


@pytest.mark.usefixtures("folder")
def test_plan_says_what_a_model_takes(capsys: pytest.CaptureFixture[str]) -> None:
    legal = str(EXAMPLES / "legal.yaml")
    assert main(["plan", legal, "--model-config", "config.json"]) == 0
    assert capsys.readouterr().out == (
        "ai/legal  revision 115fcc32  vLLM  pvc://models/qwen3-32b\n"
        "  replica  2 x nvidia.com/gpu, cpu 16, memory 128.0 GiB\n"
        "  total    4 x nvidia.com/gpu, cpu 32, memory 256.0 GiB  (2 replicas)\n"
        "  memory   fits: weights 14.0 GiB + overhead 3.0 GiB + KV cache 3.0 GiB for 32768 tokens = 20.0 GiB of "
        "80.0 GiB x 0.9 = 72.0 GiB of each GPU\n"
        "\n"
        "0 errors, 0 warnings in 1 ModelDeployment; nothing was sent to a cluster\n"
    )


def test_a_config_is_read_by_whatever_name_it_was_kept_and_by_its_folder(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "qwen3-32b.json").write_bytes((folder / "config.json").read_bytes())
    for path in ("qwen3-32b.json", "."):
        assert main(["plan", str(EXAMPLES / "legal.yaml"), "--model-config", path]) == 0
        assert "  memory   fits: weights 14.0 GiB" in capsys.readouterr().out


def test_a_folder_with_one_gguf_is_that_file_and_one_with_several_is_not(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "config.json").unlink()
    for part in (1, 2):
        (folder / f"m-0000{part}-of-00002.gguf").write_bytes(gguf())
    assert main(["plan", str(EXAMPLES / "chat.yaml"), "--model-config", "."]) == 0
    assert "  memory   fits: weights " in capsys.readouterr().out
    (folder / "other.gguf").write_bytes(gguf())
    assert main(["plan", str(EXAMPLES / "chat.yaml"), "--model-config", "."]) == 2
    assert "holds m-00001-of-00002.gguf" in capsys.readouterr().err


@pytest.mark.usefixtures("folder")
def test_plan_counts_every_pod_of_a_replica(capsys: pytest.CaptureFixture[str]) -> None:
    nodes = str(EXAMPLES / "nodes.yaml")
    assert main(["plan", nodes]) == 0
    out = capsys.readouterr().out
    assert "  pod      8 x nvidia.com/gpu, cpu 64, memory 512.0 GiB\n" in out
    assert "  replica  16 x nvidia.com/gpu, cpu 128, memory 1024.0 GiB  (2 pods)\n" in out
    assert "  total    16 x nvidia.com/gpu, cpu 128, memory 1024.0 GiB  (1 replica)\n" in out
    assert main(["plan", nodes, "-o", "json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)["models"]
    assert told["perReplica"] == {"gpus": 16, "memoryBytes": 1024 * 2**30, "cpu": "128", "pods": 2}
    assert told["total"] == {"gpus": 16, "memoryBytes": 1024 * 2**30}


def test_plan_counts_the_weights_that_lie_beside_a_config(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "pytorch_model.bin").write_bytes(b"\0" * 2**20)
    for path in ("config.json", "."):
        assert main(["plan", str(EXAMPLES / "legal.yaml"), "--model-config", path]) == 0
        assert "weights 1 MiB" in capsys.readouterr().out


@pytest.mark.usefixtures("folder")
def test_plan_without_a_model_says_that_memory_was_not_judged(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(EXAMPLES / "chat.yaml")]) == 0
    out = capsys.readouterr().out
    assert "  replica  no GPU, cpu 1, memory 512 MiB\n" in out
    assert "  memory   not judged: give the model's files with --model-config\n" in out


@pytest.mark.usefixtures("folder")
def test_plan_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(EXAMPLES / "legal.yaml"), "article.yaml", "-o", "json"]) == 1
    legal, _ = json.loads(capsys.readouterr().out)["models"]
    assert legal["total"] == {"gpus": 4, "memoryBytes": 256 * 2**30}
    assert legal["perReplica"] == {"gpus": 2, "memoryBytes": 128 * 2**30, "cpu": "16"}
    assert main(["plan", "article.yaml", "--model-config", "config.json", "-o", "json"]) == 1
    document = json.loads(capsys.readouterr().out)
    (deepseek,) = document["models"]
    assert deepseek["fit"]["message"] == HEAVY
    assert [found["rule"] for found in document["findings"]] == ["ignored", "unknown-flag", "gpu-count", "memory"]
    assert main(["plan", str(EXAMPLES / "chat.yaml"), "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["models"][0]["fit"] is None


def test_crds_are_those_that_are_generated(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["crds"]) == 0
    assert list(yaml.safe_load_all(capsys.readouterr().out)) == manifests()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ["plan", "article.yaml", str(EXAMPLES / "legal.yaml"), "--model-config", "config.json"],
            "--model-config is the files of one model, and these are of several (hf://deepseek-ai/DeepSeek-R1-Distill-Qwen-14B, pvc://",
        ),
        (["plan", "article.yaml", "--model-config", "absent"], "--model-config absent: absent does not exist"),
        (["plan", "article.yaml", "--model-config", "broken/config.json"], "--model-config broken/config.json: config.json is not JSON"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(words: list[str], says: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "broken").mkdir()
    (folder / "broken" / "config.json").write_text("{")
    assert main(words) == 2
    assert f"allod: {says}" in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["fly"], ["lint"], ["lint", "-o", "xml", "f"]])
def test_a_wrong_command_line_ends_with_usage(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert "usage: allod" in capsys.readouterr().err


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"allod {__version__}\n"


def test_the_operator_says_which_variables_it_lacks(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    assert folder.exists()
    assert main(["run"]) == 2
    assert "ALLOD_VLLM_IMAGE, ALLOD_VLLM_CPU_IMAGE, ALLOD_LLAMACPP_IMAGE, ALLOD_INSPECT_IMAGE must be set" in capsys.readouterr().err


BARE = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"kopf", "kubernetes", "aiohttp", "cel", "prometheus_client"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
from allod.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["run"], 2, "pip install '.[operator]' in a checkout of Allod"),
        (["lint", "article.yaml"], 2, "pip install '.[lint]' in a checkout of Allod"),
        (["render", "article.yaml"], 2, "lint, plan and render need the module cel: pip install '.[lint]' in a checkout of Allod"),
        (["crds"], 0, ""),
        (["inspect", "--model=config.json", "--engine=LlamaCpp", "--termination-log=log"], 1, ""),
    ],
)
def test_the_base_install_needs_pydantic_and_yaml_alone(words: list[str], code: int, says: str, folder: Path) -> None:
    ran = subprocess.run([sys.executable, "-c", BARE, *words], cwd=folder, capture_output=True, text=True, check=False)
    assert ran.returncode == code, ran.stderr
    assert says in ran.stderr


def test_a_reader_that_has_enough_is_no_error(folder: Path) -> None:
    command = f"{sys.executable} -m allod render --operator-image=x {EXAMPLES / 'legal.yaml'} | head -1"
    ran = subprocess.run(["bash", "-o", "pipefail", "-c", command], cwd=folder, capture_output=True, text=True, check=False)
    assert ran.stderr == ""
    assert ran.stdout == "apiVersion: networking.k8s.io/v1\n"

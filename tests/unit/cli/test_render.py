from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from allod import __version__
from allod.cli.main import main
from unit.cli.article import EXAMPLES, GPU_COUNT, model


@pytest.mark.usefixtures("folder")
def test_render_prints_what_the_operator_would_make(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["render", "--namespace", "demo", str(EXAMPLES / "chat.yaml")]) == 0
    text = capsys.readouterr().out
    objects = list(yaml.safe_load_all(text))
    assert [each["kind"] for each in objects] == [
        "NetworkPolicy",
        "PodDisruptionBudget",
        "ControllerRevision",
        "Service",
        "Service",
        "StatefulSet",
        "Service",
        "PodMonitor",
        "PrometheusRule",
    ]
    assert {each["metadata"]["namespace"] for each in objects} == {"demo"}
    assert not any("ownerReferences" in each["metadata"] for each in objects)
    assert "&id" not in text
    assert main(["render", "-o", "json", "--namespace", "demo", str(EXAMPLES / "chat.yaml")]) == 0
    assert json.loads(capsys.readouterr().out)["items"] == objects


@pytest.mark.usefixtures("folder")
def test_render_names_the_operators_image_and_says_when_it_had_to_guess(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = str(EXAMPLES / "chat.yaml")
    assert main(["render", chat]) == 0
    told = capsys.readouterr()
    assert f"image: allod:{__version__}\n" in told.out
    assert told.err.startswith(f"allod: the operator's own image is not known, so the container inspect has allod:{__version__}: give")
    monkeypatch.setenv("ALLOD_INSPECT_IMAGE", "registry.corp/allod:7")
    assert main(["render", chat]) == 0
    told = capsys.readouterr()
    assert "image: registry.corp/allod:7\n" in told.out
    assert told.err == ""
    assert main(["render", "--operator-image", "registry.corp/allod:8", chat]) == 0
    assert "image: registry.corp/allod:8\n" in capsys.readouterr().out


@pytest.mark.usefixtures("folder")
def test_render_says_nothing_of_the_operators_image_where_no_pod_has_it(capsys: pytest.CaptureFixture[str]) -> None:
    hub = {"model": {"uri": "hf://org/name"}, "engine": {"type": "vLLM"}}
    Path("hub.yaml").write_text(yaml.safe_dump(model(**hub)))
    assert main(["render", "hub.yaml"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("folder")
def test_render_takes_the_operators_own_images(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOD_LLAMACPP_IMAGE", "registry.corp/llama.cpp:1")
    main(["render", str(EXAMPLES / "chat.yaml")])
    assert "image: registry.corp/llama.cpp:1\n" in capsys.readouterr().out


@pytest.mark.usefixtures("folder")
def test_render_prints_no_objects_of_a_model_that_would_be_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["render", "article.yaml"]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert GPU_COUNT in printed.err

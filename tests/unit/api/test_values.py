from __future__ import annotations

import pytest

from allod.api.modeluri import ModelUri
from allod.api.values import Cpu, Duration, Memory, Ratio, Value

DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("written", "seconds"), [("30s", 30), ("500ms", 0.5), ("0.5s", 0.5), ("1h30m", 5400), ("15m", 900), ("24h", 86400), ("0s", 0)]
)
def test_a_duration_in_seconds(written: str, seconds: float) -> None:
    assert Duration.of(written).seconds == seconds


@pytest.mark.parametrize(
    ("written", "number"), [("80Gi", 80 * 2**30), ("1.5Ki", 1536), ("512Mi", 512 * 2**20), ("2k", 2000), ("3T", 3 * 10**12), ("1Pi", 2**50)]
)
def test_memory_in_bytes(written: str, number: int) -> None:
    assert Memory.of(written).bytes == number


@pytest.mark.parametrize(("written", "cores"), [("16", 16), (16, 16), ("0.5", 0.5), ("500m", 0.5), ("2500m", 2.5)])
def test_cpu_in_cores(written: str | int, cores: float) -> None:
    assert Cpu.of(written).cores == cores


@pytest.mark.parametrize(("written", "value"), [("0", 0), ("0.85", 0.85), ("1", 1), ("1.0", 1)])
def test_a_ratio_as_a_number(written: str, value: float) -> None:
    assert Ratio.of(written).value == value


@pytest.mark.parametrize(
    ("kind", "written"),
    [
        (Duration, "30"),
        (Duration, "-1s"),
        (Duration, "1d"),
        (Duration, ""),
        (Duration, "30s\n"),
        (Duration, 30),
        (Duration, "1s" * 17),
        (Memory, "128"),
        (Memory, "128m"),
        (Memory, "1 Gi"),
        (Memory, 128),
        (Cpu, "2 cores"),
        (Cpu, "0.0001"),
        (Cpu, True),
        (Ratio, "1.1"),
        (Ratio, ".5"),
        (Ratio, "85%"),
        (ModelUri, "s3://bucket/key"),
    ],
)
def test_another_shape_is_refused_with_the_sentence_that_says_the_right_one(kind: type[Value], written: str | int) -> None:
    with pytest.raises(ValueError, match=":") as refused:
        kind.of(written)
    assert str(refused.value) == kind.sentence


@pytest.mark.parametrize(
    ("uri", "parts"),
    [
        ("hf://deepseek-ai/DeepSeek-R1", ("hf", "deepseek-ai/DeepSeek-R1", "", "", "")),
        ("pvc://models", ("pvc", "", "models", "", "")),
        ("pvc://models/qwen3/32b/", ("pvc", "", "models", "", "qwen3/32b")),
        ("oci://registry.corp/qwen3:32b", ("oci", "", "", "registry.corp/qwen3:32b", "")),
        ("oci://localhost:5000/m/qwen3:32b/weights", ("oci", "", "", "localhost:5000/m/qwen3:32b", "weights")),
        (f"oci://r.corp/q@{DIGEST}/a/b", ("oci", "", "", f"r.corp/q@{DIGEST}", "a/b")),
        (f"oci://r.corp/q:1@{DIGEST}", ("oci", "", "", f"r.corp/q:1@{DIGEST}", "")),
        ("file:///srv/models/qwen3/", ("file", "", "", "", "/srv/models/qwen3")),
    ],
)
def test_the_parts_of_a_model_uri(uri: str, parts: tuple[str, ...]) -> None:
    read = ModelUri.of(uri)
    assert (read.scheme, read.repository, read.claim, read.image, read.path) == parts

"""What is told of a run on a GPU: Allod's reckoning over vLLM's own, starts, and the watchdog."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

from bench.publication import Figure
from bench.watchdog import THRESHOLD

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    Result = Mapping[str, Any]

GIB = 2**30
FULL = 0.92
"""Part of the GPU that vLLM takes when it is told nothing."""
WORDS = {
    "qwen3-8b-first-start": "first start",
    "qwen3-8b-second-start": "second start",
    "qwen3-8b-occupied": "another process holds 20 GiB",
}
"""Of cases that differ by more than their flags."""


def figures(found: Mapping[str, Result], predicted: Mapping[str, Result]) -> list[Figure]:
    """All that these results allow."""
    total = found["machine"]["gpu"]["totalBytes"] / GIB
    known = [name for name in predicted if name in found]
    fits = [_fit(found[name], predicted[name], total) for name in known if found[name].get("said", {}).get("tokens")]
    watched = found.get("qwen3-8b-first-start")
    return [
        *(figure for figure in fits if figure),
        *_starts(found),
        *(_refusal(found[name]) for name in known if found[name].get("exit") == 1),
        *(_watchdog(watched) if watched else ()),
        *_killed(found.get("qwen3-8b-eager", {})),
    ]


def title(result: Result) -> str:
    """Model and flags as a person would say them."""
    flags = [flag.removeprefix("--") for flag in result["flags"] if not flag.startswith(("--middleware", "--max-model-len"))]
    return ", ".join([result["model"], *flags, *([WORDS[result["case"]]] if result["case"] in WORDS else [])])


def _fit(result: Result, predicted: Result, total: float) -> Figure | None:
    if predicted["kv_cache_tokens"] is None:
        return None
    ours, said = predicted["kv_cache_tokens"], result["said"]
    limit = next((float(flag.partition("=")[2]) for flag in result["flags"] if "utilization" in flag), FULL)
    beside = limit * total - said["weightsGiB"] - said["cacheGiB"]
    weights = f"weights {predicted['weights'] / GIB:.2f} and {said['weightsGiB']:.2f} GiB"
    overhead = predicted["message"].partition("overhead ")[2].partition(" GiB")[0]
    words = f"{ours} and {said['tokens']}; {weights}; beside weights and cache {overhead} and {beside:.2f} GiB"
    return Figure(f"{title(result)}: tokens of KV cache, Allod's over vLLM's", round(ours / said["tokens"], 3), "x", None, words)


def _starts(found: Mapping[str, Result]) -> Iterator[Figure]:
    named = {
        "qwen3-8b-first-start": "first start of Qwen3-8B to /health",
        "qwen3-8b-second-start": "second start, compiled before",
        "qwen3-8b-half": "start with --enforce-eager",
        "qwen3-32b": "first start of Qwen3-32B to /health",
    }
    for name, what in named.items():
        if seconds := found.get(name, {}).get("healthSeconds"):
            said = found[name]["said"]
            parts = [
                f"{said[key]:g} s {word}"
                for key, word in (("compileSeconds", "torch.compile"), ("graphSeconds", "CUDA graphs"))
                if key in said
            ]
            yield Figure(what, seconds, "s", None, f"of it {', '.join(parts)}; weights made up" if parts else "weights made up")


def _refusal(result: Result) -> Figure:
    cause = result["errors"][0].rpartition("Error: ")[2].partition(". ")[0][:200]
    return Figure(f"{title(result)}: until vLLM itself says no", result["exitSeconds"], "s", None, f"exit code {result['exit']}: {cause}")


def _watchdog(result: Result) -> Iterator[Figure]:
    hangs, rates, asked = result["hangs"], result["throughput"], result["requests"]
    late = [seconds - THRESHOLD for seconds in hangs["found"]]
    beyond = f"hang of the engine's process to the pushed word, beyond the threshold, median of {len(late)}"
    health = f"vLLM's own /health meanwhile: {', '.join(map(str, sorted(set(hangs['healthMeanwhile']))))}"
    yield Figure(beyond, round(statistics.median(late), 2), "s", 0.5, f"worst {max(late):.2f} s; threshold {THRESHOLD} s; {health}")
    yield Figure("the same while nothing is asked, beyond the threshold", round(hangs["idleFound"] - THRESHOLD, 2), "s", None)
    yield Figure("return of the process to the pushed word, median", round(statistics.median(hangs["healed"]), 2), "s", 0.5)
    (_, middle, _), (low, plain, high) = asked["with"], asked["without"]
    noise = f"without: {plain * 1000:.1f} ms; the middle half took {low / plain:.2f} to {high / plain:.2f} x that"
    yield Figure("a one-token request with the watchdog, over one without, medians", round(middle / plain, 3), "x", 1.05, noise)
    for streams in ("1", "64"):
        watched, bare = (statistics.median(rates[f"{streams} {side}"]) for side in ("watched", "bare"))
        words = "tokens a second of one stream" if streams == "1" else f"tokens a second of {streams} streams"
        yield Figure(f"{words} through the watchdog", round(watched, 1), "/s", None, f"past it: {bare:.1f} /s")
    yield Figure("CPU of the idle API server with the watchdog, percent of a core", result["idle"]["apiServer"], "%", 1)
    drain = result["drain"]
    ended = f"the stream had all {drain['tokens']} events; exit code {drain['exit']}, {drain['seconds']:g} s after SIGTERM"
    yield Figure("SIGTERM under a stream of 1000 tokens: until its end", drain["streamSeconds"], "s", None, ended)


def _killed(result: Result) -> Iterator[Figure]:
    if killed := result.get("killed"):
        yield Figure("engine's process killed: until the server has ended", killed["seconds"], "s", None, f"exit code {killed['exit']}")

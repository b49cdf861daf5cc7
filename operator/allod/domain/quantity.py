"""Amounts as a person reads them."""

from __future__ import annotations

KIB, MIB, GIB = 2**10, 2**20, 2**30


def memory(amount: float) -> str:
    """`26.1 GiB`; below a GiB `512 MiB`. For sentences."""
    return f"{amount / GIB:.1f} GiB" if amount >= GIB else f"{amount / MIB:.0f} MiB"


def memory_field(amount: float) -> str:
    """`28.1Gi`: the same for a field of status, in Kubernetes' spelling."""
    return f"{amount / GIB:.1f}Gi" if amount >= GIB else f"{amount / MIB:.0f}Mi"


def duration(seconds: float) -> str:
    """`45s`, `30m`, `1h30m`, `2.5s`."""
    if seconds < 60:  # noqa: PLR2004  # seconds of a minute
        return f"{seconds:g}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return "".join(f"{value}{unit}" for value, unit in ((hours, "h"), (minutes, "m"), (rest, "s")) if value)


def count(number: float, noun: str) -> str:
    """`1 GPU`, `2 GPUs`, `1.5 GPUs`."""
    shown = f"{number:g}" if isinstance(number, float) else str(number)
    return f"{shown} {noun}" if number == 1 else f"{shown} {noun}s"

"""CEL without a cluster, for `allod lint` and tests: the language by `common-expression-language`, and Kubernetes' own functions beside it.

The package is the extra `lint`. What it cannot do (optionals), no rule of ours uses.
"""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import cel

from allod.api.values import BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def evaluate(expression: str, variables: Mapping[str, Any]) -> Any:
    """Value of an expression. Raises RuntimeError or ValueError where Kubernetes would report a failed evaluation."""
    return _program(expression).execute(cel.Context(variables=dict(variables), functions=FUNCTIONS))


@cache
def _program(expression: str) -> cel.Program:
    return cel.compile(expression)


def quantity(text: str) -> float:
    """An amount with Kubernetes' suffixes."""
    number = text.rstrip("mkMGTPKi")
    suffix = text[len(number) :]
    return float(Decimal(number) * (BYTES[suffix] if suffix in BYTES else Decimal("0.001") if suffix == "m" else 1))


def formatted(template: str, values: list[Any]) -> str:
    """`'%d of %s'.format([n, list])`: %s of a list shows its strings in quotes, as kube-apiserver does."""
    return template % tuple(_shown(value) for value in values)


def _shown(value: Any) -> Any:
    if isinstance(value, list):
        return "[" + ", ".join(f'"{item}"' if isinstance(item, str) else str(item) for item in value) + "]"
    return value


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "quantity": quantity,
    "isLessThan": lambda one, other: one < other,
    "format": formatted,
    "isSorted": lambda values: all(one <= other for one, other in pairwise(values)),
    "split": lambda text, separator: text.split(separator),
}
"""A method is a function whose first argument is what stands before the dot."""

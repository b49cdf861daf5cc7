"""What the init container `inspect` found in a mounted model: its termination message, read by the operator.

Kubernetes keeps 4096 bytes of a termination message. `text()` stays below them whatever the model's files are called.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

LONGEST_MESSAGE = 1024
"""Characters; at four bytes each they leave no room for more than the figures."""
LONGEST_TEXT = 4096

Count = Annotated[int, Field(ge=0, lt=2**63)]


class Inspection(BaseModel):
    """A verdict about one model under one spec, with the figures that it rests on."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, validate_by_alias=True, frozen=True, extra="ignore")

    verdict: Literal["Fits", "Tight", "Misfit", "Unknown", "Missing", "Unreadable"]
    """Misfit, Missing and Unreadable refuse: the container exits 1 and the engine is not started."""
    reason: Annotated[str, Field(max_length=63)]
    """CamelCase, a condition's reason."""
    message: Annotated[str, Field(max_length=LONGEST_MESSAGE)]
    """One sentence for a person."""
    architecture: Annotated[str, Field(max_length=80)] | None = None
    parameters: Count | None = None
    layers: Count | None = None
    weights: Count | None = None
    """Bytes on one rank."""
    kv_bytes_per_token: Count | None = None
    """On one rank."""
    kv_cache_tokens: Count | None = None
    max_concurrency: float | None = None
    digest: Annotated[str, Field(max_length=71)] | None = None
    """`sha256:...` over names, sizes, headers and sampled blocks of the weight files."""

    @property
    def refuses(self) -> bool:
        """Whether the engine must not be started."""
        return self.verdict in {"Misfit", "Missing", "Unreadable"}

    def text(self) -> str:
        """JSON for the termination message."""
        whole = self.model_dump_json(by_alias=True, exclude_none=True)
        if len(whole.encode()) < LONGEST_TEXT:
            return whole
        short = self.message.encode("ascii", "replace").decode()[: LONGEST_MESSAGE // 2]
        return self.model_copy(update={"message": short}).model_dump_json(by_alias=True, exclude_none=True)


def inspection(text: str) -> Inspection | None:
    """Read a termination message. None: it is not ours, for instance because the container was killed before it could write one."""
    try:
        return Inspection.model_validate_json(text)
    except ValidationError:
        return None

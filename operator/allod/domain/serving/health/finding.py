"""Something that is wrong, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """Why a model is not what it should be."""

    reason: str
    """CamelCase, a condition's reason."""
    message: str
    """One sentence for a person: what is wrong, where, what to do."""
    gives_up: Literal["Never", "WhenAnotherServes", "Always"] = "Never"
    """Whether its revision is given up until the spec changes.

    Never: the cause lies outside and may pass (GPUs, registry, quota): waiting is right.
    WhenAnotherServes: it may pass too, but while another revision serves nothing is gained by trying on with reserved GPUs.
    Always: trying again gives the same answer, so nothing is held for it.
    """


CONCERNS = {
    "InsufficientGPUs": "GPUsAvailable",
    "DoesNotFit": "FitsMemory",
    "HeadsNotDivisible": "FitsMemory",
    "TooFewLayers": "FitsMemory",
    "OutOfMemory": "FitsMemory",
    "ModelMissing": "ModelAvailable",
    "ModelUnreadable": "ModelAvailable",
    "PoolingMissing": "ModelAvailable",
    "ModelImagePull": "ModelAvailable",
    "ClaimNotFound": "ModelAvailable",
    "ModelNotFound": "ModelAvailable",
    "ModelAccessRefused": "ModelAvailable",
    "HubUnavailable": "ModelAvailable",
}
"""Which condition a reason answers, beside Ready and Degraded."""

"""Where a model's files come from, taken apart once for everybody who needs a part."""

from __future__ import annotations

import re
from typing import Literal, TypeAlias, cast

from allod.api.values import Value

Scheme: TypeAlias = Literal["hf", "pvc", "oci", "file"]

HF = r"^hf://[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*$"
PVC = r"^pvc://[a-z0-9]([-a-z0-9.]*[a-z0-9])?(/[^/].*)?$"
IMAGE = r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]+)?(/[a-z0-9]([a-z0-9._-]*[a-z0-9])?)*"
TAG = r"(:[A-Za-z0-9_][A-Za-z0-9_.-]*)?@sha256:[a-f0-9]{64}|:[A-Za-z0-9_][A-Za-z0-9_.-]*"
OCI = rf"^oci://{IMAGE}({TAG})(/.*)?$"
FILE = r"^file:///[^/].*$"

SHAPES: dict[Scheme, str] = {"hf": HF, "pvc": PVC, "oci": OCI, "file": FILE}
"""RE2 and Python's re both read them: the CRD's rules are made of the same texts."""


class ModelUri(Value):
    """`hf://org/name`, `pvc://claim/path`, `oci://image:tag/path` or `file:///path`."""

    __slots__ = ()
    pattern = "|".join(f"({shape})" for shape in SHAPES.values())
    sentence = "a model's address is hf://org/name, pvc://claim/path, oci://image:tag/path or file:///path"
    max_length = 512

    @property
    def scheme(self) -> Scheme:
        """What kind of place it is."""
        return cast("Scheme", self.partition("://")[0])

    @property
    def repository(self) -> str:
        """`org/name` on Hugging Face; empty for other schemes."""
        return self.removeprefix("hf://") if self.scheme == "hf" else ""

    @property
    def claim(self) -> str:
        """Name of the PersistentVolumeClaim; empty for other schemes."""
        return self.removeprefix("pvc://").partition("/")[0] if self.scheme == "pvc" else ""

    @property
    def image(self) -> str:
        """Image reference with its tag or digest; empty for other schemes."""
        return self._oci()[0] if self.scheme == "oci" else ""

    @property
    def path(self) -> str:
        """Inside the volume or image without the leading slash ("" is its root), on the node with it; empty for hf."""
        match self.scheme:
            case "pvc":
                return self.removeprefix("pvc://").partition("/")[2].strip("/")
            case "oci":
                return self._oci()[1].strip("/")
            case "file":
                return "/" + self.removeprefix("file://").strip("/")
            case "hf":
                return ""

    def _oci(self) -> tuple[str, str]:
        found = re.fullmatch(rf"oci://(?P<image>{IMAGE}(?:{TAG}))(?P<path>/.*)?", self)
        return (found["image"], found["path"] or "") if found else ("", "")

"""Where a model's files come from, taken apart once for everybody who needs a part."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, TypeAlias, cast

from allod.api.markers import VALIDATIONS, Cel, Schema
from allod.api.values import Value, cel_string

if TYPE_CHECKING:
    from pydantic import GetJsonSchemaHandler
    from pydantic_core import core_schema

Scheme: TypeAlias = Literal["hf", "pvc", "oci", "file"]

HF = r"^hf://[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*$"
PVC = r"^pvc://[a-z0-9]([-a-z0-9.]*[a-z0-9])?(/[^/].*)?$"
HOST = r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]+)?"
NAME = r"/[a-z0-9]([a-z0-9._-]*[a-z0-9])?"
IMAGE = rf"{HOST}({NAME})*"
TAG = r"(:[A-Za-z0-9_][A-Za-z0-9_.-]*)?@sha256:[a-f0-9]{64}|:[A-Za-z0-9_][A-Za-z0-9_.-]*"
REPOSITORY = rf"{HOST}({NAME})+"
"""With its registry: in `registry:5000/models` alone nobody can tell a port from a tag."""
OCI = rf"^oci://{REPOSITORY}({TAG})(/.*)?$"
FILE = r"^file:///[^/].*$"

SHAPES: dict[Scheme, str] = {"hf": HF, "pvc": PVC, "oci": OCI, "file": FILE}
"""RE2 and Python's re both read them: the CRD's rules are made of the same texts."""

LATER = "s3|ms|gs|az|http|https"
"""Schemes that people try, and that nothing here can read yet."""


def _shape(scheme: Scheme, sentence: str) -> Cel:
    return Cel(f"uri-{scheme}", f"!self.startsWith('{scheme}://') || self.matches({cel_string(SHAPES[scheme])})", sentence)


RULES = (
    Cel(
        "uri-scheme",
        f"self.matches('^({'|'.join(SHAPES)}|{LATER})://')",
        "model.uri begins with where the files are: hf://org/name, pvc://claim/path, oci://image:tag/path or file:///path",
    ),
    Cel(
        "uri-supported",
        f"!self.matches('^({LATER})://')",
        "model.uri s3://, ms://, gs://, az:// and http(s):// are not supported yet: put the files on a volume (pvc://claim/path) or into an"
        " image (oci://image:tag/path)",
        "'model.uri %s:// is not supported yet: put the files on a volume (pvc://claim/path) or into an image (oci://image:tag/path)'"
        ".format([self.split('://')[0]])",
    ),
    _shape("hf", "model.uri hf:// names a repository, hf://org/name; a branch, tag or commit goes into model.revision"),
    _shape("pvc", "model.uri pvc:// names a PersistentVolumeClaim and a path in it: pvc://models/qwen3-32b"),
    _shape(
        "oci",
        "model.uri oci:// names an image with its registry and its tag or digest, then a path in it: oci://registry.corp/models/qwen3:32b/weights",
    ),
    _shape("file", "model.uri file:// has three slashes and an absolute path on the node: file:///srv/models/qwen3-32b"),
    Cel(
        "uri-no-dots",
        r"!self.matches(r'/\.\.?(/|$)')",
        "model.uri has . or .. in its path: write the path without them",
    ),
)


class ModelUri(Value):
    """`hf://org/name`, `pvc://claim/path`, `oci://image:tag/path` or `file:///path`."""

    __slots__ = ()
    pattern = "|".join(f"({shape})" for shape in SHAPES.values())
    sentence = "a model's address is hf://org/name, pvc://claim/path, oci://image:tag/path or file:///path"
    max_length = 512

    @classmethod
    def __get_pydantic_json_schema__(cls, _core: core_schema.CoreSchema, _handler: GetJsonSchemaHandler) -> Schema:
        return {"type": "string", "maxLength": cls.max_length, VALIDATIONS: [rule.validation() for rule in RULES]}

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
        found = re.fullmatch(rf"oci://(?P<image>{REPOSITORY}({TAG}))(?P<path>/.*)?", self)
        return (found["image"], found["path"] or "") if found else ("", "")

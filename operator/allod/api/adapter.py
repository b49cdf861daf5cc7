"""LoRA adapters: small changes of a model that are loaded into its running engine, each under a name of its own."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from allod.api.adapterrules import FILE, PVC, URI
from allod.api.base import ApiModel
from allod.api.markers import VALIDATIONS, Schema
from allod.api.modeldeploymentrules import SERVED_NAME
from allod.api.values import Value

if TYPE_CHECKING:
    from pydantic import GetJsonSchemaHandler
    from pydantic_core import core_schema


class AdapterUri(Value):
    """`pvc://claim/path` or `file:///folder/adapter`."""

    __slots__ = ()
    pattern = f"({PVC})|({FILE})"
    sentence = "an adapter's address is pvc://claim/path or file:///folder/adapter"
    max_length = 512

    @classmethod
    def __get_pydantic_json_schema__(cls, _core: core_schema.CoreSchema, _handler: GetJsonSchemaHandler) -> Schema:
        return {"type": "string", "maxLength": cls.max_length, VALIDATIONS: [rule.validation() for rule in URI]}

    @property
    def volume(self) -> str:
        """What a pod has to mount: `pvc://claim`, or `file:///folder` for the folder around the adapter."""
        if self.startswith("pvc://"):
            return f"pvc://{self.removeprefix('pvc://').partition('/')[0]}"
        return f"file://{PurePosixPath(self.removeprefix('file://')).parent}"

    @property
    def path(self) -> str:
        """Inside that volume, without slashes around it."""
        if self.startswith("pvc://"):
            return self.removeprefix("pvc://").partition("/")[2].strip("/")
        return PurePosixPath(self.removeprefix("file://")).name


class Adapter(ApiModel):
    """One LoRA adapter of the model."""

    name: Annotated[str, Field(min_length=1, max_length=128), SERVED_NAME]
    """What clients put into the field model of their requests to be answered with this adapter."""
    uri: AdapterUri
    """Where its adapter_config.json and adapter_model.safetensors are: pvc://claim/path or file:///folder/adapter (of the node), both
    mounted read-only. Give each version a folder of its own: files that change under a loaded adapter are not noticed."""
    rank: Annotated[int, Field(ge=1, le=512)] = 16
    """The most that the r in its adapter_config.json may be. The engine reserves memory for the highest rank of all adapters, at least 16:
    up to that, adapters come and go without a new revision."""

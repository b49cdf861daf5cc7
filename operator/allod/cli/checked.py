"""A manifest that is whole enough to be judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from allod.api.modeldeployment import ModelDeployment
    from allod.cli.documents import Document


@dataclass(frozen=True, slots=True)
class Checked:
    """One manifest and what it means, though a rule may refuse it."""

    document: Document
    model: ModelDeployment

    @property
    def place(self) -> str:
        """As in `chat.yaml:3`."""
        return f"{self.document.file}:{self.document.line('')}"

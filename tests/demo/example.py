"""The files of docs/examples as the demo applies them: with the model of the place, and marked as the demo's own."""

from __future__ import annotations

from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
CHAT = ROOT / "docs" / "examples" / "chat.yaml"
SURVIVE = ROOT / "docs" / "examples" / "survive.yaml"
MARK = "allod.dev/demo"
"""Label of everything that the demo makes, its Helm release and namespace too: what has it not is somebody else's."""
MARKED = f"{MARK}=true"


def uri() -> str:
    """The model as the files name it: an image that only a cluster in a box has."""
    return next(line.split("uri:")[1].strip() for line in CHAT.read_text().splitlines() if "uri:" in line)


def documents(path: Path, model_uri: str) -> str:
    """For `kubectl apply -f -`."""
    found = list(yaml.safe_load_all(path.read_text().replace(uri(), model_uri)))
    for each in found:
        each["metadata"]["labels"] = each["metadata"].get("labels", {}) | {MARK: "true"}
    return yaml.safe_dump_all(found)


def names() -> set[str]:
    """Of the ModelDeployments that the demo applies."""
    return {each["metadata"]["name"] for path in (CHAT, SURVIVE) for each in yaml.safe_load_all(path.read_text())}

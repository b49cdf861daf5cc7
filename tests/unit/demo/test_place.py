"""What the demo makes of the image that a person names."""

import pytest

from demo.place import Place, Unusable, chart_image

DIGEST = "sha256:" + "0f" * 32


@pytest.mark.parametrize(
    ("reference", "repository", "tag", "digest"),
    [
        pytest.param("registry.corp/allod:0.1.0", "registry.corp/allod", "0.1.0", None, id="a tag"),
        pytest.param("registry.corp:5000/allod:0.1.0", "registry.corp:5000/allod", "0.1.0", None, id="a port and a tag"),
        pytest.param(f"registry.corp:5000/allod@{DIGEST}", "registry.corp:5000/allod", None, DIGEST, id="a port and a digest"),
        pytest.param(f"registry.corp/a/b/allod:1@{DIGEST}", "registry.corp/a/b/allod", "1", DIGEST, id="a tag and a digest"),
    ],
)
def test_an_image_is_taken_apart_as_a_registry_would(reference: str, repository: str, tag: str | None, digest: str | None) -> None:
    values = {f"image.{part}": said for part, said in (("repository", repository), ("tag", tag), ("digest", digest)) if said}
    assert chart_image(reference) == values
    assert Place("", (), (), {}, values).client_image == reference


@pytest.mark.parametrize("reference", ["registry.corp/allod", "registry.corp:5000/allod", "allod@sha256:short", ""])
def test_an_image_without_tag_or_digest_is_refused(reference: str) -> None:
    with pytest.raises(Unusable, match=r"names no tag and no digest: write REGISTRY/NAME:TAG or REGISTRY/NAME@sha256:"):
        chart_image(reference)

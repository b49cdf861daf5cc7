"""What the demo says before it begins."""

import pytest

from demo import story


@pytest.mark.usefixtures("nobody")
def test_without_root_the_demo_says_so_before_anything_is_fetched(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(story, "program", lambda *words: pytest.fail(f"{words} was run"))
    assert story.main([]) == 1
    assert "The demo stopped: A cluster with nodes needs root" in capsys.readouterr().err

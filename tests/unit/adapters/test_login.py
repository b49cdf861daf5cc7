from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from allod.adapters.errors import Unavailable
from allod.adapters.login import Credentials, configure

if TYPE_CHECKING:
    from pathlib import Path


async def test_a_pod_without_a_service_account_token_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    with pytest.raises(Unavailable, match=r"the service account of this pod cannot be used.*automountServiceAccountToken"):
        await configure()


async def test_a_kubeconfig_that_is_not_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "nothing"))
    with pytest.raises(Unavailable, match="not in a pod, and the kubeconfig cannot be used"):
        await configure()


def test_credentials_can_be_logged_without_giving_them_away() -> None:
    one = Credentials("https://10.96.0.1", None, verify=True, certificate_path=None, private_key_path=None, token="s3cr3t")  # noqa: S106  # not one
    assert "s3cr3t" not in repr(one)

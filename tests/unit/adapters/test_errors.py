from __future__ import annotations

import pytest

from allod.adapters.errors import AlreadyExists, ApiError, Conflict, Invalid, NotFound, Unavailable, error_of


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [
        (400, "", Invalid),
        (403, "Forbidden", Invalid),
        (422, "Invalid", Invalid),
        (404, "NotFound", NotFound),
        (409, "Conflict", Conflict),
        (409, "AlreadyExists", AlreadyExists),
        (401, "Unauthorized", Unavailable),
        (410, "Expired", Unavailable),
        (429, "TooManyRequests", Unavailable),
        (500, "", Unavailable),
        (503, "", Unavailable),
    ],
)
def test_what_an_answer_means(code: int, reason: str, kind: type[ApiError]) -> None:
    assert type(error_of(code, {"reason": reason}, "get it")) is kind


def test_a_patch_of_another_object_of_the_name_is_a_conflict() -> None:
    """As the API server says it (1.36): it takes the uid for a field that somebody wants to change."""
    details = {"causes": [{"reason": "FieldValueInvalid", "message": "Invalid value: field is immutable", "field": "metadata.uid"}]}
    assert type(error_of(422, {"reason": "Invalid", "details": details}, "apply it")) is Conflict


def test_the_servers_own_words_are_the_message() -> None:
    assert str(error_of(422, {"message": "spec.replicas: Invalid value: -1"}, "apply it")) == "apply it: spec.replicas: Invalid value: -1"


def test_without_words_the_code_is_the_message() -> None:
    assert str(error_of(502, {}, "apply it")) == "apply it: HTTP 502"

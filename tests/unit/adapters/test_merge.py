from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from allod.adapters.merge import merge_patch

LEAVES = st.sampled_from([0, 1, "", "x", [], [1], [1, 2]])
DOCUMENTS: st.SearchStrategy[dict[str, Any]] = st.recursive(
    st.dictionaries(st.sampled_from("abc"), LEAVES), lambda inner: st.dictionaries(st.sampled_from("abc"), LEAVES | inner), max_leaves=4
)


def applied(document: Any, patch: Any) -> Any:
    """RFC 7386, section 2."""
    if not isinstance(patch, dict):
        return patch
    result = dict(document) if isinstance(document, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = applied(result.get(key), value)
    return result


@given(DOCUMENTS, DOCUMENTS)
def test_a_patch_turns_any_document_into_any_other(old: dict[str, Any], new: dict[str, Any]) -> None:
    assert applied(old, merge_patch(old, new)) == new


@given(DOCUMENTS)
def test_between_equal_documents_there_is_nothing_to_send(document: dict[str, Any]) -> None:
    assert merge_patch(document, document) == {}

"""What can go wrong between us and the Kubernetes API, and what to do about each.

ApiError                 any answer that is not a success
  Invalid                the request itself is refused: a person must change something; retrying alone cannot help
  NotFound               no such object, or no such API in this cluster
  Conflict               somebody wrote first: look again, then decide again
    AlreadyExists        the object to create is there
  Unavailable            no answer, or the server asks for patience: the same request may succeed later
    Unanswered           the server was reached, and this one question has no answer: another one may have
      Refused            an answer came, and it is not what was asked for
"""

# ruff: noqa: N818  # they are read as what happened ("except Unavailable"), and the suffix would be said eight times

from __future__ import annotations

from typing import Any


class ApiError(Exception):
    """An answer that is not a success. The text is the server's own message and reads as a sentence."""


class Invalid(ApiError):
    """Refused by validation, admission, quota or RBAC."""


class NotFound(ApiError):
    """No such object, or this cluster does not serve its kind."""


class Conflict(ApiError):
    """The object changed since it was read, or it was deleted and made again."""


class AlreadyExists(Conflict):
    """Create found an object of that name."""


class Unavailable(ApiError):
    """The API server did not answer, or said that it cannot now."""


class Unanswered(Unavailable):
    """A question to a server that takes others, as far as we know."""


class Refused(Unanswered):
    """Whoever answered, it was not with what was asked for."""


def error_of(code: int, answer: dict[str, Any], asked: str) -> ApiError:
    """The error of one HTTP answer. `answer` is its Status object, `asked` what was asked ("apply Service ai/chat")."""
    message = f"{asked}: {answer.get('message') or f'HTTP {code}'}"
    match code:
        case 404:
            return NotFound(message)
        case 409 | 422 if code == 409 or _of_another(answer):  # noqa: PLR2004  # HTTP's Conflict
            return AlreadyExists(message) if answer.get("reason") == "AlreadyExists" else Conflict(message)
        # 401 is a token that is being rotated: the client reads the new one within a minute. 410 is a list that took too long.
        case 401 | 408 | 410 | 429:
            return Unavailable(message)
        case _ if code >= 500:  # noqa: PLR2004  # the border of HTTP itself
            return Unavailable(message)
        case _:
            return Invalid(message)


def _of_another(answer: dict[str, Any]) -> bool:
    """Whether a patch that names a uid met another object of that name: of the uid it says "field is immutable"."""
    return any(each.get("field") == "metadata.uid" for each in (answer.get("details") or {}).get("causes") or ())

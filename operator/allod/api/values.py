"""Values with a unit inside: written as strings, because a schema has no floats and a bare number no unit."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic_core import core_schema

from allod.api.markers import VALIDATIONS, Cel, Schema

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler

SECONDS = {"ms": Decimal("0.001"), "s": Decimal(1), "m": Decimal(60), "h": Decimal(3600)}
BYTES = {unit: 1000**power for power, unit in enumerate(("k", "M", "G", "T", "P"), 1)} | {
    f"{unit}i": 1024**power for power, unit in enumerate(("K", "M", "G", "T", "P"), 1)
}


INT_OR_STRING: Schema = {"anyOf": [{"type": "integer"}, {"type": "string"}], "x-kubernetes-int-or-string": True}


SHAPE = "-shape"
"""Ends the name of the rule that says how a value is written."""


def cel_string(text: str) -> str:
    """As a raw string literal of CEL, in which a backslash is a backslash. `text` has no single quote."""
    return f"r'{text}'"


def _quoted(sentence: str) -> str:
    """Within a string literal of CEL that is a format."""
    return sentence.replace("\\", "\\\\").replace("'", "\\'").replace("%", "%%")


class Value(str):
    """A string of one fixed shape, with its meaning as properties. It stays a string wherever JSON is made of it."""

    __slots__ = ()

    pattern: ClassVar[str]
    """RE2 and Python's re both read it: the same text stands in the CRD's rule."""
    sentence: ClassVar[str]
    """What the shape is, with an example: the refusal of anything else."""
    max_length: ClassVar[int] = 32
    or_int: ClassVar[bool] = False
    """A bare integer is accepted too (`x-kubernetes-int-or-string`)."""

    @classmethod
    def of(cls, written: str | int) -> Self:
        """Read what was written. Raises ValueError with the sentence when the shape is not ours."""
        if isinstance(written, bool) or (isinstance(written, int) and not cls.or_int):
            raise ValueError(cls.sentence)
        if len(text := str(written)) > cls.max_length or not re.fullmatch(cls.pattern, text):
            raise ValueError(cls.sentence)
        return cls(text)

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(cls.of)

    @classmethod
    def __get_pydantic_json_schema__(cls, _core: core_schema.CoreSchema, _handler: GetJsonSchemaHandler) -> Schema:
        """The shape is a rule, not a `pattern`: a person who mistypes a value should read a sentence, not a regular expression."""
        text = "string(self)" if cls.or_int else "self"
        given = f"'it is %s, and {_quoted(cls.sentence)}'.format([{text}])"
        shape = Cel(f"{cls.__name__.lower()}{SHAPE}", f"{text}.matches({cel_string(cls.pattern)})", cls.sentence, given)
        kind = INT_OR_STRING if cls.or_int else {"type": "string"}
        return {**kind, "maxLength": cls.max_length, VALIDATIONS: [shape.validation()]}


class Duration(Value):
    """A length of time: `30s`, `1h30m`."""

    __slots__ = ()
    pattern = r"^([0-9]{1,6}(\.[0-9]{1,3})?(ms|s|m|h))+$"
    sentence = "a duration is a number with its unit ms, s, m or h: 30s, 15m, 1h30m"

    @property
    def seconds(self) -> float:
        """In seconds, exact to the millisecond."""
        parts = re.findall(r"([0-9.]+)(ms|s|m|h)", self)
        return float(sum((Decimal(number) * SECONDS[unit] for number, unit in parts), Decimal(0)))


def _cron() -> str:
    """Five fields; each a list of `*`, a value, or a range, with or without a step."""
    months, days = "JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC", "SUN|MON|TUE|WED|THU|FRI|SAT"
    values = ("[0-5]?[0-9]", "[01]?[0-9]|2[0-3]", "0?[1-9]|[12][0-9]|3[01]", f"0?[1-9]|1[0-2]|{months}", f"[0-7]|{days}")
    parts = [rf"(\*|({value})(-({value}))?)(/[1-9][0-9]?)?" for value in values]
    return "(?i)^" + " ".join(f"{part}(,{part})*" for part in parts) + "$"


class Schedule(Value):
    """A time that comes again and again, as cron writes it: `0 3 * * 0`."""

    __slots__ = ()
    pattern = _cron()
    sentence = "a schedule is the five fields of cron, minute hour day month weekday: 0 3 * * 0 is three in the morning of each Sunday"
    max_length = 100


class TimeZone(Value):
    """Whose clock is meant: `Europe/Berlin`. Whether there is such a zone, the operator finds."""

    __slots__ = ()
    pattern = r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$"
    sentence = "a time zone is a name of the time zone database, such as Europe/Berlin or UTC"
    max_length = 64


class Memory(Value):
    """An amount of memory: `80Gi`. The unit is compulsory: `memory: 128` would be 128 bytes and never what was meant."""

    __slots__ = ()
    pattern = r"^[0-9]+(\.[0-9]+)?(k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)$"
    sentence = "an amount of memory is a number with its unit, Ki, Mi, Gi, Ti or k, M, G, T: 80Gi, 512Mi"

    @property
    def bytes(self) -> int:
        """In bytes, rounded down."""
        number, unit = re.fullmatch(r"([0-9.]+)([A-Za-z]+)", self).groups()  # type: ignore[union-attr]  # `of` let nothing else in
        return int(Decimal(number) * BYTES[unit])


class Cpu(Value):
    """Processor time in cores: `16`, `0.5` or `500m`."""

    __slots__ = ()
    pattern = r"^[0-9]+(\.[0-9]{1,3}|m)?$"
    sentence = "an amount of CPU is a number of cores or thousandths of one: 16, 0.5, 500m"
    or_int = True

    @property
    def cores(self) -> float:
        """In cores."""
        return float(Decimal(self.removesuffix("m")) / (1000 if self.endswith("m") else 1))


class Number(Value):
    """A number that is not negative, as a string: `"2.5"`."""

    __slots__ = ()
    pattern = r"^[0-9]{1,6}(\.[0-9]{1,6})?$"
    sentence = 'a decimal number is written as a string, with a point and without a unit: "2.5"'
    max_length = 16

    @property
    def value(self) -> float:
        """As a number."""
        return float(self)


class Ratio(Number):
    """A part of a whole, 0 to 1, as a string: `"0.85"`."""

    __slots__ = ()
    pattern = r"^(0(\.[0-9]{1,4})?|1(\.0{1,4})?)$"
    sentence = 'a ratio is a string between "0" and "1": "0.85"'
    max_length = 8

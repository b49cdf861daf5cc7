"""Everything that is made of the models in operator/allod/api: crds/, the chart's copies, and the pages of this folder.

`make generate` writes the files; with --check nothing is written, and a file that is not what the models say is an error.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from allod.api.crds import KINDS, Kind
from allod.api.modeldeployment import ModelDeployment
from allod.api.reserved import LLAMACPP_FLAGS, PREFIXES, VARIABLES, VLLM_FLAGS

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parents[2]
MADE = {"crds": "*.yaml", "charts/allod/templates/crds": "*.yaml", "docs/reference": "*.md"}
"""Folders that hold nothing else of these names: what is no longer made has to go."""
VALIDATIONS = "x-kubernetes-validations"
NOTICE = "made of operator/allod/api by `make generate`: edit the models, not this file"
KEEP = """\
  labels: {{- include "allod.labels" . | nindent 4 }}
  {{- if .Values.crds.keep }}
  annotations:
    helm.sh/resource-policy: keep
  {{- end }}
"""

INTRODUCTION = """\
`apiVersion: {group}/v1alpha1`, namespaced, short name `{short}`, category `allod`: `kubectl get {plural}.{group}`.
The same texts are in `kubectl explain {short} --recursive`.

Nothing but `spec.replicas` gets a default from the API server: what the operator does without a field is said in its text, and `status`
shows it. What is refused is refused with the sentences under the tables, mostly with the object's own values in them; the name of a
rule, such as `gpu-count`, is what `allod lint` prints.
"""
NEWER = """\
## Fields of a newer version

A field that the CRD in the cluster does not have is never lost silently:

- `kubectl apply` and `kubectl create` refuse the object: `strict decoding error: unknown field "spec.resources.foo"`.
- With `--validate=warn` they say `Warning: unknown field "spec.resources.foo"`, and the API server drops the field.
- Server-side apply (`kubectl apply --server-side`, Argo CD with ServerSideApply, Flux) refuses it whatever `--validate` says:
  `.spec.resources.foo: field not declared in schema`.

So upgrade the chart, and with it the CRD, before the manifests. The other way round is safe: an operator that is older than the CRD
ignores the fields that it does not know, keeps serving, and leaves them as they are, because it never writes the `spec`.
"""

Schema = dict[str, Any]


def main(arguments: list[str], root: Path = ROOT) -> int:
    """The exit status: 1 when --check finds a file that is not what the models say."""
    made = files()
    stale = [path for folder, names in MADE.items() for path in (root / folder).glob(names) if str(path.relative_to(root)) not in made]
    changed = [root / path for path, text in made.items() if not same(root / path, text)]
    if arguments == ["--check"]:
        for path in sorted([*changed, *stale]):
            print(f"{path.relative_to(root)} is not what operator/allod/api says: run `make generate` and commit what it changed")
        return 1 if changed or stale else 0
    for path in changed:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(made[str(path.relative_to(root))], encoding="utf-8")
        print(f"wrote {path.relative_to(root)}")
    for path in stale:
        path.unlink()
        print(f"removed {path.relative_to(root)}")
    return 0


def same(path: Path, text: str) -> bool:
    """Whether the file is there and holds just that."""
    return path.exists() and path.read_text(encoding="utf-8") == text


def files() -> dict[str, str]:
    """Every file, by its path from the root of the repository, with its whole text."""
    made: dict[str, str] = {}
    for kind in KINDS:
        manifest = crd(kind)
        made[f"crds/allod.dev_{kind.plural}.yaml"] = f"# {NOTICE}\n{manifest}"
        made[f"charts/allod/templates/crds/{kind.plural}.yaml"] = template(kind, manifest)
        made[f"docs/reference/{kind.singular}.md"] = page(kind)
    return made


def crd(kind: Kind) -> str:
    """The CustomResourceDefinition as YAML, one line per value: a folded rule is no longer readable, and its diff neither."""
    return yaml.safe_dump(kind.manifest(), sort_keys=False, width=sys.maxsize, allow_unicode=True)


def template(kind: Kind, manifest: str) -> str:
    """The CRD as a template of the chart: upgraded with the release, and kept when the release goes."""
    if "{{" in manifest:
        raise ValueError(f"{kind.crd_name}: Helm would read {{{{ as its own")
    name = f"metadata:\n  name: {kind.crd_name}\n"
    return f"{{{{- /* {NOTICE} */ -}}}}\n{{{{- if .Values.crds.install }}}}\n{manifest.replace(name, name + KEEP, 1)}{{{{- end }}}}\n"


def page(kind: Kind) -> str:
    """The reference of one kind."""
    schema = kind.schema()
    group = kind.manifest()["spec"]["group"]
    parts = [
        f"<!-- {NOTICE} -->\n\n# {kind.name}\n",
        f"{schema['description']}\n",
        INTRODUCTION.format(group=group, short=kind.short, plural=kind.plural),
        "## In `kubectl get`\n",
        table(
            ("column", "meaning"),
            [(f"{c.name.upper()}{' (with `-o wide`)' if c.wide else ''}", c.description) for c in kind.columns],
        ),
        *rules_of(schema),
        *sections("spec", schema["properties"]["spec"]),
        *sections("status", schema["properties"]["status"]),
        NEWER,
    ]
    if kind.model is ModelDeployment:
        parts += refused()
    return "\n".join(parts)


def sections(path: str, schema: Schema) -> list[str]:
    """One section per object, in the order of the fields."""
    fields = schema["properties"]
    rows = [(f"`{name}`{' (required)' if name in schema.get('required', ()) else ''}", *cells(path, name, fields[name])) for name in fields]
    made = [f"## `{path}`\n", f"{schema['description']}\n", table(("field", "type", "meaning"), rows), *rules_of(schema, fields)]
    for name, part in fields.items():
        made += [section for inner, deep in objects(f"{path}.{name}", part) for section in sections(inner, deep)]
    return made


def objects(path: str, schema: Schema) -> list[tuple[str, Schema]]:
    """The object with fields that a value is or is a list of."""
    if "items" in schema:
        return objects(f"{path}[]", {"description": schema["description"], **schema["items"]})
    return [(path, schema)] if "properties" in schema else []


def cells(path: str, name: str, schema: Schema) -> tuple[str, str]:
    """Type with bounds, and meaning."""
    default = f" The API server fills in {schema['default']}." if "default" in schema else ""
    below = [f"[`{inner}`](#{anchor(inner)})" for inner, _ in objects(f"{path}.{name}", schema)]
    return f"{kind_of(schema)}{': ' + below[0] if below else ''}", f"{schema['description']}{default}"


def kind_of(schema: Schema) -> str:
    """What may be written, in words."""
    if "enum" in schema:
        return " or ".join(f"`{word}`" for word in schema["enum"])
    match schema.get("type"):
        case "array":
            return list_of(schema)
        case "object" if "additionalProperties" in schema:
            return f"map, up to {schema['maxProperties']} entries, each a {kind_of(schema['additionalProperties'])}"
        case "object":
            return "object" + (" with any further fields" if schema.get("x-kubernetes-preserve-unknown-fields") else "")
        case _:
            return scalar_of(schema)


def scalar_of(schema: Schema) -> str:
    """A single value in words."""
    match schema.get("type", "string or integer"):
        case "integer":
            return f"integer, {schema['minimum']:,} to {schema['maximum']:,}"
        case "boolean":
            return "`true` or `false`"
        case written:
            return f"{written}, RFC 3339" if schema.get("format") == "date-time" else f"{written}, up to {schema['maxLength']:,} characters"


def list_of(schema: Schema) -> str:
    """A list in words: how many, how told apart, and of what unless the items have a section of their own."""
    keys = schema.get("x-kubernetes-list-map-keys")
    told = f", told apart by `{keys[0]}`" if keys else ", all distinct" if schema.get("x-kubernetes-list-type") == "set" else ""
    number = f"{schema['minItems']} to {schema['maxItems']}" if "minItems" in schema else f"up to {schema['maxItems']}"
    return f"list of {number}{told}" + ("" if "properties" in schema["items"] else f", each a {kind_of(schema['items'])}")


def rules_of(schema: Schema, fields: Schema | None = None) -> list[str]:
    """What is refused, in the sentences that a person reads then."""
    about = [("", rule) for rule in schema.get(VALIDATIONS, ())]
    for name, part in (fields or {}).items():
        words = part["items"] if "items" in part and "properties" not in part["items"] else {}
        about += [(f"`{name}`: ", rule) for rule in (*part.get(VALIDATIONS, ()), *words.get(VALIDATIONS, ())) if "properties" not in part]
    if not about:
        return []
    lines = [f"- {at}{escaped(rule['message'])} (`{rule['name']}`)" for at, rule in about]
    return ["Refused, in these words:\n", "\n".join(lines) + "\n"]


def refused() -> list[str]:
    """Flags and variables that have another place."""

    def rows(taken: dict[str, str], dashes: str = "") -> str:
        return table(("refused", "instead"), [(f"`{dashes}{name}`", escaped(instead)) for name, instead in taken.items()])

    return [
        "## Flags and variables that are refused\n",
        "In `engine.args` by these names, in `engine.extraArgs` also with `_` for `-`, with `=value`, and in their short forms.\n",
        "### vLLM\n",
        rows(VLLM_FLAGS, "--"),
        "### LlamaCpp\n",
        rows(LLAMACPP_FLAGS, "--"),
        "### Variables in `engine.env`\n",
        rows({**VARIABLES, **{f"{prefix}...": instead for prefix, instead in PREFIXES.items()}}),
    ]


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [head, tuple("---" for _ in head), *(tuple(escaped(cell) for cell in row) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def escaped(text: str) -> str:
    """As text of Markdown: < would begin HTML."""
    return text.replace("<", "&lt;").replace("|", "\\|")


def anchor(path: str) -> str:
    """Of a heading, as forges make them: without punctuation, in lower case."""
    return "".join(letter for letter in path.lower() if letter.isalnum() or letter in "-_")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

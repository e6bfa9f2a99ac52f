"""Every key of a configuration, as Markdown, from the schema that checks it. Enter at `tables`."""

import json
from types import UnionType
from typing import Annotated, Union, get_args, get_origin

from pydantic import TypeAdapter
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from ase_mlipgen.config.schema import Table
from docs.reference.page import table

SIGNS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
NAMES = {
    "number": "number",
    "integer": "whole number",
    "string": "text",
    "boolean": "true or false",
    "null": "",
}


def tables(config):
    """Return a section for each table of a configuration, and for each kind of it."""
    return "\n\n".join(
        section(title, kind)
        for name in config.model_fields
        for title, kind in kinds(name, config.model_fields[name])
    )


def kinds(name, field):
    """Yield heading and class of each table that may stand under that name."""
    found = list(tables_in(field.annotation))
    brackets = f"[[{name}]]" if get_origin(field.annotation) is list else f"[{name}]"
    for kind in found:
        word = kind.model_fields["kind"].annotation if "kind" in kind.model_fields else None
        yield f"`{brackets}`" + (f", kind `{json.dumps(get_args(word)[0])}`" if word else ""), kind


def tables_in(annotation):
    """Yield the classes of tables that a type mentions."""
    if isinstance(annotation, type) and issubclass(annotation, Table):
        yield annotation
    elif get_origin(annotation) in (Annotated, Union, UnionType, list):
        for inner in get_args(annotation):
            yield from tables_in(inner)


def section(title, kind):
    """Return the section of one table."""
    rows = [
        [f"`{name}`", type_of(field), default(field), field.description]
        for name, field in kind.model_fields.items()
    ]
    return f"### {title}\n\n{kind.__doc__}\n\n{table(['key', 'type', 'default', 'meaning'], rows)}"


def type_of(field: FieldInfo):
    """Return what values a key takes, in words."""
    annotation = Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
    schema = TypeAdapter(annotation).json_schema()
    return words(schema)


def words(schema):
    """Return a JSON schema in words; the only tables within tables are defects."""
    if "$ref" in schema:
        return "table as in `[[defects]]`"
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    if "enum" in schema:
        return " or ".join(f"`{json.dumps(value)}`" for value in schema["enum"])
    for several in ("anyOf", "oneOf"):
        if several in schema:
            found = [words(inner) for inner in schema[several]]
            return " or ".join(dict.fromkeys(text for text in found if text))
    if schema.get("type") == "array":
        return f"list of {bracketed(words(schema['items']))}" + length(schema)
    if schema.get("type") == "object":
        inner = schema.get("additionalProperties")
        return f"table of {bracketed(words(inner))}" if isinstance(inner, dict) else "table"
    bounds = " and ".join(f"{SIGNS[key]} {schema[key]:g}" for key in SIGNS if key in schema)
    return f"{NAMES[schema['type']]} {bounds}".strip()


def bracketed(text):
    """Return several alternatives in brackets."""
    return f"({text})" if " or " in text and text != NAMES["boolean"] else text


def length(schema):
    """Return how many entries a list has."""
    low, high = schema.get("minItems"), schema.get("maxItems")
    if low and high:
        return f" ({low} or {high})" if high == low + 1 else f" ({low} to {high})"
    return f" (at least {low})" if low else ""


def default(field):
    """Return the default as it stands in TOML."""
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is None or value is PydanticUndefined:
        return ""
    return f"`{toml(value)}`"


def toml(value):
    """Return a value as TOML."""
    if isinstance(value, Table):
        return toml({key: item for key, item in value if key in value.model_fields_set})
    if isinstance(value, dict):
        return (
            "{ " + ", ".join(f"{key} = {toml(item)}" for key, item in value.items()) + " }" if value else "{}"
        )
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    return repr(value) if isinstance(value, float) else json.dumps(value)

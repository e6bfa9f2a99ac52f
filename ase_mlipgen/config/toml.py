"""A configuration as TOML text, with or without a remark beside every key. Enter at `to_toml`."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from ase_mlipgen.config.schema import AnyConfig

WIDTH = 36
BARE = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"


def to_toml(config: AnyConfig, comments: bool = False) -> str:
    """Write every key of a configuration; `load` reads the same configuration back.

    Parameters
    ----------
    config : Config or DataConfig
    comments : bool
        Say beside every key what it means, and mention those that are not set.
    """
    blocks = []
    for name in type(config).model_fields:
        content = getattr(config, name)
        if isinstance(content, list):
            blocks += [_table(f"[[{name}]]", item, comments) for item in content]
        elif content is not None:
            blocks.append(_table(f"[{name}]", content, comments))
    return "\n\n".join(blocks) + "\n"


def _table(title: str, table: BaseModel, comments: bool) -> str:
    remark = f"  # {(type(table).__doc__ or '').strip()}" if comments else ""
    return "\n".join([title + remark, *_lines(table, comments)])


def _lines(table: BaseModel, comments: bool) -> Iterator[str]:
    for name, field in type(table).model_fields.items():
        value = getattr(table, name)
        if value is None:
            if comments:
                yield f"# {name} = ...".ljust(WIDTH) + f"  # {field.description}"
            continue
        line = f"{name} = {_value(value)}"
        yield line.ljust(WIDTH) + f"  # {field.description}" if comments else line


def _value(value: Any) -> str:
    if isinstance(value, BaseModel):
        value = {name: item for name, item in value if item is not None}
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, Mapping):
        inside = ", ".join(f"{_key(key)} = {_value(item)}" for key, item in value.items() if item is not None)
        return f"{{ {inside} }}" if inside else "{}"
    raise TypeError(f"{value!r} has no form in TOML; expected texts, numbers, lists and tables of them")


def _key(key: str) -> str:
    return key if key and set(key) <= set(BARE) else _text(key)


def _text(text: str) -> str:
    # TOML's basic strings escape as JSON's do, but for the delete character, which JSON leaves as it is.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")

"""What is wrong with a configuration, said so that it can be put right: table, key, value, what was expected.

pydantic finds the mistakes; here they become sentences. Enter at `sentences`.
"""

import difflib
from collections.abc import Iterator, Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

Location = Sequence[int | str]
EXPECTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "string_type": "a text in quotes",
    "bool_type": "true or false",
    "list_type": "a list in [ ]",
    "dict_type": "a table of keys and values",
    "model_type": "a table of keys and values",
    "finite_number": "a finite number",
    "greater_than": "a number above {gt}",
    "greater_than_equal": "a number of at least {ge}",
    "less_than": "a number below {lt}",
    "less_than_equal": "a number of at most {le}",
    "literal_error": "{expected}",
    "too_short": "at least {min_length} entries",
    "too_long": "at most {max_length} entries",
}
KINDS = {
    "crystal": ("triangular", "bulk", "file"),
    "defects": ("vacancy", "interstitial", "substitution", "file"),
}


class ConfigError(ValueError):
    """A configuration that cannot be used; the message says where and why."""


class _Place(NamedTuple):
    """Where a mistake is: names of the tables down to it, the key in the last one, that table's model."""

    tables: tuple[str, ...]
    key: str
    model: type[BaseModel] | None

    @property
    def title(self) -> str:
        return _title(self.tables)

    @property
    def path(self) -> str:
        return ".".join([*self.tables, self.key])


def sentences(error: ValidationError, root: type[BaseModel]) -> list[str]:
    """Return one sentence a mistake, those of one key joined."""
    mistakes = [(_place(mistake["loc"], root), mistake) for mistake in error.errors(include_url=False)]
    paths = [place.path for place, _ in mistakes]
    found: dict[str, list[str]] = {}
    for place, mistake in mistakes:
        deeper = any(path.startswith((f"{place.path}.", f"{place.path} ")) for path in paths)
        if deeper:
            # A union's other alternatives: the mistake inside the one that was meant says more.
            continue
        subject, expected = _sentence(place, mistake)
        found.setdefault(subject, []).append(expected)
    return [
        subject + (f": expected {' or '.join(dict.fromkeys(expected))}" if any(expected) else "")
        for subject, expected in found.items()
    ]


def _sentence(place: _Place, mistake: Any) -> tuple[str, str]:
    """Return what is said of a mistake, and what was expected instead."""
    kind, key, value = mistake["type"], place.key, mistake["input"]
    if kind == "extra_forbidden":
        return f"unknown key {_quoted(key)} in {place.title}{_nearest(key, place.model)}", ""
    if kind == "missing":
        return f"{place.title} lacks the key {_quoted(key)}", ""
    if kind in ("union_tag_not_found", "union_tag_invalid"):
        title = _title((*place.tables, key))
        choices = ", ".join(f'"{tag}"' for tag in KINDS["crystal" if key == "crystal" else "defects"])
        if kind == "union_tag_not_found":
            return f'{title} lacks the key "kind"', f"one of {choices}"
        return f"{title} kind = {_shown(value.get('kind'))}", f"one of {choices}"
    subject = f"{place.title} {key}" if place.tables else key
    context = mistake.get("ctx", {})
    template = EXPECTED.get(kind)
    message = mistake["msg"][:1].lower() + mistake["msg"][1:]
    return f"{subject} = {_shown(value)}", template.format(**context) if template else message


def _place(location: Location, root: type[BaseModel]) -> _Place:
    """Follow a location of pydantic's through the annotations, leaving out the tags of unions."""
    kinds: list[Any] = [root]
    tables: tuple[str, ...] = ()
    names: list[str] = []
    model: type[BaseModel] | None = root
    for part in location:
        only = kinds[0] if len(kinds) == 1 else None
        if isinstance(only, type) and issubclass(only, BaseModel):
            tables, model = tuple(names), only
            names.append(str(part))
            kinds = (
                list(_members(only.model_fields[str(part)].annotation)) if part in only.model_fields else []
            )
        elif get_origin(only) is list and isinstance(part, int):
            names[-1] += f" {part + 1}"
            kinds = list(_members(get_args(only)[0]))
        elif get_origin(only) is dict:
            tables, model = tuple(names), None
            names.append(str(part))
            kinds = list(_members(get_args(only)[1]))
        else:
            kinds = [member for member in kinds if _is_tagged(member, str(part))]
    return _Place(tables, ".".join(names[len(tables) :]), model)


def _members(kind: Any) -> Iterator[Any]:
    """Give the alternatives of an annotation, None left out."""
    origin = get_origin(kind)
    if origin is Annotated:
        yield from _members(get_args(kind)[0])
    elif origin in (Union, UnionType):
        for argument in get_args(kind):
            yield from _members(argument)
    elif kind is not NoneType:
        yield kind


def _is_tagged(member: Any, tag: str) -> bool:
    """Whether pydantic's tag of a union stands for this member."""
    if isinstance(member, type) and issubclass(member, BaseModel):
        return tag in get_args(member.model_fields["kind"].annotation)
    return tag.startswith(f"{getattr(get_origin(member), '__name__', '-')}[")


def _title(names: Sequence[str]) -> str:
    """Return a table's title as the file has it; entries of lists of tables are numbered from 1."""
    if not names:
        return "the file"
    *above, last = names
    name, _, number = last.partition(" ")
    title = ".".join([*above, name])
    return f"[[{title}]] number {number}" if number else f"[{title}]"


def _nearest(key: str, model: type[BaseModel] | None) -> str:
    if model is None:
        return ""
    close = difflib.get_close_matches(key, list(model.model_fields), n=1, cutoff=0.5)
    if close:
        return f"; did you mean {_quoted(close[0])}?"
    return f"; it has {', '.join(model.model_fields)}"


def _quoted(text: str) -> str:
    return f'"{text}"'


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _quoted(value)
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."

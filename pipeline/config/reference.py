"""The reference of all config keys, written from the config classes themselves."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Iterator
from typing import Any

import pydantic
from pydantic_core import PydanticUndefined

from pipeline.config.loading import PipelineConfig

_HEAD = """# Configuration

Every key of a pipeline's YAML file. `SEGLINE_CONFIG` chooses the file (a name in
`pipeline/configs`, or a path); `SEGLINE__SECTION__KEY=value` overrides one key, its
value read as YAML: `SEGLINE__TRAINER__EPOCHS=5`. `segline config check` tells what
is wrong with a file, `segline config show` what it amounts to.

This page is made by `segline config reference > docs/reference/config.md`.
"""


def reference() -> str:
    """Markdown with one table for each section of the config."""
    return _HEAD + "".join(_section(PipelineConfig, "", set()))


def _section(
    model: type[pydantic.BaseModel], path: str, told: set[type], about: str | None = None
) -> Iterator[str]:
    told.add(model)
    yield f"\n## {f'`{path}`' if path else 'Top level'}\n\n"
    if about:
        yield f"{about}\n\n"
    yield "| key | type | default | meaning |\n|---|---|---|---|\n"
    nested = []
    for name, field in model.model_fields.items():
        inner = field.annotation
        members = [kind for kind in (inner, *typing.get_args(inner)) if _is_section(kind)]
        nested += [(kind, f"{path}.{name}" if path else name, field) for kind in members]
        if members == [inner]:
            continue
        description = field.description or _attribute_doc(model, name)
        cells = (f"`{name}`", f"`{_type(inner)}`", _default(field), description)
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"
    for inner, inner_path, field in nested:
        if inner not in told:  # the same keys again need no table of their own
            about = field.description if field.annotation is inner else None
            yield from _section(inner, inner_path, told, about)


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, pydantic.BaseModel)


def _default(field: pydantic.fields.FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return "**required**"
    if isinstance(value, tuple):
        value = list(value)
    if isinstance(value, dict):
        value = {
            key: part.model_dump(exclude_unset=True) if _is_section(type(part)) else part
            for key, part in value.items()
        }
    return f"`{'null' if value is None else value if value != '' else repr(value)}`"


def _type(annotation: Any) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _type(arguments[0])
    if origin is typing.Literal:
        return " or ".join(map(str, arguments))
    if origin is tuple:
        return f"list of {_type(arguments[0])}"
    if origin is dict:
        return f"{_type(arguments[0])} → {_type(arguments[1])}"
    if arguments:
        return " or ".join(_type(argument) for argument in arguments)
    if annotation is type(None):
        return "null"
    if _is_section(annotation):
        return "section"
    names = {"str": "text", "int": "integer", "float": "number", "bool": "true or false"}
    return names.get(annotation.__name__, annotation.__name__)


def _attribute_doc(model: type[pydantic.BaseModel], name: str) -> str:
    """The entry under `Attributes:` of a class's docstring."""
    text, found = [], False
    for line in inspect.cleandoc(model.__doc__ or "").splitlines():
        stripped = line.strip()
        if stripped.startswith(f"{name}:"):
            found = True
            text.append(stripped.removeprefix(f"{name}:").strip())
        elif found and line.startswith("    "):
            text.append(stripped)
        elif found:
            break
    return " ".join(text)

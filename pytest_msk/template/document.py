"""Document: a SAM or CloudFormation template as it is written, with the line of everything in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import yaml

from ..errors import MskError

__all__ = ["Document", "Place", "TemplateError", "Value"]

#: What stands at a place of a template: text, number, boolean, nothing, a list of places or places by key.
Value: TypeAlias = "str | int | float | bool | list[Place] | dict[str, Place] | None"

#: Intrinsic functions whose short form takes something else than its long form has under `Fn::`.
_SHORT = {"Ref": "Ref", "Condition": "Condition"}


class TemplateError(MskError, ValueError):
    """A template that cannot be read, or that asks for what a mapping does not have; the text begins with file:line,
    where there is a file."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A value in a template.

    Args:
        value: what stands there.
        line: where it begins, from 1.
        file: the template's file, as it was given.
        path: the keys that lead to it, joined by dots.
    """

    value: Value
    line: int
    file: str = field(repr=False)
    path: str

    def error(self, message: str) -> TemplateError:
        """An error about this place."""
        return TemplateError(f"{self.file}:{self.line}: {message}")

    def items(self) -> Iterator[tuple[str, Place]]:
        """The members of a mapping, in order.

        Raises:
            TemplateError: it is none.
        """
        if not isinstance(self.value, dict):
            raise self.error(f"{self.path} has to be a mapping.")
        yield from self.value.items()

    def get(self, key: str) -> Place | None:
        """A member of a mapping, if it has it and it is not empty."""
        found = dict(self.items()).get(key)
        return None if found is None or found.value is None else found


class Document:
    """A template, read from a YAML or JSON file.

    Raises:
        TemplateError: it is not there, is neither, or not a mapping.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.exists():
            text = f"There is no template {self.path.absolute()}."
            if not self.path.is_absolute():
                text += f' Give its path from the test\'s own file: Path(__file__).parent / "{path}".'
            raise TemplateError(text)
        try:
            root = yaml.compose(self.path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise TemplateError(f"{path}:{line}: this is no YAML: {error.problem}.") from error
        if not isinstance(root, yaml.MappingNode):
            raise TemplateError(f"{path}:1: a template is a mapping with Resources in it.")
        self._constructor = yaml.SafeLoader("")
        try:
            self.root = self._place(root, "")
        except RecursionError:
            raise TemplateError(f"{path}:1: an alias of this YAML contains itself.") from None

    def _place(self, node: yaml.Node, path: str) -> Place:
        line = node.start_mark.line + 1
        if node.tag.startswith("!"):
            name = node.tag[1:]
            inner = Place(value=self._plain(node, path), line=line, file=str(self.path), path=path)
            if name == "GetAtt" and isinstance(inner.value, str):
                parts: list[Place] = [
                    Place(value=part, line=line, file=str(self.path), path=path) for part in inner.value.split(".", 1)
                ]
                inner = Place(value=parts, line=line, file=str(self.path), path=path)
            value: Value = {_SHORT.get(name, f"Fn::{name}"): inner}
        else:
            value = self._plain(node, path)
        return Place(value=value, line=line, file=str(self.path), path=path)

    def _plain(self, node: yaml.Node, path: str) -> Value:
        if isinstance(node, yaml.MappingNode):
            found: dict[str, Place] = {}
            for key_node, value_node in node.value:
                key = str(key_node.value)
                if key in found:
                    raise TemplateError(f"{self.path}:{key_node.start_mark.line + 1}: {key} stands here twice.")
                place = self._place(value_node, f"{path}.{key}" if path else key)
                # The key's line is where a reader looks for it.
                found[key] = Place(
                    value=place.value, line=key_node.start_mark.line + 1, file=place.file, path=place.path
                )
            return found
        if isinstance(node, yaml.SequenceNode):
            return [self._place(item, f"{path}[{number}]") for number, item in enumerate(node.value)]
        if node.tag.startswith("!"):
            return str(node.value)
        if node.tag == "tag:yaml.org,2002:timestamp":
            return str(node.value)
        constructed: str | int | float | bool | None = self._constructor.construct_object(node)
        return constructed

"""YAML files read with their line numbers, so that an error names file, line, field and the mend."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from kaozheng_service.errors import UserError

Model = TypeVar("Model", bound=BaseModel)
FieldPath = tuple[str | int, ...]


class FileError(UserError):
    """One or more faults of one file, each as ``file:line: field: what and the mend``."""

    def __init__(self, faults: Iterable[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(self.faults))


class Document:
    """A parsed YAML file: its plain ``data``, the line of every field, and the ``sha256`` of its bytes."""

    def __init__(self, path: Path) -> None:
        """Read ``path``. Raises UserError if it cannot be read, is not YAML, or repeats a key."""
        self.path = path
        try:
            data = path.read_bytes()
            text = data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
        except FileNotFoundError:
            raise UserError(f"{path}: there is no such file; give the path of a site file") from None
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{path}: cannot be read as UTF-8 text: {error}") from None
        self.sha256 = hashlib.sha256(data).hexdigest()
        self._lines: dict[FieldPath, int] = {(): 1}
        try:
            node = yaml.compose(text, Loader=yaml.SafeLoader)
            if node is None:
                raise FileError([f"{path}:1: the file is empty"])
            self._note_lines(node, ())
            self.data: Any = yaml.safe_load(text)
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise FileError(
                [f"{path}:{line}: not valid YAML: {error.problem}; check indentation and quotes"]
            ) from None
        except RecursionError:
            raise FileError(
                [f"{path}:1: not valid YAML: nested too deeply, or an anchor in itself"]
            ) from None
        except (yaml.YAMLError, ValueError, TypeError, OverflowError) as error:
            # A scalar that looks like a date or a number and is none: the reader says which, but not where.
            raise FileError([f"{path}:1: not valid YAML: {error}; put such text in quotes"]) from None
        if not isinstance(self.data, dict):
            # What is in it is not repeated: it may be any file of the machine.
            raise FileError([f"{path}:1: the file holds no fields; begin it with `schema: kaozheng/site/1`"])

    def _note_lines(self, node: yaml.Node, at: FieldPath) -> None:
        self._lines.setdefault(at, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            seen: set[str] = set()
            for key, value in node.value:
                line = key.start_mark.line + 1
                if key.value in seen:
                    raise FileError(
                        [f"{self.path}:{line}: {dotted((*at, key.value))}: given twice; keep one"]
                    )
                seen.add(key.value)
                self._lines[(*at, key.value)] = line
                self._note_lines(value, (*at, key.value))
        elif isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self._lines[(*at, index)] = item.start_mark.line + 1
                self._note_lines(item, (*at, index))

    def line(self, at: FieldPath) -> int:
        """The line of a field, or of the nearest field around it that is in the file."""
        while at not in self._lines:
            at = at[:-1]
        return self._lines[at]

    def fault(self, at: FieldPath, message: str) -> str:
        return f"{self.path}:{self.line(at)}: {dotted(at) or 'file'}: {message}"

    def parse(self, model: type[Model]) -> Model:
        """The document as ``model``. Raises FileError with every fault of the file at once."""
        try:
            return model.model_validate(self.data)
        except ValidationError as error:
            raise FileError(
                self.fault(_in_file(detail["loc"], self.data), mend(detail)) for detail in error.errors()
            ) from None


def dotted(at: FieldPath) -> str:
    """``rooms[0].seats.grid``"""
    text = ""
    for step in at:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def _in_file(loc: FieldPath, data: Any) -> FieldPath:
    """pydantic's location without the names of union branches, which are not in the file."""
    at: list[str | int] = []
    for number, step in enumerate(loc):
        known = (isinstance(data, dict) and step in data) or (
            isinstance(data, list) and isinstance(step, int) and step < len(data)
        )
        if known:
            at.append(step)
            data = data[step]
        elif number == len(loc) - 1:
            at.append(step)
    return tuple(at)


def mend(detail: Any) -> str:
    """What is wrong and what to do, in one sentence, from one of pydantic's error details."""
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "missing":
        return "is missing; add it"
    if kind == "extra_forbidden":
        return "is not a field of this part; check the spelling (`kaozheng schema` lists all fields) or remove it"
    if kind == "value_error":
        return str(context["error"])
    given = detail["input"]
    if isinstance(given, dict | list) or (isinstance(given, float) and math.isnan(given)):
        shown = "what is there"
    else:
        shown = repr(given)
    return f"{shown} cannot be used: {detail['msg'][0].lower()}{detail['msg'][1:]}"

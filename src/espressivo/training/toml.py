"""Conversion between TOML and frozen dataclasses.

An unknown key is an error whose message suggests the nearest known one, since a
misspelt setting that is ignored wastes a training run.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, cast, get_args, get_origin, get_type_hints

from espressivo.errors import ConfigError


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        ConfigError: The file is absent or is no TOML.
    """
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is no TOML ({error})") from error


def override(table: dict[str, Any], setting: str) -> None:
    """Set one value of a table in place, such as `training.epochs=5`.

    The value is parsed as TOML; one that TOML cannot parse is text, so that text needs
    no quotes.

    >>> table = {"training": {"epochs": 25}}
    >>> override(table, "training.epochs=5")
    >>> override(table, "network.kind=whisper")
    >>> table
    {'training': {'epochs': 5}, 'network': {'kind': 'whisper'}}

    Raises:
        ConfigError: There is no `=`, or a value where a table should be.
    """
    key, separator, text = setting.partition("=")
    *path, last = key.strip().split(".")
    if not separator or not last:
        raise ConfigError(f"'{setting}' is not KEY=VALUE, such as training.epochs=5")
    for name in path:
        table = table.setdefault(name, {})
        if not isinstance(table, dict):
            raise ConfigError(f"'{setting}': '{name}' is a value, not a table")
    try:
        table[last] = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        table[last] = text.strip()


def to_toml(config: object) -> str:
    """Return a dataclass of dataclasses as TOML that `build` reads back equal."""
    lines: list[str] = []
    tables: list[str] = []
    for known in fields(cast("Any", config)):
        value = getattr(config, known.name)
        if is_dataclass(value):
            value = {f.name: getattr(value, f.name) for f in fields(value)}
        if isinstance(value, Mapping):
            pairs = [f"{_key(key)} = {_literal(item)}" for key, item in value.items()]
            # Plain values come first: after a header, TOML takes keys for that table's.
            tables += ["", f"[{known.name}]", *pairs]
        else:
            lines.append(f"{known.name} = {_literal(value)}")
    return "\n".join([*lines, *tables]) + "\n"


def build(kind: type, table: Mapping[str, Any], where: str, prefix: str = "") -> Any:
    """Make a dataclass from a parsed TOML table; its fields may be dataclasses.

    Raises:
        ConfigError: A key does not exist, is missing, or has a wrong value.
    """
    # Annotations are text at run time (`from __future__ import annotations`).
    hints = get_type_hints(kind)
    for key in table:
        if key not in hints:
            meant = get_close_matches(key, hints, n=1, cutoff=0.5)
            hint = f"did you mean '{prefix}{meant[0]}'?" if meant else "remove it"
            raise ConfigError(f"{where}: there is no setting '{prefix}{key}'; {hint}")
    for known in fields(kind):
        optional = known.default is not MISSING or known.default_factory is not MISSING
        if not optional and known.name not in table:
            raise ConfigError(f"{where}: lacks '{prefix}{known.name}'; add it")
    return kind(
        **{
            key: _convert(hints[key], value, where, prefix + key)
            for key, value in table.items()
        }
    )


def _key(name: str) -> str:
    # TOML's bare keys hold ASCII letters, digits, - and _; others need quotes.
    plain = name.replace("-", "").replace("_", "")
    return name if plain.isascii() and plain.isalnum() else _literal(name)


def _literal(value: object) -> str:
    if isinstance(value, Mapping):
        pairs = (f"{_key(key)} = {_literal(item)}" for key, item in value.items())
        return "{" + ", ".join(pairs) + "}"
    # Numbers, text, booleans and lists of them are written alike in TOML and JSON.
    return json.dumps(str(value) if isinstance(value, Path) else value)


def _convert(hint: Any, value: Any, where: str, key: str) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if is_dataclass(hint) and isinstance(value, dict):
        return build(cast("type", hint), value, where, f"{key}.")
    if origin is Literal and value in arguments:
        return value
    if origin is tuple and isinstance(value, list):
        # `tuple[str, ...]` takes any length, `tuple[float, float]` just two.
        kinds = _tuple_kinds(arguments, len(value))
        if len(kinds) == len(value):
            pairs = zip(kinds, value, strict=True)
            return tuple(_convert(kind, item, where, key) for kind, item in pairs)
    if origin is Mapping and isinstance(value, dict):
        kind = arguments[1]
        return {k: _convert(kind, v, where, f"{key}.{k}") for k, v in value.items()}
    # Not `isinstance`: a bool is an int for Python, but `epochs = true` is a mistake.
    if type(value) in _TAKEN.get(hint, ()):
        return hint(value)
    raise ConfigError(f"{where}: '{key}' is {value!r}; it should be {_describe(hint)}")


def _tuple_kinds(arguments: tuple[Any, ...], n_values: int) -> tuple[Any, ...]:
    return arguments[:1] * n_values if arguments[-1] is Ellipsis else arguments


_TAKEN = {int: (int,), float: (int, float), str: (str,), bool: (bool,), Path: (str,)}
_WORDS = {
    int: "a whole number",
    float: "a number",
    str: "text",
    bool: "true or false",
    Path: "a path",
}


def _describe(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(repr(choice) for choice in get_args(hint))
    if get_origin(hint) is tuple:
        return "a list such as " + str(hint).removeprefix("tuple")
    return _WORDS.get(hint, "a table")

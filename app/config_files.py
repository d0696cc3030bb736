"""Reads the two files of settings, `config.toml` and `.env`, as text by key.

What is wrong with them is added to `problems`, in whole sentences. None of them repeats what may be a secret that was
put into the wrong place: a name is shown only if it is one of ours or looks like one.
"""

import difflib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import Field
from pathlib import Path
from typing import Any

from app.config_values import parse_flag
from app.env_file import ENCODING, Line, read_lines

ALIASES = "model_aliases"
_LIKE_A_NAME = re.compile(r"[A-Z][A-Z_-]{0,31}|[a-z][a-z_-]{0,31}")
_NOT_SHOWN = "what stands there is not shown, because it may be a secret"


def read_toml(
    path: Path, named: Mapping[str, Field[Any]], problems: list[str], *, must_exist: bool
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the settings of `config.toml` as text by key, and the model aliases."""
    try:
        table = tomllib.loads(path.read_text(ENCODING))
    except FileNotFoundError:
        if must_exist:
            problems.append(f"CONFIG_FILE: there is no file {path}")
        return {}, {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as problem:
        problems.append(f"CONFIG_FILE: {path.name} cannot be read: {problem}")
        return {}, {}
    texts: dict[str, str] = {}
    aliases = _aliases(table.pop(ALIASES, {}), problems)
    for name, value in table.items():
        key = name.lower()
        if key not in named:
            problems.append(_unknown(name, path.name, [*named, ALIASES]))
        elif key == "config_file":
            problems.append(f"CONFIG_FILE: belongs into the environment, not into {path.name}")
        elif key in {"qwen_auth_token", "qwen_cookie"}:
            problems.append(f"{key.upper()}: belongs into .env or the environment, not into {path.name}")
        elif isinstance(value, list) and all(isinstance(item, str) for item in value):
            texts[key] = ",".join(value)
        elif isinstance(value, bool) and named[key].metadata["parse"] is not parse_flag:
            problems.append(f"{key.upper()}: must not be true or false")
        elif isinstance(value, str | int | float):
            if text := str(value).strip():
                texts[key] = text
        else:
            problems.append(f"{key.upper()}: must be a text or a number")
    return texts, aliases


def _aliases(table: object, problems: list[str]) -> dict[str, str]:
    """Return the model aliases that can be used."""
    if not isinstance(table, dict):
        problems.append(f'{ALIASES}: must be a table of alias = "model id"')
        return {}
    bad = [alias for alias, target in table.items() if not isinstance(target, str) or not target]
    problems += [
        f'{ALIASES}: {alias} must be a model id in quotes (an alias with a dot needs quotes too: "a.b" = "model id")'
        for alias in bad
    ]
    return {alias: target for alias, target in table.items() if alias not in bad}


def read_env_file(path: Path, named: Mapping[str, Field[Any]], problems: list[str]) -> dict[str, str]:
    """Return the settings of `.env` by key."""
    try:
        lines = read_lines(path)
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as problem:
        problems.append(f"ENV_FILE: {path.name} cannot be read: {problem}")
        return {}
    known = [key.upper() for key in named]
    problems += [fault for line in lines if (fault := _fault(line, path.name, known))]
    return {line.name.lower(): line.value for line in lines if line.name in known and line.value is not None}


def _fault(line: Line, file: str, known: list[str]) -> str | None:
    """Return what is wrong with a line of `.env`."""
    name = line.name
    if name is None or (line.value is None and name not in known):
        return f"ENV_FILE: line {line.number} of {file} is no setting; write NAME=value, all on one line ({_NOT_SHOWN})"
    if line.value is None:
        return f"{name}: line {line.number} of {file} gives it no value; write = and the value behind it"
    if name in {"ENV_FILE", "CONFIG_FILE"}:
        return f"{name}: says where settings are read, so it belongs into the environment"
    if name in known:
        return None
    if name.upper() in known:
        return f"{name.upper()}: the name on line {line.number} of {file} must be in upper case"
    return _unknown(name, file, known, line.number)


def _unknown(name: str, file: str, known: list[str], number: int | None = None) -> str:
    near = difflib.get_close_matches(name, known, 1)
    hint = f"; did you mean {near[0]}?" if near else "; docs/configuration.md lists them"
    if _LIKE_A_NAME.fullmatch(name):
        return f"{name}: {file} has no such setting{hint}"
    where = f"ENV_FILE: line {number} of {file}" if number else f"CONFIG_FILE: {file}"
    return f"{where} names something that is no setting{hint} ({_NOT_SHOWN})"

"""Reading of an experiment from a TOML file, and of the paths in it."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from espressivo.errors import ConfigError
from espressivo.training import toml
from espressivo.training.config.checks import require_consistent
from espressivo.training.config.sections import LEFT_OUT, ExperimentConfig

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from espressivo.training.config.sections import AdaptationConfig, AugmentConfig

# `$NAME` or `${NAME}`, as in a shell.
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})")
_VARIABLES = {
    "ESPRESSIVO_DATA": "the folder that holds corpora/ and weights/ (docs/train.md)"
}


def read_config(
    path: Path,
    settings: Sequence[str] = (),
    corpora: Mapping[str, Path] | None = None,
) -> ExperimentConfig:
    """Read an experiment; relative paths in it start at the folder of the file.

    If the file or its folder is a symbolic link, that is the folder of the link.
    `$NAME` in the folder of a corpus and in `network.weights` is an environment
    variable; the recipes use `$ESPRESSIVO_DATA`.

    Args:
        path: Path of the TOML file.
        settings: Settings as `KEY=VALUE` that replace those of the file.
        corpora: Corpus name -> folder, which replaces that of the file; corpora that
            the file does not name are ignored.

    Raises:
        ConfigError: The file is absent, is no TOML, or has a wrong key or value, or a
            variable is not set.
    """
    table = toml.read_toml(path)
    for setting in settings:
        toml.override(table, setting)
    config = cast("ExperimentConfig", toml.build(ExperimentConfig, table, str(path)))
    require_consistent(config, path)
    roots = dict(corpora or {})
    for name, root in config.corpora.items():
        # A folder from the command line needs none of the file's variables.
        if name not in roots:
            remedy = f"--corpus {name}=DIR"
            text = _expand(str(root), path, f"corpora.{name}", remedy)
            roots[name] = _beside(path, text)
    remedy = "--set network.weights=FILE"
    weights = _expand(config.network.weights, path, "network.weights", remedy)
    # A value that is not a path on this machine is a name on the hub.
    if weights.startswith((".", "~")) or (weights and _beside(path, weights).exists()):
        weights = str(_beside(path, weights))
    return replace(
        config,
        corpora={name: roots[name] for name in config.corpora},
        adaptation=_with_target(config, path),
        augmentation=_with_noise(config, path),
        network=replace(config.network, weights=weights),
    )


def _with_target(config: ExperimentConfig, path: Path) -> AdaptationConfig:
    """Make the target's folder absolute, if it is one."""
    target, key = config.adaptation.target, "adaptation.target"
    if target in {"", LEFT_OUT, *config.corpora}:
        return config.adaptation
    text = _expand(target, path, key, f"--set {key}=DIR")
    return replace(config.adaptation, target=str(_beside(path, text)))


def _with_noise(config: ExperimentConfig, path: Path) -> AugmentConfig:
    """Make the folder of noise absolute, where something needs it."""
    augmentation = config.augmentation
    if not config.hears_noise:
        return augmentation
    key = "augmentation.noise_folder"
    text = _expand(augmentation.noise_folder, path, key, f"--set {key}=DIR")
    return replace(augmentation, noise_folder=str(_beside(path, text)))


def _beside(path: Path, text: str) -> Path:
    """Return the absolute path that a file's `text` means, beside the file as named.

    Links are not followed: `../corpora` in `link/recipe.toml` lies beside `link`, where
    the user sees the file, and not beside the folder that the link leads to.
    """
    folder = path.absolute().parent
    if ".." in (parts := folder.parts):
        # As typed, it means what it means to the system; links after it stay.
        n = len(parts) - parts[::-1].index("..")
        folder = Path(*parts[:n]).resolve().joinpath(*parts[n:])
    return Path(os.path.normpath(folder / Path(text).expanduser()))


def _expand(text: str, path: Path, key: str, remedy: str) -> str:
    """Replace an environment variable at the start of a path by its absolute value."""

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        # An empty variable would silently turn into the root folder.
        if not os.environ.get(name):
            hint = _VARIABLES.get(name, "the folder that is meant")
            raise ConfigError(
                f"{path}: '{key}' is '{text}', but the environment variable {name} is "
                f"not set; set it to {hint} (export {name}=DIR), or pass {remedy}"
            )
        return os.environ[name]

    # Only at the start: a run's own config.toml holds final paths, and `/a$b` is one.
    if (match := _VARIABLE.match(text)) is None:
        return text
    return str(Path(value(match)).expanduser().absolute()) + text[match.end() :]


def to_toml(config: ExperimentConfig) -> str:
    """Return an experiment as TOML, from which `read_config` reads an equal one."""
    return toml.to_toml(config)

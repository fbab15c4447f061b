"""The model card `model.json`: identity, origin and permitted use of a model."""

from __future__ import annotations

import json
import platform
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime as ort
import torch

from espressivo.errors import ExportError, TrainingError
from espressivo.training.corpora.licence import UNSTATED, find_licence
from espressivo.training.corpora.use import (
    Source,
    permitted_use,
    source_of_corpus,
    source_of_noise,
    to_terms,
    use_text,
)
from espressivo.training.export.folder import UNKNOWN_LICENCE
from espressivo.training.fit.order import MEANINGS
from espressivo.training.scores.temperature import read_temperature
from espressivo.types import SAMPLE_RATE, Dimension, Emotion
from espressivo.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from espressivo.training.config import ExperimentConfig
    from espressivo.training.networks import NetworkConfig

WINDOW_S = 8.0
SHORTEST_S = 0.5

# The files that the recipes name, by their SHA-256.
_WHISPERS = {
    "a1bc56d415b9a55fcb9caebfbf4b695e3de6e9ffc8d6a0283e60d39fa9cce294": "tiny.en",
    "02ca9e5ae4fcea9eef56bdcac8afda0f9be28cd0e629874c351b8df7b26af653": "base",
}
_APACHE = "Apache-2.0"
_ON_HUB = {
    "ntu-spml/distilhubert": {"name": "DistilHuBERT", "license": _APACHE},
    "facebook/hubert-base-ls960": {"name": "HuBERT base", "license": _APACHE},
    "facebook/wav2vec2-base": {"name": "wav2vec 2.0 base", "license": _APACHE},
}
_NO_WEIGHTS = {"name": "none: random initialization", "license": None}


def read_run(folder: Path) -> dict[str, Any]:
    """Read `run.json`: corpora, seeds and versions of a training run.

    Raises:
        ExportError: The file was not written by a run.
    """
    path = folder / "run.json"
    try:
        run = json.loads(path.read_text("utf-8"))
        # A student may have learned from unlabelled recordings alone.
        if isinstance(run["utterances"], dict) and (
            run["utterances"] or run["target"]["corpora"]
        ):
            return dict(run)
        found = "says nothing of what was trained on"
    except (ValueError, KeyError, TypeError):
        found = "is not what a run writes"
    raise ExportError(f"{path}: {found}; pass a folder that `espressivo train` wrote")


def choose_temperature(run: Path, given: float | None) -> dict[str, Any]:
    """Return the temperature that divides the logits, and how it was fitted.

    The order of precedence is `given`, then the run's `temperature.json`, else 1. The
    file may also hold `certainty`, a threshold on the probabilities at its temperature.

    Raises:
        ExportError: The file holds no temperature.
    """
    if given is not None:
        return {"temperature": given, "fitted": "given on the command line"}
    try:
        return read_temperature(run)
    except TrainingError as error:
        raise ExportError(str(error)) from error


def trained_corpora(
    run: dict[str, Any], stated: Mapping[str, str] | None = None
) -> list[dict[str, Any]]:
    """List the training corpora of a run, with licences and counts.

    Args:
        run: Its `run.json`.
        stated: `licences` of its configuration.
    """
    counts: Counter[str] = Counter()
    emotions: dict[str, dict[str, int]] = {}
    for key, n in run["utterances"].items():
        # From the right, since the name of a corpus may hold a slash.
        corpus, _, emotion = key.rpartition("/")
        counts[corpus] += n
        emotions.setdefault(corpus, {})[emotion] = n
    return [
        {
            "name": name,
            **_terms(source_of_corpus(name, stated or {})),
            "n_utterances": n,
            "emotions": emotions[name],
        }
        for name, n in sorted(counts.items())
    ]


def sources_of(
    config: ExperimentConfig,
    corpora: Iterable[str],
    run: Mapping[str, Any] | None = None,
) -> list[Source]:
    """Return what a model is made from: corpora, noise, starting weights.

    Args:
        config: Configuration of the run.
        corpora: Names of the corpora that it trains on, with labels or without.
        run: Its `run.json`, by which the weights are recognized; None before it.
    """
    names = sorted(set(corpora))
    sources = [source_of_corpus(name, config.licences) for name in names]
    if config.hears_noise:
        sources.append(source_of_noise(config.licences))
    starts = [starting_weights(config.network, run or {})]
    for teacher in (run or {}).get("teachers", ()):
        # A student learned what its teacher learned, and from whom.
        starts.append(teacher["starting_weights"])
        more = sorted(set(teacher["corpora"]) - set(names))
        sources += [source_of_corpus(name, config.licences) for name in more]
        names += more
    for start in starts:
        if start["license"] is None:
            continue
        known = start["license"] != UNKNOWN_LICENCE
        terms = find_licence(start["license"]) if known else UNSTATED
        if (source := Source(start["name"], terms)) not in sources:
            sources.append(source)
    return sources


def _terms(source: Source) -> dict[str, Any]:
    return {
        "title": source.title,
        "license": str(source.licence),
        "terms": to_terms(source.licence),
    }


def read_evaluations(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """Return evaluation results from `espressivo evaluate --out` folders or files.

    Raises:
        ExportError: A file is missing, or is no evaluation result.
    """
    results = []
    for given in paths:
        path = given / "scores.json" if given.is_dir() else given
        try:
            found = json.loads(path.read_text("utf-8"))
            # Read once more, so that a file without scores is an error here.
            results.append(dict(found) | {"scores": dict(found["scores"])})
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ExportError(
                f"{path}: is no evaluation; pass what `espressivo evaluate --out` wrote"
            ) from error
    return results


def build_card(
    config: ExperimentConfig,
    run: dict[str, Any],
    fitted: dict[str, Any],
    made_by: dict[str, Any],
    results: list[dict[str, Any]],
) -> dict[str, Any]:
    """Return all of `model.json` but its name, version and hash.

    Args:
        config: Configuration of the run.
        run: Its `run.json`.
        fitted: The temperature and how it was fitted, and `certainty` if the run has a
            threshold.
        made_by: Command, seed, precision and quantization.
        results: Scores that `espressivo evaluate` wrote.
    """
    calibration = dict(fitted)
    certainty = calibration.pop("certainty", None)
    corpora = trained_corpora(run, config.licences)
    target = run.get("target", {"corpora": ()})
    named = [corpus["name"] for corpus in corpora]
    sources = sources_of(config, [*named, *target["corpora"]], run)
    window_s = longest_s(config.network)
    fixed = config.network.padding == "fixed"
    noise = {}
    if config.hears_noise:
        noise = {"noise_recordings": _terms(source_of_noise(config.licences))}
    unlabelled = [
        {"name": name, **_terms(source_of_corpus(name, config.licences))}
        for name in target["corpora"]
    ]
    return {
        "emotions": [str(emotion) for emotion in Emotion],
        "sample_rate_hz": SAMPLE_RATE,
        "window_s": window_s,
        "min_s": SHORTEST_S,
        "temperature": fitted["temperature"],
        **({"certainty": certainty} if certainty else {}),
        "input": (
            f"samples: float32 [batch, time], mono, any level, {SHORTEST_S:g} to "
            f"{window_s:g} s" + (", cut or padded to that" if fixed else "")
        ),
        "output": "probabilities: float32 [batch, emotions], rows sum to 1",
        "allowed_use": use_text(sources),
        "use": permitted_use(sources),
        "training_corpora": corpora,
        **({"unlabelled_corpora": unlabelled} if unlabelled else {}),
        **noise,
        "starting_weights": starting_weights(config.network, run),
        **({"teachers": run["teachers"]} if "teachers" in run else {}),
        "calibration_of_probabilities": calibration,
        "results": results,
        "made_by": made_by
        | {
            "recipe": recipe_of(config),
            "run": {
                k: v
                for k, v in run.items()
                if k not in {"utterances", "name", "teachers"}
            },
            "versions": {
                "espressivo": __version__,
                "python": platform.python_version(),
                "torch": torch.__version__,
                "numpy": np.__version__,
                "onnx": onnx.__version__,
                "onnxruntime": ort.__version__,
            },
        },
    }


def describe_dimensions(config: ExperimentConfig) -> dict[str, dict[str, str]]:
    """Return the card's entry `dimensions`: from what each was learned.

    The order is that of the columns of the graph's output.
    """
    names = [Dimension(name) for name in config.network.dimensions]
    if config.classifier.fit == "gradient":
        return {name: {"source": "ratings"} for name in names}
    return {
        name: {
            "source": "order",
            "low": MEANINGS[name][0],
            "middle": str(Emotion.NEUTRAL),
            "high": MEANINGS[name][1],
            "meaning": (
                "expected level, 0 low, 0.5 middle, 1 high, if all levels are equally "
                "frequent; learned from the order of acted emotions, not from "
                "listeners' ratings"
            ),
        }
        for name in names
    }


def longest_s(network: NetworkConfig) -> float:
    """Return the longest window that a network processes uncut, in seconds.

    A network with fixed padding cuts off everything beyond its own window.
    """
    return min(network.window_s, WINDOW_S) if network.padding == "fixed" else WINDOW_S


def starting_weights(network: NetworkConfig, run: Mapping[str, Any]) -> dict[str, Any]:
    """Return the encoder's starting weights: name, licence, and hash where known."""
    if not network.weights:
        found: dict[str, str | None] = dict(_NO_WEIGHTS)
    elif network.kind in {"whisper", "whisper_stem"}:
        size = _WHISPERS.get(run.get("encoder_sha256", ""), _named(network.weights))
        found = {"name": f"OpenAI Whisper {size}, encoder", "license": "MIT"}
    else:
        # A folder may hold any weights: only its name is known.
        unknown = {"name": _named(network.weights), "license": UNKNOWN_LICENCE}
        found = dict(_ON_HUB.get(network.weights, unknown))
    return found | {"sha256": run.get("encoder_sha256")}


def _named(weights: str) -> str:
    """Return weights' name without this machine's folders; hub names are unchanged."""
    return Path(weights).name if Path(weights).is_absolute() else weights


def recipe_of(config: ExperimentConfig) -> dict[str, Any]:
    """Return the configuration as JSON values, without this machine's folders."""
    recipe = asdict(config)
    recipe["network"]["weights"] = _named(config.network.weights)
    noise = recipe["augmentation"]["noise_folder"]
    recipe["augmentation"]["noise_folder"] = _named(noise) if config.hears_noise else ""
    recipe["adaptation"]["target"] = _named(config.adaptation.target)
    recipe["corpora"] = sorted(config.corpora)
    return recipe

"""Checkpoints of the HuBERT family in the format of transformers.

Nothing is unpickled: weights come from safetensors, or from `pytorch_model.bin` read as
tensors only.
"""

import json
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from espressivo.errors import TrainingError
from espressivo.training.networks.tensors import require_tensors

Settings = dict[str, Any]

# hubert-base-ls960, wav2vec2-base and DistilHuBERT have these in common.
_BASE: Settings = {
    "feat_extract_norm": "group",
    "feat_extract_activation": "gelu",
    "conv_dim": [512] * 7,
    "conv_kernel": [10, 3, 3, 3, 3, 2, 2],
    "conv_stride": [5, 2, 2, 2, 2, 2, 2],
    "conv_bias": False,
    "num_conv_pos_embeddings": 128,
    "num_conv_pos_embedding_groups": 16,
    "do_stable_layer_norm": False,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "hidden_size": 768,
    "intermediate_size": 3072,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-5,
}
_KINDS: dict[str, Settings] = {
    "distilhubert": {
        "model_type": "hubert",
        **_BASE,
        "num_hidden_layers": 2,
        "feat_proj_layer_norm": False,
    },
    "hubert": {"model_type": "hubert", **_BASE, "feat_proj_layer_norm": True},
    # Wav2Vec2Config has no feat_proj_layer_norm: that norm is always there.
    "wav2vec2": {"model_type": "wav2vec2", **_BASE},
}
# What transformers takes where a `config.json` does not say.
_UNSAID: Settings = {**_BASE, "feat_proj_layer_norm": True}
# What makes a kind: a checkpoint that differs here is another network of any size.
_FIXED = {
    "model_type",
    "feat_extract_norm",
    "feat_extract_activation",
    "feat_proj_layer_norm",
    "do_stable_layer_norm",
    "hidden_act",
}
_FILES = ("model.safetensors", "pytorch_model.bin")
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_UNUSED = "masked_spec_embed"  # hides frames in pre-training; we never do


def kind_settings(kind: str) -> Settings:
    """Return the published settings of `distilhubert`, `hubert` or `wav2vec2`."""
    return dict(_KINDS[kind])


def read_settings(folder: Path, kind: str) -> Settings:
    """Read `config.json` of a checkpoint of this kind of network, of any size.

    Raises:
        TrainingError: The file is absent, not JSON, or of another network.
    """
    path = folder / "config.json"
    try:
        found = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise TrainingError(
            f"{path}: cannot be read; give a folder as transformers writes it"
        ) from error
    except ValueError as error:
        raise TrainingError(
            f"{path}: is no JSON; fetch the checkpoint again"
        ) from error
    return check_settings(found, kind, str(path))


def check_settings(found: Any, kind: str, where: str) -> Settings:
    """Return the settings that define a network of `kind`; others are left out.

    Raises:
        TrainingError: The settings belong to another network.
    """
    if not isinstance(found, Mapping):
        raise TrainingError(f"{where}: is no object of settings; fetch it again")
    wanted = _KINDS[kind]
    settings = {key: found.get(key, _UNSAID.get(key)) for key in wanted}
    for key, value in settings.items():
        if not isinstance(value, type(wanted[key])):
            raise TrainingError(
                f"{where}: {key} is {value!r}, no {type(wanted[key]).__name__}; "
                "fetch the checkpoint again"
            )
    fixed = {key: wanted[key] for key in wanted if key in _FIXED}
    # Two blocks are what makes it DistilHuBERT; other kinds may have any number.
    if kind == "distilhubert":
        fixed["num_hidden_layers"] = 2
    for key, value in fixed.items():
        if settings[key] != value:
            raise TrainingError(
                f"{where}: {key} is {settings[key]!r}, not {value!r}: a checkpoint of "
                f"another network than {kind}"
            )
    return settings


def build_encoder(settings: Settings, dropout: float) -> nn.Module:
    """Return an encoder of transformers with these settings and random weights.

    Raises:
        TrainingError: transformers is not installed, or the settings are invalid.
    """
    try:
        import transformers  # noqa: PLC0415 - slow, and only these kinds need it
    except ImportError as error:
        raise TrainingError(
            "transformers is not installed; install espressivo[train]"
        ) from error
    names = {"hubert": "Hubert", "wav2vec2": "Wav2Vec2"}
    name = names[settings["model_type"]]
    try:
        config = getattr(transformers, f"{name}Config")(
            **{key: value for key, value in settings.items() if key != "model_type"},
            # HubertNetwork calls the parts one by one, so what transformers does
            # between them (LayerDrop, masking of frames) would have no effect.
            hidden_dropout=dropout,
            attention_dropout=dropout,
            activation_dropout=dropout,
            feat_proj_dropout=0.0,
            layerdrop=0.0,
            apply_spec_augment=False,
            attn_implementation="sdpa",
        )
        encoder: nn.Module = getattr(transformers, f"{name}Model")(config)
    except (TypeError, ValueError, KeyError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise TrainingError(f"no encoder has such settings: {reason}") from error
    for key, parameter in encoder.named_parameters():
        if key == _UNUSED:
            parameter.requires_grad = False
    return encoder


def load_encoder_weights(
    encoder: nn.Module, kind: str, settings: Settings, source: str
) -> None:
    """Copy weights from a folder, or from the hub, into an encoder of these settings.

    Heads, and blocks above those of `encoder`, are left out.

    Raises:
        TrainingError: The weights are absent, incomplete, or of another network.
    """
    folder = _find(source)
    found = read_settings(folder, kind)
    for key, value in settings.items():
        if found[key] != value:
            raise TrainingError(
                f"{source}: {key} is {found[key]!r}, not {value!r}: a checkpoint of "
                "another network"
            )
    stored = _named(_read_tensors(folder), settings["model_type"])
    wanted = encoder.state_dict()
    # A checkpoint may lack it: nothing reads it.
    stored.setdefault(_UNUSED, wanted.get(_UNUSED, torch.zeros(0)))
    require_tensors(stored, wanted, source, ": a checkpoint of another network")
    encoder.load_state_dict({name: stored[name].float() for name in wanted})


def _find(source: str) -> Path:
    """Return the folder of `source`, which is downloaded if it is a name on the hub."""
    if Path(source).is_dir():
        return Path(source)
    if not _HUB_NAME.fullmatch(source):
        raise TrainingError(
            f"{source}: no such folder; give one as transformers writes it, or a name "
            "on the hub such as ntu-spml/distilhubert"
        )
    from huggingface_hub import hf_hub_download  # noqa: PLC0415 - only for the hub
    from huggingface_hub.errors import EntryNotFoundError  # noqa: PLC0415

    try:
        config = Path(hf_hub_download(source, "config.json"))
        try:
            hf_hub_download(source, _FILES[0])
        except (EntryNotFoundError, OSError):
            hf_hub_download(source, _FILES[1])  # ntu-spml/distilhubert has no other
    except (EntryNotFoundError, OSError, ValueError) as error:
        raise TrainingError(
            f"{source}: neither a folder here nor to be had from the hub; check the "
            "name and the connection, or give a folder as transformers writes it"
        ) from error
    return config.parent


def _read_tensors(folder: Path) -> dict[str, Tensor]:
    path = next((folder / n for n in _FILES if (folder / n).is_file()), None)
    if path is None:
        raise TrainingError(f"{folder}: holds neither {' nor '.join(_FILES)}")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        # A pickle can run any code when it is loaded; weights_only refuses that.
        stored = torch.load(path, map_location="cpu", weights_only=True)
        return {k: v for k, v in stored.items() if isinstance(v, Tensor)}
    except (
        SafetensorError,
        pickle.UnpicklingError,
        RuntimeError,
        OSError,
        EOFError,
        AttributeError,
    ) as error:
        raise TrainingError(
            f"{path}: holds no tensors that can be read; fetch the checkpoint again"
        ) from error


def _named(stored: dict[str, Tensor], model_type: str) -> dict[str, Tensor]:
    """Return the encoder's tensors under the names of current transformers."""
    prefix = f"{model_type}."
    # Checkpoints with a head, such as those for CTC, put the encoder under a prefix.
    if any(name.startswith(prefix) for name in stored):
        stored = {
            name.removeprefix(prefix): tensor
            for name, tensor in stored.items()
            if name.startswith(prefix)
        }
    # torch's weight norm became a parametrization, which renamed its two tensors.
    renamed = {
        "conv.weight_g": "conv.parametrizations.weight.original0",
        "conv.weight_v": "conv.parametrizations.weight.original1",
    }
    position = "encoder.pos_conv_embed."
    for old, new in renamed.items():
        if position + old in stored:
            stored[position + new] = stored.pop(position + old)
    return stored

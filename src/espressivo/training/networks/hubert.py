"""DistilHuBERT, HuBERT and wav2vec 2.0 with a classifier, and masks for padding."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from espressivo.errors import ConfigError
from espressivo.training.networks.checkpoint import (
    Settings,
    build_encoder,
    check_settings,
    kind_settings,
    load_encoder_weights,
    read_settings,
)
from espressivo.training.networks.config import (
    NetworkConfig,
    require_choice,
    require_states,
)
from espressivo.training.networks.heads import (
    AttentivePooling,
    LayerAverage,
    MeanPooling,
    PepinoPooling,
    StateAverage,
    StatisticsPooling,
    SuperbPooling,
)
from espressivo.training.networks.hubert_layers import (
    PRUNED,
    cut_blocks,
    pruned_counts,
)
from espressivo.training.networks.logmel import valid_mask
from espressivo.training.networks.network import EmotionNetwork, Frames, Standardize
from espressivo.types import SAMPLE_RATE

_Pooling = (
    MeanPooling | StatisticsPooling | AttentivePooling | SuperbPooling | PepinoPooling
)
_POOLINGS: dict[str, Callable[[int], _Pooling]] = {
    "mean": MeanPooling,
    "statistics": StatisticsPooling,
    "attentive": AttentivePooling,
    "superb": SuperbPooling,
}


class HubertNetwork(EmotionNetwork):
    """Convolutions over samples, transformer, average of states, pooling, linear layer.

    The front returns samples if nothing is frozen, convolutional features (50 frames/s)
    if the convolutions are, and hidden states if the whole encoder is. State 0 is the
    projected features with their positions, as in transformers.

    With `valid` padding each clip passes the convolutions on its own, because their
    first layer normalizes over time; the later layers mask the padding. That layer also
    removes level and offset, so that samples need no normalization before it. Only
    Pepino's head standardizes its input, each state dimension by mean and deviation of
    the training recordings.
    """

    def __init__(
        self, config: NetworkConfig, settings: Mapping[str, Any] | None = None
    ) -> None:
        found = _settings(config, settings)
        n_layers = config.n_layers or found["num_hidden_layers"]
        states = _require(config, n_layers, found["num_hidden_layers"])
        pepino = config.head == "pepino"
        width: int = found["hidden_size"]
        pooling = (
            PepinoPooling(width, config.dropout)
            if pepino
            else _POOLINGS[config.head](width)
        )
        super().__init__(config, pooling.width)
        if pepino:
            self.dropout = nn.Dropout(0.0)  # Pepino's head has its own
        self.encoder_settings = found
        self.states = states
        whole = {key: value for key, value in found.items() if key not in PRUNED}
        self.encoder = build_encoder(
            {**whole, "num_hidden_layers": n_layers}, config.encoder_dropout
        )
        if counts := pruned_counts(found):
            cut_blocks(self.encoder, counts)
        self.activations = Standardize(len(states), width) if pepino else None
        self.average = _average(config, len(states))
        self.pooling: _Pooling = pooling
        self._freeze()

    def front(self, samples: Tensor, lengths: Tensor | None = None) -> Frames:
        """Return samples [B, N], features [B, T, 512], or states [B, T, S, width]."""
        frames = self._heard(samples, lengths)
        if self.config.frozen == "nothing":
            return frames
        frames = self._convolve(frames)
        if self.config.frozen == "convolutions":
            return frames
        values, mask = self._transform(frames)
        if mask is not None:
            # Attention fills padding frames too, but `Frames` promises zeros there.
            values = values * mask[..., None, None]
        return Frames(values, frames.counts)

    def pooled(self, frames: Frames) -> Tensor:
        """Return the averaged states, pooled over frames [B, width]."""
        states, mask = self.hidden_states(frames)
        if self.activations is not None:
            states = self.activations(states)
        chosen = states.unbind(2)
        average = chosen[0] if self.average is None else self.average(chosen)
        pooled: Tensor = self.pooling(average, mask)
        return pooled

    def hidden_states(self, frames: Frames) -> tuple[Tensor, Tensor | None]:
        """Return the S states that are averaged [B, T, S, width], and a mask [B, T]."""
        # Features from the cache are float16.
        frames = Frames(frames.values.float(), frames.counts)
        if self.config.frozen == "all":
            return frames.values, _mask(frames)
        if self.config.frozen == "nothing":
            frames = self._convolve(frames)
        states, mask = self._transform(frames)
        return states.float(), mask

    def front_state(self) -> Mapping[str, Tensor]:
        """Return the frozen weights: none, of the convolutions, or of the encoder."""
        if self.config.frozen == "nothing":
            return {}
        state = self.encoder.state_dict()
        if self.config.frozen == "all":
            return state
        return {k: v for k, v in state.items() if k.startswith("feature_extractor.")}

    def blocks(self) -> list[list[nn.Parameter]]:
        """Return the trained parameters in order.

        The order is: convolutions, feature projection with positions, transformer
        blocks. Frozen parameters are left out.
        """
        modules = [[self._convolutions], self._entry(), *([b] for b in self._layers)]
        layers = [[p for m in ms for p in m.parameters()] for ms in modules]
        trained = [[p for p in layer if p.requires_grad] for layer in layers]
        return [layer for layer in trained if layer]

    @torch.no_grad()
    def fit(self, batches: Iterable[Frames]) -> None:
        """Set the standardization of Pepino's head from all frames of the encoder."""
        if self.activations is not None:
            self.activations.fit_all(self._rows(batches))

    @property
    def _convolutions(self) -> nn.Module:
        return self.encoder.get_submodule("feature_extractor.conv_layers")

    @property
    def _layers(self) -> nn.ModuleList:
        return cast("nn.ModuleList", self.encoder.get_submodule("encoder.layers"))

    def _entry(self) -> list[nn.Module]:
        names = ("feature_projection", "encoder.pos_conv_embed", "encoder.layer_norm")
        return [self.encoder.get_submodule(name) for name in names]

    def _heard(self, samples: Tensor, lengths: Tensor | None) -> Frames:
        if lengths is not None:
            lengths = lengths.to(samples.device)
            samples = samples * valid_mask(lengths, samples.shape[1])
        if self.config.padding == "valid":
            return Frames(samples, lengths)
        n_samples = round(self.config.window_s * SAMPLE_RATE)
        return Frames(functional.pad(samples, (0, n_samples - samples.shape[1])), None)

    def _convolve(self, frames: Frames) -> Frames:
        """Map samples [B, N] to features [B, T, 512]."""
        samples, lengths = frames
        if lengths is None:
            return Frames(self._features(samples), None)
        # One by one: the first group norm would average over the padding too.
        rows = [
            self._features(row[None, :length])[0]
            for row, length in zip(samples, lengths.tolist(), strict=True)
        ]
        counts = torch.tensor([len(row) for row in rows], device=samples.device)
        return Frames(pad_sequence(rows, batch_first=True), counts)

    def _features(self, samples: Tensor) -> Tensor:
        x = samples.unsqueeze(1)
        for layer in self._convolutions.children():
            x = layer(x)
        return x.transpose(1, 2)

    def _transform(self, frames: Frames) -> tuple[Tensor, Tensor | None]:
        """Map features [B, T, 512] to states [B, T, S, width] and their mask [B, T]."""
        project, positions, norm = self._entry()
        mask = _mask(frames)
        x = _tensor(project(frames.values))
        bias = None
        if mask is not None:
            # The projection has a bias, so padding is not zero behind it; the
            # positional convolution would carry it 64 frames into the clip.
            x = x * mask.unsqueeze(-1)
            bias = torch.zeros_like(mask).masked_fill(mask == 0, -math.inf)
            bias = bias[:, None, None]  # [B, 1, 1, T]
        x = self.encoder.get_submodule("encoder.dropout")(norm(x + positions(x)))
        states = [x]
        for layer in self._layers[: max(self.states)]:
            states.append(_tensor(layer(states[-1], attention_mask=bias)))
        return torch.stack([states[i].float() for i in self.states], 2), mask

    def _rows(self, batches: Iterable[Frames]) -> Iterator[Tensor]:
        for frames in batches:
            states, mask = self.hidden_states(frames)
            yield states.flatten(0, 1) if mask is None else states[mask.bool()]

    def _freeze(self) -> None:
        frozen: list[nn.Module] = []
        if self.config.frozen == "all":
            frozen = [self.encoder]
        elif self.config.frozen == "convolutions":
            frozen = [self._convolutions]
        if self.config.n_frozen:
            frozen += [*self._entry(), *self._layers[: self.config.n_frozen]]
            # This dropout has no parameters by which `train` could see that it is
            # frozen.
            self.encoder.get_submodule("encoder").dropout = nn.Identity()
        # They get no gradient, so they must not count as trained either.
        unused = self._layers[max(self.states) :]
        for module in [*frozen, *unused]:
            module.requires_grad_(False)


def load_weights(network: HubertNetwork, weights: str) -> None:
    """Copy weights from a folder in the format of transformers, or from the hub.

    Raises:
        TrainingError: The weights are absent, incomplete, or of another network.
    """
    settings = dict(network.encoder_settings)
    load_encoder_weights(network.encoder, network.config.kind, settings, weights)


def layers(network: HubertNetwork) -> dict[str, nn.Module]:
    """Return the modules that the parity check compares with values of the graph."""

    def part(name: str) -> nn.Module:
        return network.encoder.get_submodule(name)

    convolutions = part("feature_extractor.conv_layers").children()
    features = {f"conv.{i}.gelu": layer for i, layer in enumerate(convolutions)}
    entry = {
        "projection": part("feature_projection"),
        "positions.gelu": part("encoder.pos_conv_embed"),
        "hidden.0": part("encoder.layer_norm"),
    }
    blocks = part("encoder.layers").children()
    states = {f"hidden.{i}": block for i, block in enumerate(blocks, 1)}
    return features | entry | states | {"embedding": network.pooling}


def _settings(config: NetworkConfig, settings: Mapping[str, Any] | None) -> Settings:
    """Return encoder settings: the given, those of the weights, or the published."""
    # Given settings come first: the weights may be gone when a run is exported.
    if settings is not None:
        whole = check_settings(settings, config.kind, "encoder settings")
        return whole | {key: settings[key] for key in PRUNED if key in settings}
    folder = Path(config.weights)
    if config.weights and folder.is_dir():
        return read_settings(folder, config.kind)
    return kind_settings(config.kind)


def _average(config: NetworkConfig, n: int) -> LayerAverage | StateAverage | None:
    weights = config.state_weights or (1.0,) * n
    if config.head == "pepino":
        return StateAverage(weights)
    return LayerAverage(weights) if n > 1 else None


def _mask(frames: Frames) -> Tensor | None:
    if frames.counts is None:
        return None
    return valid_mask(frames.counts, frames.values.shape[1])


def _tensor(output: Any) -> Tensor:
    """Return the hidden states; some versions return a tuple."""
    found: Tensor = output if isinstance(output, Tensor) else output[0]
    return found


def _require(config: NetworkConfig, n_layers: int, n_found: int) -> tuple[int, ...]:
    """Return the states to average; raise an error for unsupported settings."""
    if not 1 <= n_layers <= n_found:
        raise ConfigError(f"network.n_layers is {n_layers}, not 1 to {n_found}")
    if config.n_frozen and config.frozen != "convolutions":
        raise ConfigError(
            f"network.n_frozen is {config.n_frozen} with frozen = '{config.frozen}'; "
            "set frozen = 'convolutions', or leave n_frozen out"
        )
    if not 0 <= config.n_frozen <= n_layers:
        raise ConfigError(f"network.n_frozen is {config.n_frozen}, not 0 to {n_layers}")
    if config.padding == "fixed" and config.window_s < 0.2:
        raise ConfigError(f"network.window_s is {config.window_s}, not at least 0.2")
    require_choice(config, "head", (*_POOLINGS, "pepino"))
    require_choice(config, "join", ("average",))
    require_choice(config, "width", (0,))
    return require_states(config, n_layers)

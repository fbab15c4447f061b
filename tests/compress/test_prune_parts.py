"""Pruned networks, their graphs, and what decides which units are removed."""

from __future__ import annotations

import copy

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("onnx", reason="needs the extra 'train'")

import torch

from espressivo.errors import ConfigError, TrainingError
from espressivo.training.compress.prune import importance as importance_of
from espressivo.training.compress.prune.importance import (
    measure_importance,
    measure_scale,
    scaled_outputs,
)
from espressivo.training.compress.prune.layers import (
    count_kept,
    keep_everything,
    prunable_parts,
)
from espressivo.training.compress.prune.selection import choose_kept, without
from espressivo.training.export.graph.to_onnx import to_onnx
from espressivo.training.networks import NetworkConfig, build_network
from espressivo.training.networks.checkpoint import kind_settings
from tests.training.networks_to_export import logits_of, shake, wanted_logits

SMALL_HUBERT = {
    "conv_dim": [16] * 7,
    "hidden_size": 24,
    "intermediate_size": 32,
    "num_attention_heads": 4,
    "num_conv_pos_embedding_groups": 4,
    "num_hidden_layers": 4,
}
SERNET = NetworkConfig(kind="light_sernet", padding="fixed", window_s=3.0)
# All heads, one, none; all neurons, some, none; a block with neither.
WHISPER_COUNTS = {"heads": [1, 0, 2, 0], "neurons": [100, 7, 0, 0]}
HUBERT_COUNTS = {"heads": [1, 0, 4, 0], "neurons": [5, 32, 0, 0]}
SHIPPED = NetworkConfig(
    n_layers=4, frozen="all", join="concatenate", head="mean", states=(1, 2, 4)
)
WHISPER = {"width": 128, "n_blocks": 4}


def hubert_settings(kind):
    return {**kind_settings(kind), **SMALL_HUBERT}


@pytest.mark.parametrize(
    ("config", "settings"),
    [
        (NetworkConfig(), WHISPER | WHISPER_COUNTS),
        (SHIPPED, WHISPER | WHISPER_COUNTS),
        (NetworkConfig(kind="hubert"), hubert_settings("hubert") | HUBERT_COUNTS),
        (NetworkConfig(kind="wav2vec2"), hubert_settings("wav2vec2") | HUBERT_COUNTS),
        (SERNET, {"channels": [3, 1, 32, 20, 96, 5, 160]}),
    ],
)
def test_the_graph_of_a_pruned_network_computes_what_torch_does(config, settings, note):
    network = shake(build_network(config, settings))
    samples = np.stack([note[:24_000], note[30_000:54_000]])

    found = logits_of(to_onnx(network), samples)

    np.testing.assert_allclose(found, wanted_logits(network, samples), atol=1e-5)
    # What the run's encoder.json holds builds the same network again.
    again = build_network(config, network.encoder_settings)
    again.load_state_dict(network.state_dict())


def test_a_network_that_is_not_pruned_has_the_settings_it_had():
    settings = build_network(NetworkConfig(n_layers=1), WHISPER).encoder_settings
    assert settings == {"width": 128, "n_blocks": 1}
    assert build_network(SERNET).encoder_settings == {}
    assert (
        "heads"
        not in build_network(
            NetworkConfig(kind="hubert"), hubert_settings("hubert")
        ).encoder_settings
    )


@pytest.mark.parametrize(
    ("config", "settings"),
    [
        (NetworkConfig(), WHISPER | {"heads": [3, 0, 0, 0]}),
        (NetworkConfig(), WHISPER | {"neurons": [1]}),
        (NetworkConfig(), WHISPER | {"heads": ["many"] * 4}),
        (NetworkConfig(kind="hubert"), hubert_settings("hubert") | {"heads": [1] * 4}),
        (
            NetworkConfig(kind="hubert"),
            hubert_settings("hubert") | HUBERT_COUNTS | {"neurons": [33] * 4},
        ),
        (SERNET, {"channels": [0, 1, 32, 20, 96, 5, 160]}),
        (SERNET, {"channels": [1]}),
        (SERNET, {"width": 128}),
    ],
)
def test_settings_of_no_such_network_are_refused(config, settings):
    with pytest.raises(TrainingError):
        build_network(config, settings)


def test_a_narrower_whisper_without_weights_can_be_built():
    config = NetworkConfig(width=128, n_layers=5)
    network = build_network(config)
    assert network.encoder_settings == {"width": 128, "n_blocks": 5}
    for wrong, settings in ((100, None), (192, WHISPER)):
        with pytest.raises(ConfigError, match=f"network.width is {wrong}, not"):
            build_network(NetworkConfig(width=wrong), settings)


@pytest.fixture(scope="module")
def frames(note):
    """Mel frames of four recordings, which are the front of a network not frozen."""
    network = build_network(NetworkConfig(n_layers=1), WHISPER)
    samples = torch.tensor(note[: 4 * 16_000].reshape(4, -1))
    with torch.no_grad():
        return [network.front(samples, torch.tensor([16_000, 12_000, 8_000, 16_000]))]


def test_importance_is_the_distance_that_a_slightly_closed_gate_moves(
    frames, monkeypatch
):
    network = shake(build_network(NetworkConfig(n_layers=2), WHISPER))
    parts, scale = prunable_parts(network), measure_scale(network, frames)
    monkeypatch.setattr(importance_of, "N_PROBES", 400)

    found = measure_importance(network, parts, frames, scale, 0)["blocks.1.heads"]

    step, wanted = 1e-2, []
    with torch.no_grad():
        before = scaled_outputs(network, frames[0], scale)
        for head in range(2):
            closed = copy.deepcopy(network)
            out = closed.encoder.blocks[1].attn.out.weight
            out[:, 64 * head : 64 * (head + 1)] *= 1 - step
            moved = scaled_outputs(closed, frames[0], scale) - before
            wanted.append(float(moved.square().sum(1).mean()) / step**2)
    np.testing.assert_allclose(found, wanted, rtol=0.25)


def test_what_changes_nothing_goes_first(frames):
    # Block 3 lies above the highest state in use; of block 1 some units are 0.
    config = NetworkConfig(n_layers=3, states=(0, 1, 2))
    network = shake(build_network(config, WHISPER | {"n_blocks": 3}))
    with torch.no_grad():
        network.encoder.blocks[0].mlp[2].weight[:, 10:200] = 0
        network.encoder.blocks[1].attn.out.weight[:, :64] = 0
    parts, scale = prunable_parts(network), measure_scale(network, frames)
    importance = measure_importance(network, parts, frames, scale, 0)
    whole = count_kept(network, parts, keep_everything(parts))
    # The last block, a head with the biases of its rows, and 190 neurons.
    rest = whole // 3 + 4 * 64 * 128 + 2 * 64 + 190 * (2 * 128 + 1)

    kept = choose_kept(network, parts, importance, whole - rest)

    assert not kept["blocks.2.heads"].any()
    assert not kept["blocks.2.neurons"].any()
    assert kept["blocks.1.heads"].tolist() == [False, True]
    assert np.flatnonzero(~kept["blocks.0.neurons"]).tolist() == list(range(10, 200))
    assert kept["blocks.0.heads"].all()
    assert kept["blocks.1.neurons"].all()
    # All that was removed changed nothing.
    with torch.no_grad():
        found = without(network, parts, kept).logits(frames[0])
        np.testing.assert_allclose(found, network.logits(frames[0]), atol=1e-5)


def test_counted_parameters_are_those_of_the_pruned_network(note):
    network = shake(build_network(SERNET))
    samples = torch.tensor(note[: 2 * 48_000].reshape(2, -1))
    with torch.no_grad():
        batches = [network.front(samples)]
    parts, scale = prunable_parts(network), measure_scale(network, batches)
    importance = measure_importance(network, parts, batches, scale, 0)

    kept = choose_kept(network, parts, importance, 30_000)

    pruned = without(network, parts, kept)
    convolutions = [*pruned.paths.parameters(), *pruned.body.parameters()]
    n_left = sum(parameter.numel() for parameter in convolutions)
    assert count_kept(network, parts, kept) == n_left
    assert 28_000 < n_left <= 30_000

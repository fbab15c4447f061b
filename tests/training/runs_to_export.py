"""A small network and its run folder, for tests of the export."""

import json

import torch
from safetensors.torch import save_file

from espressivo.training.config import ExperimentConfig, to_toml
from espressivo.training.networks import NetworkConfig, build_network
from espressivo.types import Emotion
from tests.recordings import encode

TEMPERATURE = 1.7


def make_network(**settings):
    torch.manual_seed(0)
    config = NetworkConfig(**({"n_layers": 1, "head": "statistics"} | settings))
    network = build_network(config)
    with torch.no_grad():
        # Parameters differ from their initial values, so that an omitted part shows.
        if network.average is not None:
            network.average.scores.normal_()
        network.standardize.mean.normal_()
        network.standardize.scale.uniform_(0.5, 2.0)
        for parameter in network.pooling.parameters():
            parameter.normal_(std=0.3)
    return network.eval()


def by_torch(network, samples):
    with torch.inference_mode():
        return (network(torch.tensor(samples)) / TEMPERATURE).softmax(-1).numpy()


def write_corpus(folder, note):
    """Write 16 clips of two speakers; return the path of their manifest."""
    lines = ["path,emotion,speaker"]
    for n in range(16):
        start = 10_000 + 20_000 * n
        encode(folder / f"{n}.wav", note[start : start + 12_000 + 900 * n])
        lines.append(f"{n}.wav,{list(Emotion)[n % 4]},{n % 2}")
    (folder / "mine.csv").write_text("\n".join(lines))
    return folder / "mine.csv"


def write_run(folder, network, corpus):
    """Write the run folder of a network from `make_network`, as training writes it."""
    config = ExperimentConfig(
        name="small",
        corpora={"manifest": corpus},
        network=NetworkConfig(
            n_layers=1, head="statistics", weights=str(folder / "encoder.safetensors")
        ),
    )
    (folder / "config.toml").write_text(to_toml(config))
    counts = {f"mine/{emotion}": 4 for emotion in Emotion}
    described = {"name": "small", "utterances": counts, "encoder_sha256": "f" * 64}
    (folder / "run.json").write_text(json.dumps(described))
    (folder / "temperature.json").write_text('{"temperature": 1.7, "ece_after": 0.05}')
    save_file(network.state_dict(), folder / "model.safetensors")
    return folder

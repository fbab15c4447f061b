"""A corpus of tones, its clips, and a small network whose encoder is frozen."""

from dataclasses import replace

import pytest


@pytest.fixture(scope="module")
def utterances(tmp_path_factory):
    from tests.training.experiments import small_corpus

    return small_corpus(tmp_path_factory.mktemp("clips"))


@pytest.fixture(scope="module")
def clips(utterances):
    from espressivo.training.clips.load import load_clips
    from espressivo.training.config import SignalConfig

    return load_clips(utterances, SignalConfig())[0]


@pytest.fixture
def config():
    from espressivo.training.config import SignalConfig
    from tests.training.experiments import small_config

    network = replace(small_config().network, frozen="all")
    return replace(small_config(), signal=SignalConfig(), network=network)


@pytest.fixture
def network(config):
    import torch

    from espressivo.training.networks import build_network

    torch.manual_seed(0)
    return build_network(config.network).eval()

"""The registry of networks: every entry resolves, names are not taken twice."""

import subprocess
import sys

import pytest

from espressivo.errors import ConfigError, CorpusError
from espressivo.training.corpora import CORPORA, register_corpus
from espressivo.training.corpora.ravdess import RAVDESS
from espressivo.training.networks import NETWORKS, NetworkEntry, register_network
from espressivo.training.networks.registry import resolve


def test_the_registry_imports_no_torch():
    code = (
        "import sys; from espressivo.training.networks import NETWORKS; "
        "assert NETWORKS; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("kind", NETWORKS)
def test_what_an_entry_names_exists(kind):
    pytest.importorskip("torch", reason="needs the extra 'train'")
    pytest.importorskip("onnx", reason="needs the extra 'train'")
    entry = NETWORKS[kind]
    named = [entry.build, entry.emit, entry.layers, entry.load_weights]
    for reference in filter(None, named):
        assert callable(resolve(reference))


def test_a_name_is_not_taken_twice():
    with pytest.raises(ConfigError, match="'whisper' exists already"):
        register_network("whisper", NetworkEntry(build="mine:Network"))
    register_network("whisper", NETWORKS["whisper"])
    register_corpus(RAVDESS)
    assert CORPORA["ravdess"] is RAVDESS


def test_a_corpus_is_not_called_manifest():
    from dataclasses import replace

    with pytest.raises(CorpusError, match="'manifest' exists already"):
        register_corpus(replace(RAVDESS, name="manifest"))

"""Folders with the files that the pages of the documentation speak of."""

from __future__ import annotations

import shutil
import wave

import av
import numpy as np
import pytest

from tests.conftest import ROOT
from tests.recordings import encode

FILES = (
    *("note.wav", "note.ogg", "note.m4a", "monday.m4a", "tuesday.m4a"),
    *("call.wav", "calls/1.wav", "calls/2.wav", "1.wav", "2.wav", "3.wav"),
    *("interview.wav", "interview.mp4", "notes/monday.m4a", "notes/2025-11/a/1.ogg"),
)


@pytest.fixture(scope="session")
def files(tmp_path_factory, note):
    """A folder with the files that the pages speak of; to be copied."""
    folder = tmp_path_factory.mktemp("files")
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        channels = 2 if name == "call.wav" else 1
        encode(folder / name, note[:80_000], channels=channels)
    with wave.open(str(folder / "note.wav")) as file:
        pcm = file.readframes(file.getnframes())
    (folder / "call.pcm").write_bytes(pcm)
    row = "1,calls/1.wav,hotline,ann\n2,calls/2.wav,hotline,bob\n"
    (folder / "calls.csv").write_text("id,path,group,speaker\n" + row)
    encode_raw(folder / "call.g722", note[:80_000], "g722", "g722", 16_000)
    encode_raw(folder / "call.raw", note[:80_000:2], "pcm_mulaw", "mulaw", 8_000)
    for name in (
        "node_modules/espressivo/lib/models",
        "node_modules/espressivo/lib/assets",
        "public",
    ):
        (folder / name).mkdir(parents=True)
    return folder


def encode_raw(path, signal, codec, container, rate):
    with av.open(str(path), "w", format=container) as file:
        stream = file.add_stream(codec, rate=rate, layout="mono")
        samples = np.int16(signal * 32_767)[None]
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate = rate
        for packets in (stream.encode(frame), stream.encode(None)):
            file.mux(packets)


@pytest.fixture(scope="session")
def results(tmp_path_factory):
    """Results of cross-validation for docs/tables.md."""
    pytest.importorskip("pyarrow", reason="needs the extra 'train'")
    from tests.training.synthetic_results import crossval_rows, write_crossval

    folder = tmp_path_factory.mktemp("results")
    for seed, name in enumerate(("light-sernet", "whisper")):
        rows = crossval_rows(n_folds=2, seeds=(0,), prediction_seed=seed)
        write_crossval(folder / "runs" / name, rows)
    return folder


@pytest.fixture
def folder(tmp_path, monkeypatch, files):
    """A folder of its own with these files."""
    shutil.copytree(files, tmp_path, dirs_exist_ok=True)
    for name in ("examples", "recipes"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ESPRESSIVO_PROFILES", str(tmp_path / "profiles"))
    monkeypatch.syspath_prepend(ROOT)
    return tmp_path

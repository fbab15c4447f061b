"""Model folders that somebody made to do harm."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from threading import Event, Thread

import numpy as np
import pytest

from espressivo.errors import ModelError
from espressivo.model.classifier import load_classifier, read_card
from espressivo.model.find import DEFAULT, find_model
from tests.odd_graphs import constant_graph, external_weight, foreign_graph


@pytest.fixture
def folder(tmp_path):
    """A copy of the bundled model, without what it knows of voices."""
    copy = shutil.copytree(find_model(DEFAULT), tmp_path / "model")
    edit(copy, adaptation=None, dimensions=None)
    return copy


def edit(folder, **changes):
    path = folder / "model.json"
    card = json.loads(path.read_text("utf-8")) | changes
    path.write_text(json.dumps(card), "utf-8")


def put(folder, graph):
    """Exchange the graph, with its hash in the card."""
    (folder / "model.onnx").write_bytes(graph)
    edit(folder, sha256=hashlib.sha256(graph).hexdigest())


def refused(folder):
    """Return the one short line with which a folder is refused."""
    with pytest.raises(ModelError) as caught:
        load_classifier(folder)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 600 + len(str(folder))
    return message


@pytest.mark.skipif(os.name != "posix", reason="needs named pipes and /dev")
@pytest.mark.parametrize("name", ["model.json", "model.onnx"])
@pytest.mark.parametrize("to", ["/dev/zero", "pipe"])
def test_a_link_to_what_never_ends_is_refused_without_waiting(folder, name, to):
    (folder / name).unlink()
    if to == "pipe":
        os.mkfifo(folder / name)
    else:
        (folder / name).symlink_to(to)

    assert "is a pipe or a device, not a file" in refused(folder)


def test_links_to_files_are_followed_and_their_content_is_compared(folder, tmp_path):
    # As in the cache of a hub, whose folders hold links to files named by their hash.
    for name in ("model.json", "model.onnx"):
        (folder / name).rename(tmp_path / name)
        (folder / name).symlink_to(tmp_path / name)
    load_classifier(folder)

    (tmp_path / "secret").write_text("of somebody else")
    (folder / "model.onnx").unlink()
    (folder / "model.onnx").symlink_to(tmp_path / "secret")
    assert "of somebody else" not in (message := refused(folder))
    assert "was altered or cut off" in message


@pytest.mark.parametrize(
    "location", ["weights.bin", "../weights.bin", "/etc/hostname", "model.json"]
)
@pytest.mark.parametrize("n", [1, 1000])
def test_weights_of_other_files_are_not_read(folder, monkeypatch, location, n):
    # onnxruntime looks for them in the working directory.
    (folder / "inside").mkdir()
    for place in (folder, folder / "inside"):
        np.ones(n, np.float32).tofile(place / "weights.bin")
    monkeypatch.chdir(folder / "inside")
    put(folder, foreign_graph(external_weight(location, n)))

    assert "reads weights from files beside it" in refused(folder)


def test_a_graph_that_is_exchanged_while_it_is_loaded_is_not_run(folder):
    good, other = constant_graph(1), constant_graph(2)
    put(folder, good)
    path, stop = folder / "model.onnx", Event()
    (folder / "good").write_bytes(good)
    (folder / "other").write_bytes(other)

    def exchange():
        while not stop.is_set():
            for name in ("other", "good"):
                os.link(folder / name, folder / "next")
                (folder / "next").replace(path)

    thread = Thread(target=exchange)
    thread.start()
    seen = set()
    try:
        for _ in range(300):
            try:
                classifier = load_classifier(folder)
            except ModelError as error:
                seen.add("refused" if "was altered" in str(error) else str(error))
            else:
                (row,) = classifier(np.zeros((1, 8000), np.float32))
                seen.add(int(row.argmax()))
    finally:
        stop.set()
        thread.join()

    assert seen == {1, "refused"}


@pytest.mark.parametrize("dims", [[2**29], [2**62, 2**62], [-1]])
@pytest.mark.parametrize("content", [b"", b"abcd"])
def test_a_tensor_that_is_larger_than_its_file_is_refused(folder, dims, content):
    put(folder, foreign_graph(external_weight(None, dims=dims, content=content)))
    assert (folder / "model.onnx").stat().st_size < 1000

    assert "onnxruntime cannot load it" in refused(folder)


def test_onnxruntimes_own_format_is_refused(folder, tmp_path):
    ort = pytest.importorskip("onnxruntime")
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "model.ort")
    options.add_session_config_entry("session.save_model_format", "ORT")
    options.log_severity_level = 4
    ort.InferenceSession(constant_graph(1), options)
    put(folder, (tmp_path / "model.ort").read_bytes())

    assert "onnxruntime cannot load it" in refused(folder)


LONG = "x" * 10_000_000


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"name": LONG}, "larger than 4,000,000 bytes"),
        ({"name": LONG[:1_000_000]}, "name is xxx"),
        ({"version": LONG[:1_000_000]}, "version is xxx"),
        ({"name": "\ud800"}, r"name is \ud800; wanted"),
        ({"format_version": LONG[:1_000_000]}, "format_version is 'xxx"),
        ({"emotions": [LONG[:1_000_000]]}, "is not a valid Emotion"),
        ({"window_s": LONG[:1_000_000]}, "could not convert string to float"),
        ({"window_s": float("inf"), "min_s": float("nan")}, "wanted 0 < min_s"),
    ],
)
def test_a_card_of_long_texts_is_one_short_line(folder, changes, reason):
    edit(folder, **changes)

    assert reason in refused(folder)


@pytest.mark.parametrize("changes", [{"n_axes": 10**9}, {"n_axes": 10**400}])
def test_a_card_asks_for_no_gigabytes(tmp_path, changes):
    folder = shutil.copytree(find_model(DEFAULT), tmp_path / "model")
    card = json.loads((folder / "model.json").read_text("utf-8"))
    edit(folder, adaptation=card["adaptation"] | changes)

    assert "adaptation" in refused(folder) or "too large" in refused(folder)


def test_brackets_about_as_deep_as_python_reads_are_read_or_refused(folder):
    path = folder / "model.json"
    card = path.read_text("utf-8").rstrip().removesuffix("}")
    for depth in (*range(900, 1000, 9), 100_000):
        path.write_text(f'{card}, "deep": {"[" * depth}{"]" * depth}}}')
        try:
            read_card(folder)
        except ModelError as error:
            assert "is not readable JSON" in str(error)  # noqa: PT017 - some are read


@pytest.mark.parametrize("name", ["x" * 300, "x" * 100_000, "a\0b", "..", "con", ""])
def test_a_name_that_no_folder_has_is_no_model(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError) as caught:
        load_classifier(find_model(name))
    assert len(str(caught.value)) < 600

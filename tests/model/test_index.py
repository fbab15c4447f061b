"""`models.json`, the index of models on a static host."""

from __future__ import annotations

import hashlib
import json
import shutil

import pytest

from espressivo.errors import ModelError
from espressivo.model.find import DEFAULT, find_model
from espressivo.model.index import index_models, read_index, to_json


@pytest.fixture
def folders(tmp_path):
    """Three copies of the bundled model, one under its own name."""
    names = ("b", "a", DEFAULT)
    return [shutil.copytree(find_model(DEFAULT), tmp_path / name) for name in names]


def test_an_index_has_sizes_and_hashes_of_what_is_loaded(folders):
    content = json.loads(to_json(index_models(folders)))

    assert list(content) == ["models"]
    assert [entry["name"] for entry in content["models"]] == ["a", "b", DEFAULT]
    for entry in content["models"]:
        assert list(entry) == ["name", "version", "bytes", "default", "files"]
        assert list(entry["files"]) == ["model.json", "model.onnx"]
        for name, file in entry["files"].items():
            body = (folders[0].parent / entry["name"] / name).read_bytes()
            sha256 = hashlib.sha256(body).hexdigest()
            assert file == {"sha256": sha256, "bytes": len(body)}
        assert entry["bytes"] == sum(f["bytes"] for f in entry["files"].values())


def test_an_index_is_read_as_it_was_written(folders):
    models = index_models(folders, "b")
    assert read_index(to_json(models).encode(), "x") == models


def test_one_model_is_the_default(folders):
    def defaults(*given):
        return [model.name for model in index_models(*given) if model.is_default]

    assert defaults(folders) == [DEFAULT]
    assert defaults(folders[:2]) == ["a"]
    assert defaults(folders, "b") == ["b"]
    assert defaults([]) == []
    with pytest.raises(ModelError, match="c: is not among the models"):
        index_models(folders, "c")


def test_a_folder_whose_name_is_no_part_of_a_url_is_refused(folders):
    for name in ("ä", "a b", "a%2fb", "a?", "-a", "a."):
        folder = folders[0].rename(folders[0].parent / name)
        with pytest.raises(ModelError, match="is no name for a model"):
            index_models([folder])
        folder.rename(folders[0])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b'{"models": 1}',
        b'{"models": [1]}',
        b'{"models": [{"name": "a"}]}',
        b'{"models": [{"name": "a", "version": "1", "files": {}}]}',
        b'{"models": [{"name": "a", "version": "1", "files": 1}]}',
        b'{"models": [{"name": "a", "version": "1", "files": {"model.json": 1}}]}',
    ],
)
def test_what_is_no_index_is_told(content):
    with pytest.raises(ModelError, match=r"^x: is no index of models \("):
        read_index(content, "x")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sha256", "0" * 63),
        ("sha256", "G" * 64),
        ("sha256", 1),
        ("bytes", 0),
        ("bytes", -1),
        ("bytes", "1"),
        ("bytes", 1.5),
        ("bytes", None),
    ],
)
def test_hashes_and_sizes_that_cannot_be_are_told(folders, name, value):
    content = json.loads(to_json(index_models(folders)))
    content["models"][1]["files"]["model.onnx"][name] = value
    with pytest.raises(ModelError, match=r"^x: is no index of models \("):
        read_index(json.dumps(content).encode(), "x")


def test_what_a_later_version_adds_is_ignored(folders):
    models = index_models(folders)
    content = json.loads(to_json(models))
    content["format"] = 2
    content["models"][0]["licence"] = "MIT"
    content["models"][0]["files"]["gate.onnx"] = {"bytes": 3}
    assert read_index(json.dumps(content).encode(), "x") == models

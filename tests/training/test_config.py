from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

from espressivo.errors import ConfigError
from espressivo.training.config import read_config, to_toml

MINIMAL = """
name = "x"
encoder = "encoder.safetensors"
[corpora]
tess = "corpora/tess"
[head]
epochs = 1
draws = 8
[finetune]
epochs = 2
draws = 8
encoder_rate = 1e-4
"""
RECIPES = Path(__file__).parents[2] / "recipes"


def write(folder, text):
    path = folder / "experiment.toml"
    path.write_text(text, "utf-8")
    return path


def test_paths_start_at_the_files_folder(tmp_path):
    config = read_config(write(tmp_path, MINIMAL))
    assert config.encoder == tmp_path / "encoder.safetensors"
    assert config.corpora == {"tess": tmp_path / "corpora/tess"}
    assert config.finetune.encoder_rate == pytest.approx(1e-4)


def test_what_is_written_reads_back(tmp_path):
    config = read_config(write(tmp_path, MINIMAL))
    config = replace(config, seed=3, network=replace(config.network, states=(1, 2)))
    assert read_config(write(tmp_path, to_toml(config))) == config


@pytest.mark.parametrize("name", ["espressivo-tiny", "espressivo-tiny-finetuned"])
def test_the_recipes_read(name):
    config = read_config(RECIPES / f"{name}.toml")
    assert config.name == name
    assert "ravdess" not in config.corpora


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("sede = 1", "there is no setting 'sede'; did you mean 'seed'?"),
        ("seed = 1.5", "'seed' is 1.5; it should be a whole number"),
        ("seed = true", "'seed' is True; it should be a whole number"),
        ("bfloat16 = 1", "'bfloat16' is 1; it should be true or false"),
        ("xyzzy = 1", "there is no setting 'xyzzy'; remove it"),
        ("network = 3", "'network' is 3; it should be a table"),
        ("seed = ", "is no TOML"),
    ],
)
def test_wrong_settings_are_named(tmp_path, line, message):
    path = write(tmp_path, line + "\n" + MINIMAL)
    with pytest.raises(ConfigError) as error:
        read_config(path)
    assert message in str(error.value)
    assert str(error.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("[network]\npoolling = 'statistics'", "did you mean 'network.pooling'?"),
        (
            "[network]\npooling = 'max'",
            "it should be one of 'mean', 'statistics', 'attentive'",
        ),
        ("[augmentation]\ngain_db = [1]", "'augmentation.gain_db' is [1]"),
        ("[loss]\ngamma = 'two'", "'loss.gamma' is 'two'; it should be a number"),
    ],
)
def test_wrong_settings_in_tables_are_named(tmp_path, table, message):
    with pytest.raises(ConfigError) as error:
        read_config(write(tmp_path, MINIMAL + table))
    assert message in str(error.value)


def test_missing_settings_are_named(tmp_path):
    with pytest.raises(ConfigError, match=r"lacks 'head\.draws'; add it"):
        read_config(write(tmp_path, MINIMAL.replace("draws = 8", "", 1)))


def test_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"no\.toml: cannot be read"):
        read_config(tmp_path / "no.toml")

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from espressivo.errors import ConfigError
from espressivo.training.config import read_config, to_toml

MINIMAL = """
name = "x"
[corpora]
tess = "corpora/tess"
[network]
weights = "./encoder.safetensors"
[training]
epochs = 2
encoder_rate = 1e-4
"""
ROOT = Path(__file__).parents[2] / "recipes"
PACKAGED = Path(__file__).parents[2] / "src/espressivo/training/recipes"
RECIPES = sorted([*ROOT.rglob("*.toml"), *PACKAGED.glob("*.toml")])


def write(folder, text):
    path = folder / "experiment.toml"
    path.write_text(text, "utf-8")
    return path


def test_paths_start_at_the_files_folder(tmp_path):
    config = read_config(write(tmp_path, MINIMAL))
    assert config.network.weights == str(tmp_path / "encoder.safetensors")
    assert config.corpora == {"tess": tmp_path / "corpora/tess"}
    assert config.training.encoder_rate == pytest.approx(1e-4)


def test_paths_start_beside_the_recipe_that_was_named(tmp_path, monkeypatch):
    """Beside a link to the file, or below a link to its folder, as the user sees it."""
    text = MINIMAL.replace('"corpora/', '"../corpora/')
    (tmp_path / "store/recipes").mkdir(parents=True)
    path = write(tmp_path / "store/recipes", text)
    for folder in (tmp_path, tmp_path / "store"):
        (folder / "corpora/tess").mkdir(parents=True)

    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/linked.toml").symlink_to(path)
    (tmp_path / "linked").symlink_to(path.parent)
    for named in ("mine/linked.toml", "linked/experiment.toml"):
        config = read_config(tmp_path / named)
        assert config.corpora["tess"] == tmp_path / "corpora/tess"
        beside = (tmp_path / named).with_name("encoder.safetensors")
        assert config.network.weights == str(beside)

    monkeypatch.chdir(tmp_path / "mine")
    config = read_config(Path("../linked/experiment.toml"))
    assert config.corpora["tess"] == tmp_path / "corpora/tess"

    monkeypatch.chdir(tmp_path / "linked")
    for named in (path, Path("experiment.toml"), Path("../recipes/experiment.toml")):
        assert read_config(named).corpora["tess"] == tmp_path / "store/corpora/tess"


@pytest.mark.parametrize("name", ["", "ntu-spml/distilhubert"])
def test_weights_that_are_no_path_stay_as_they_are(tmp_path, name):
    path = write(tmp_path, MINIMAL.replace("./encoder.safetensors", name))
    assert read_config(path).network.weights == name


def test_what_is_written_reads_back(tmp_path):
    config = read_config(write(tmp_path, MINIMAL))
    config = replace(
        config,
        seed=3,
        task="both",
        network=replace(config.network, states=(1, 2), dimensions=("valence",)),
        loss=replace(config.loss, dimension_weights=(2.0,), votes=True),
        protocol=replace(config.protocol, train_only=("crema-d",)),
        corpora={**config.corpora, "crema-d": Path("/a b/ü")},
        licences={"manifest": "CC-BY-4.0", "my calls": "own"},
    )
    assert read_config(write(tmp_path, to_toml(config))) == config


def test_a_licence_that_is_not_known_is_named(tmp_path):
    text = MINIMAL + '[licences]\nmanifest = "CC-BY4.0"\n'
    message = r"experiment.toml: 'licences.manifest' is 'CC-BY4.0', no licence known"
    with pytest.raises(ConfigError, match=message):
        read_config(write(tmp_path, text))


def test_a_licence_is_stated_by_an_option(tmp_path):
    config = read_config(write(tmp_path, MINIMAL), ["licences.manifest=CC-BY-4.0"])
    assert config.licences == {"manifest": "CC-BY-4.0"}
    assert read_config(write(tmp_path, MINIMAL)).licences == {}


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_reads(path, monkeypatch, tmp_path):
    monkeypatch.setenv("ESPRESSIVO_DATA", str(tmp_path))
    config = read_config(path)
    assert read_config(path).name == config.name != ""


def test_the_command_line_replaces_settings(tmp_path):
    path = write(tmp_path, MINIMAL)
    config = read_config(
        path, ["training.epochs=7", "loss.weights=balanced", "network.states=[1, 2]"]
    )
    assert (config.training.epochs, config.loss.weights) == (7, "balanced")
    assert config.network.states == (1, 2)
    assert config.training.encoder_rate == pytest.approx(1e-4)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("training.epoch=7", "did you mean 'training.epochs'?"),
        ("epochs", "'epochs' is not KEY=VALUE"),
        ("name.x=1", "'name' is a value, not a table"),
    ],
)
def test_wrong_replacements_are_named(tmp_path, setting, message):
    with pytest.raises(ConfigError) as error:
        read_config(write(tmp_path, MINIMAL), [setting])
    assert message in str(error.value)


def test_reading_imports_no_torch():
    code = (
        "import sys; from pathlib import Path; "
        "from espressivo.training.config import read_config; "
        "config = read_config(Path(sys.argv[1])); "
        "assert config.network.kind == 'distilhubert'; "
        "assert 'torch' not in sys.modules"
    )
    argv = [sys.executable, "-c", code, str(PACKAGED / "paper.toml")]
    subprocess.run(argv, check=True)


@pytest.mark.parametrize("name", ["$SPEECH", "${SPEECH}"])
def test_variables_in_paths_are_expanded(tmp_path, monkeypatch, name):
    monkeypatch.setenv("SPEECH", str(tmp_path / "speech"))
    (tmp_path / "speech").mkdir()
    (tmp_path / "speech/encoder.safetensors").touch()
    text = MINIMAL.replace('"corpora/', f'"{name}/').replace('"./', f'"{name}/')
    config = read_config(write(tmp_path, text))
    assert config.corpora == {"tess": tmp_path / "speech/tess"}
    assert config.network.weights == str(tmp_path / "speech/encoder.safetensors")


def test_a_variable_that_is_not_set_is_named(tmp_path, monkeypatch):
    monkeypatch.delenv("ESPRESSIVO_DATA", raising=False)
    path = write(tmp_path, MINIMAL.replace('"corpora/', '"$ESPRESSIVO_DATA/corpora/'))
    with pytest.raises(ConfigError) as error:
        read_config(path)
    message = str(error.value)
    assert "ESPRESSIVO_DATA is not set; set it to the folder that holds" in message
    assert "or pass --corpus tess=DIR" in message
    found = read_config(path, corpora={"tess": tmp_path, "other": tmp_path})
    assert found.corpora == {"tess": tmp_path}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("sede = 1", "there is no setting 'sede'; did you mean 'seed'?"),
        ("seed = 1.5", "'seed' is 1.5; it should be a whole number"),
        ("seed = true", "'seed' is True; it should be a whole number"),
        ("device = 'gpu'", "it should be one of 'auto', 'cpu', 'cuda'"),
        ("xyzzy = 1", "there is no setting 'xyzzy'; remove it"),
        ("network = 3", "'network' is 3; it should be a table"),
        ("seed = ", "is no TOML"),
    ],
)
def test_wrong_settings_are_named(tmp_path, line, message):
    text = "name = 'x'\n[corpora]\n" if line.startswith("network") else MINIMAL
    path = write(tmp_path, line + "\n" + text)
    with pytest.raises(ConfigError) as error:
        read_config(path)
    assert message in str(error.value)
    assert str(error.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("[loss]\ngama = 2", "did you mean 'loss.gamma'?"),
        ("[protocol]\nkind = 'sesion'", "it should be one of 'session'"),
        ("[augmentation]\ngain_db = [1]", "'augmentation.gain_db' is [1]"),
        ("[loss]\ngamma = 'two'", "'loss.gamma' is 'two'; it should be a number"),
        ("[classifier]\nfit = true", "it should be one of 'gradient'"),
    ],
)
def test_wrong_settings_in_tables_are_named(tmp_path, table, message):
    with pytest.raises(ConfigError) as error:
        read_config(write(tmp_path, MINIMAL + table))
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["task=dimensions"], "'network.dimensions' names none; add dimensions ="),
        (["task=moods"], "should be one of 'emotions', 'dimensions', 'both'"),
        (["DIMENSIONS"], "but nothing trains them with task 'emotions'; set task"),
        (["DIMENSIONS", "task=both", "classifier.fit=logistic"], "needs gradient desc"),
        (["loss.dimensions=2"], "which task 'emotions' does not use; remove it"),
        (["DIMENSIONS", "task=dimensions", "loss.emotions=2"], "does not use; remove"),
        (
            ["DIMENSIONS", "task=both", "loss.dimension_weights=[1]"],
            "give one weight for each of arousal, valence",
        ),
        (
            ["DIMENSIONS", "task=both", "loss.dimension_weights=[1, inf]"],
            "give one weight for each of arousal, valence",
        ),
        (["DIMENSIONS", "task=both", "loss.dimensions=-1"], "is -1.0; a weight is a"),
        (
            ["DIMENSIONS", "task=both", "loss.dimensions=0", "loss.emotions=0"],
            "'loss.emotions' and 'loss.dimensions' are both 0, so that nothing",
        ),
        (["network.dimensions=['tension']", "task=both"], "name each of arousal"),
        (
            ["DIMENSIONS", "task=dimensions", "adaptation.method=dann"],
            "'adaptation.method' is 'dann', which is for emotions",
        ),
    ],
)
def test_a_task_that_cannot_be_learned_is_refused(tmp_path, settings, message):
    named = "network.dimensions=['arousal', 'valence']"
    settings = [named if s == "DIMENSIONS" else s for s in settings]
    with pytest.raises(ConfigError) as error:
        read_config(write(tmp_path, MINIMAL), settings)
    assert message in str(error.value)


def test_a_kind_that_is_not_registered_is_named(tmp_path):
    message = "'network.kind' is 'wisper'; it should be one of 'whisper'"
    with pytest.raises(ConfigError) as error:
        read_config(write(tmp_path, MINIMAL), ["network.kind=wisper"])
    assert message in str(error.value)


def test_missing_settings_are_named(tmp_path):
    with pytest.raises(ConfigError, match=r"lacks 'name'; add it"):
        read_config(write(tmp_path, MINIMAL.replace('name = "x"', "")))


def test_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"no\.toml: cannot be read"):
        read_config(tmp_path / "no.toml")


def test_a_corpus_of_any_name_is_written_and_read_back(tmp_path):
    text = MINIMAL.replace("[corpora]", '[corpora]\n"été" = "corpora/ete"')
    config = read_config(write(tmp_path, text))

    assert "été" in config.corpora
    assert read_config(write(tmp_path, to_toml(config))) == config


def test_a_dollar_within_a_path_is_a_part_of_it(tmp_path):
    text = MINIMAL.replace('"corpora/tess"', '"/pay$me/tess"')

    assert read_config(write(tmp_path, text)).corpora["tess"] == Path("/pay$me/tess")


def test_a_relative_variable_starts_at_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.setenv("ESPRESSIVO_DATA", "data")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipes").mkdir()
    text = MINIMAL.replace('"corpora/tess"', '"$ESPRESSIVO_DATA/corpora/tess"')
    text = text.replace("./encoder", "$ESPRESSIVO_DATA/encoder")
    config = read_config(write(tmp_path / "recipes", text))

    assert config.corpora["tess"] == tmp_path / "data" / "corpora" / "tess"
    assert config.network.weights == str(tmp_path / "data" / "encoder.safetensors")


def test_halves_of_speakers_and_copies_come_back(tmp_path, monkeypatch):
    monkeypatch.setenv("ESPRESSIVO_DATA", str(tmp_path))
    text = (
        MINIMAL
        + """
[speakers]
tess = "even"

[augmentation]
copies = ["telephone", "noise-10"]
"""
    )
    config = read_config(write(tmp_path, text))
    assert config.speakers == {"tess": "even"}
    assert config.augmentation.copies == ("telephone", "noise-10")
    assert config.augmentation.noise_folder == str(tmp_path / "noise")
    assert read_config(write(tmp_path, to_toml(config))) == config


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[speakers]\nemodb = "even"', "'speakers.emodb' names no corpus of the file"),
        ('[speakers]\ntess = "half"', "'speakers.tess' is 'half'; it should be one of"),
        ('[augmentation]\ncopies = ["fax"]', "'augmentation.copies' is 'fax'; it sho"),
        ('[augmentation]\ncopies = ["varied"]', "ESPRESSIVO_DATA is not set"),
        ("[classifier]\nbackground = true", "'classifier.background' is for closed"),
        ("[classifier.priors]\nneutral = 2", "'classifier.priors' is for closed forms"),
        (
            "[classifier]\nfit = 'discriminant'\npriors = {calm = 2}",
            "'classifier.priors' names 'calm'; it should be one of anger, happiness",
        ),
        (
            "[classifier]\nfit = 'discriminant'\npriors = {neutral = 0}",
            "'classifier.priors.neutral' is 0.0, not a positive number",
        ),
        (
            "[classifier]\nfit = 'logistic'\nweights = {tess = 2}",
            "'classifier.weights' is for classifier.fit = 'discriminant'",
        ),
        (
            "[classifier]\nfit = 'discriminant'\nweights = {moon = 2}",
            "'classifier.weights' names 'moon'",
        ),
    ],
)
def test_wrong_halves_and_copies_are_refused(text, message, tmp_path, monkeypatch):
    monkeypatch.delenv("ESPRESSIVO_DATA", raising=False)
    with pytest.raises(ConfigError, match=message):
        read_config(write(tmp_path, f"{MINIMAL}\n{text}\n"))


def test_copies_without_noise_need_no_folder_of_noise(tmp_path, monkeypatch):
    monkeypatch.delenv("ESPRESSIVO_DATA", raising=False)
    text = MINIMAL + '\n[augmentation]\ncopies = ["amr", "room", "babble-10"]\n'
    assert len(read_config(write(tmp_path, text)).augmentation.copies) == 3

"""What a search refuses: settings of a distillation, damaged and foreign files."""

import json
from dataclasses import replace

import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("optuna", reason="needs the extra 'train'")

from espressivo.errors import TrainingError
from espressivo.training.compress.search.costs import load_or_measure_costs
from espressivo.training.compress.search.folder import describe_study
from espressivo.training.compress.teachers import load_teachers
from espressivo.training.config import TrainingConfig
from espressivo.training.networks import NetworkConfig, build_network
from espressivo.training.runs.folder import finish_run, open_run
from tests.training.experiments import small_config


@pytest.mark.parametrize("text", ["{", "[]", '{"shapes": {"width-8": {"MB": 1}}}'])
def test_damaged_costs_are_named(tmp_path, text):
    (tmp_path / "costs.json").write_text(text)
    with pytest.raises(TrainingError, match="does not hold the costs of shapes"):
        load_or_measure_costs(tmp_path, small_config(), [{"width": 8}])


def test_two_teachers_of_one_name_are_both_described(tmp_path):
    described = {"name": "small", "utterances": {"many/anger": 1}}
    for name, width in (("1", 8), ("2", 16)):
        config = small_config()
        config = replace(
            config,
            network=NetworkConfig(kind="separable", width=width, n_layers=1),
            training=TrainingConfig(),
        )
        open_run(tmp_path / name, config, [])
        (tmp_path / name / "run.json").write_text(json.dumps(described))
        finish_run(tmp_path / name, build_network(config.network))
    both = load_teachers([tmp_path / "1", tmp_path / "2"], (), None)
    of_one, of_both = (
        describe_study(small_config(), {}, teachers, {})["teacher"]
        for teachers in (both[1:], both)
    )
    assert of_both["small"].split(", ")[1:] == [of_one["small"]]

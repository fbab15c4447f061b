"""The table of settings: rows that a recipe can make, and a recipe that it cannot."""

import sys
from pathlib import Path

import pytest

from espressivo.training.config import AugmentConfig, ExperimentConfig, NetworkConfig
from research.strangers import settings

STATES = (2, 3, 4)


@pytest.mark.parametrize(
    ("copies", "n_rows"), [((), 6), (("telephone",), 6), (("telephone", "varied"), 12)]
)
def test_rows_need_copies_that_the_recipe_makes(copies, n_rows):
    config = ExperimentConfig(
        "x",
        {},
        network=NetworkConfig(states=STATES),
        augmentation=AugmentConfig(copies=copies),
    )
    assert len(settings.settings(config)) == n_rows


def test_a_recipe_without_unheard_readers_is_refused(tmp_path, monkeypatch, capsys):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('name = "x"\n[corpora]\nlibrispeech = "."\n')
    monkeypatch.setattr(sys, "argv", ["settings", str(recipe), "--cache", str(Path())])
    with pytest.raises(SystemExit) as ended:
        settings.main()
    assert ended.value.code == 1
    assert "half of its speakers under [speakers]" in capsys.readouterr().err

"""Studies of strangers: which settings, and what a corpus is worth to the others."""

import sys
from pathlib import Path

import numpy as np
import pytest

from espressivo.training.config import AugmentConfig, ExperimentConfig
from espressivo.training.networks.config import NetworkConfig
from research.strangers import settings, without

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


def test_a_corpus_is_worth_what_the_others_lose_without_it():
    rng = np.random.default_rng(0)
    names = np.repeat(["a", "b", "c", "noise", "ravdess"], 80)
    labels = np.tile(np.arange(4), 100)
    rows = 3 * np.eye(4)[labels] + rng.normal(size=(400, 4))
    wrong = names == "noise"
    rows[wrong] = rng.normal(size=(80, 4)) - 9 * np.eye(4)[labels[wrong]]
    clips = settings.Clips(
        dict.fromkeys(("clean", "telephone"), rows[:, None]),
        labels,
        names,
        np.array([f"{name}/{n % 10}" for n, name in enumerate(names)]),
        np.zeros((0, 4)),
        np.ones(400, bool),
    )
    table = without.table(clips, ExperimentConfig("x", {}), "noise")

    assert [*table.rows] == ["a", "b", "c", "ravdess", "mean", "mean without ravdess"]
    for row in table.rows.values():
        change = row["clean, change"]
        with_it, left_out = row["clean, with"].value, row["clean, without"].value
        assert change.value == pytest.approx(left_out - with_it)
        assert 0 < change.interval.low <= change.value <= change.interval.high
        assert row["telephone, change"] == change

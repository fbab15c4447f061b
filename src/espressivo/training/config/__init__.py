"""Settings of an experiment: a TOML file read into frozen dataclasses."""

from espressivo.training.config.read import read_config, to_toml
from espressivo.training.config.search import SearchConfig
from espressivo.training.config.sections import (
    LEFT_OUT,
    AdaptationConfig,
    AdaptationMethod,
    AugmentConfig,
    Balance,
    ClassifierConfig,
    ConditionName,
    Device,
    DistillationConfig,
    ExperimentConfig,
    LossConfig,
    Precision,
    ProfileConfig,
    SignalConfig,
    Task,
    TrainingConfig,
)

__all__ = [
    "LEFT_OUT",
    "AdaptationConfig",
    "AdaptationMethod",
    "AugmentConfig",
    "Balance",
    "ClassifierConfig",
    "ConditionName",
    "Device",
    "DistillationConfig",
    "ExperimentConfig",
    "LossConfig",
    "Precision",
    "ProfileConfig",
    "SearchConfig",
    "SignalConfig",
    "Task",
    "TrainingConfig",
    "read_config",
    "to_toml",
]

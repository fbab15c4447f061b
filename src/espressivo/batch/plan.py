"""Plan of an archive (`archive.json`), which a later run compares before it resumes."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import av
import onnxruntime

from espressivo.batch.entries import digest_of, digest_of_cells, digest_of_groups
from espressivo.model.classifier import Certainty
from espressivo.speech.segments import SpeechOptions
from espressivo.text import shortened
from espressivo.types import Dimension, Emotion
from espressivo.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    from espressivo.batch.entries import Entry
    from espressivo.model.classifier import ModelCard
    from espressivo.profile.profile import Profile

SCHEMA = "espressivo.archive/2"
"""Name and version of `archive.json` and of the tables beside it."""

_READABLE = ("espressivo.archive/1", SCHEMA)  # 1 has no columns `uncertain`

_LISTED_BY = "content"
"""How folders are searched; archives that do not say it were searched by ending."""

_SMALLEST_SHARD, _LARGEST_SHARD = 32, 1000
_ENOUGH_SHARDS = 4096  # folders with many more files are slow to list and to read


def usual_shard_size(n_recordings: int) -> int:
    """Return the default number of recordings per shard."""
    size = -(-n_recordings // _ENOUGH_SHARDS)
    return min(max(size, _SMALLEST_SHARD), _LARGEST_SHARD)


class Software(NamedTuple):
    """Versions of what decodes recordings and runs the model.

    Decoders differ in the padding of encoders that they play, and in rounding.
    """

    av: str
    ffmpeg: str
    onnxruntime: str

    @classmethod
    def installed(cls) -> Self:
        """Return the versions in this process."""
        return cls(av.__version__, av.ffmpeg_version_info, onnxruntime.__version__)

    def differences(self, other: Software) -> list[str]:
        """Return the differences from other versions, such as `X is A, was B`."""
        found = []
        if (self.av, self.ffmpeg) != (other.av, other.ffmpeg):
            found.append(
                f"the decoder is PyAV {self.av} with FFmpeg {self.ffmpeg}, was PyAV "
                f"{other.av} with FFmpeg {other.ffmpeg} (pip install av=={other.av})"
            )
        if self.onnxruntime != other.onnxruntime:
            found.append(
                f"onnxruntime is {self.onnxruntime}, was {other.onnxruntime} "
                f"(pip install onnxruntime=={other.onnxruntime})"
            )
        return found


@dataclass(frozen=True, slots=True)
class Plan:
    """Inputs that determine the tables: runs of equal plans write the same bytes.

    Attributes:
        n_recordings: Number of recordings.
        input_sha256: SHA-256 of their ids and paths.
        model: Name of the model.
        model_version: Version of the model.
        model_sha256: SHA-256 of the model's graph.
        emotions: Emotions, in the order of the probability columns.
        shard_size: Recordings per shard; the last one may have fewer.
        version: Version of espressivo.
        headerless: Format of the recordings without a header; None: by their names.
        listed_by: How folders were searched, `content` or `ending`.
        certainty: The model's threshold for uncertain estimates; None if it has none.
        dimensions: Dimensions, in the order of their columns.
        adaptation_sha256: SHA-256 of the entry `adaptation` of the model's card; None:
            the archive is not adapted.
        groups_sha256: SHA-256 of the recordings' groups and speakers; None: the same.
        setting: Name of the setting that every recording is judged by, and the start of
            its SHA-256; None: there is none.
        columns: Names of the manifest's other columns in the tables.
        columns_sha256: SHA-256 of their values; None: there are none.
        speech: Options of the speech segmentation.
        schema: Name and version of the tables.
        software: Versions of the decoder and of onnxruntime; None: unknown.
    """

    n_recordings: int
    input_sha256: str
    model: str
    model_version: str
    model_sha256: str
    emotions: tuple[Emotion, ...]
    shard_size: int
    version: str = __version__
    headerless: str | None = None
    listed_by: str = _LISTED_BY
    certainty: Certainty | None = None
    dimensions: tuple[Dimension, ...] = ()
    adaptation_sha256: str | None = None
    groups_sha256: str | None = None
    setting: str | None = None
    columns: tuple[str, ...] = ()
    columns_sha256: str | None = None
    speech: SpeechOptions = field(default_factory=SpeechOptions)
    schema: str = SCHEMA
    software: Software | None = field(default_factory=Software.installed)

    @classmethod
    def of(
        cls,
        entries: Sequence[Entry],
        card: ModelCard,
        shard_size: int | None,
        headerless: str | None = None,
        *,
        adapt: bool = False,
        setting: Profile | None = None,
        columns: tuple[str, ...] = (),
        speech: SpeechOptions | None = None,
    ) -> Self:
        """Return the plan for recordings, a model and options (None: defaults)."""
        return cls(
            n_recordings=len(entries),
            input_sha256=digest_of(entries),
            model=card.name,
            model_version=card.version,
            model_sha256=card.sha256,
            emotions=card.emotions,
            shard_size=shard_size or usual_shard_size(len(entries)),
            headerless=headerless,
            certainty=card.certainty,
            dimensions=card.dimensions,
            adaptation_sha256=_digest_of_adaptation(card) if adapt else None,
            groups_sha256=digest_of_groups(entries) if adapt else None,
            setting=None if setting is None else _described(setting),
            columns=columns,
            columns_sha256=digest_of_cells(entries) if columns else None,
            speech=speech or SpeechOptions(),
        )

    @property
    def is_adapted(self) -> bool:
        """Whether recordings are adapted to their groups and speakers."""
        return self.groups_sha256 is not None

    @property
    def tells_effects(self) -> bool:
        """Whether tables have the columns that tell what adaptation changed."""
        return self.is_adapted or self.setting is not None

    @property
    def setting_name(self) -> str | None:
        """Name of the setting alone; None: there is none."""
        return None if self.setting is None else self.setting.rpartition(" (")[0]

    @property
    def n_shards(self) -> int:
        """Number of shards, each of which is one part of every table."""
        return -(-self.n_recordings // self.shard_size)

    def size_of(self, shard: int) -> int:
        """Return the number of recordings in a shard."""
        return min(self.shard_size, self.n_recordings - shard * self.shard_size)

    def differences(self, other: Plan) -> list[str]:
        """Return the differences from an earlier plan, such as `X is A, was B`."""
        found = [
            f"{name} is {now}, was {before}"
            for (name, now), before in zip(
                self._compared().items(), other._compared().values(), strict=True
            )
            if now != before
        ]
        if self.software and other.software:
            found += self.software.differences(other.software)
        if (
            self.input_sha256 != other.input_sha256
            and self.listed_by != other.listed_by
        ):
            found.append(
                "folders are searched by content, were searched by ending, so that "
                "more recordings are found"
            )
        if (
            self.is_adapted
            and other.is_adapted
            and (self.groups_sha256 != other.groups_sha256)
        ):
            found.append(
                "groups or speakers of recordings have changed, so that the finished "
                "rows would be of another adaptation"
            )
        if (
            self.columns == other.columns
            and self.columns_sha256 != other.columns_sha256
            and self.input_sha256 == other.input_sha256
        ):
            found.append("values in the manifest's other columns have changed")
        return found

    def to_json(self) -> str:
        """Return the text of `archive.json`."""
        document = {
            "schema": self.schema,
            "espressivo": self.version,
            "software": self.software and self.software._asdict(),
            "input": {
                "n_recordings": self.n_recordings,
                "sha256": self.input_sha256,
                "listed_by": self.listed_by,
                "groups_sha256": self.groups_sha256,
                "columns": self.columns,
                "columns_sha256": self.columns_sha256,
            },
            "model": {
                "name": self.model,
                "version": self.model_version,
                "sha256": self.model_sha256,
                "certainty": self.certainty and self.certainty.to_dict(),
                "emotions": self.emotions,
                "dimensions": self.dimensions,
                "adaptation_sha256": self.adaptation_sha256,
            },
            "options": {
                "shard_size": self.shard_size,
                "format": self.headerless,
                "setting": self.setting,
                "speech": asdict(self.speech),
            },
            "n_parts": self.n_shards,
        }
        return json.dumps(document, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the plan in the text of an `archive.json`.

        Raises:
            ValueError: The text has another schema, or is incomplete.
        """
        try:
            document: dict[str, Any] = json.loads(text)
            if document["schema"] not in _READABLE:
                found = shortened(str(document["schema"]))
                raise ValueError(f"is of schema {found}, not {SCHEMA}")
            certainty = document["model"].get("certainty")
            software = document.get("software")
            plan = cls(
                n_recordings=int(document["input"]["n_recordings"]),
                input_sha256=str(document["input"]["sha256"]),
                model=str(document["model"]["name"]),
                model_version=str(document["model"]["version"]),
                model_sha256=str(document["model"]["sha256"]),
                emotions=tuple(map(Emotion, document["model"]["emotions"])),
                shard_size=int(document["options"]["shard_size"]),
                headerless=document["options"].get("format"),
                listed_by=str(document["input"].get("listed_by", "ending")),
                version=str(document["espressivo"]),
                certainty=certainty and Certainty(**certainty),
                dimensions=tuple(
                    map(Dimension, document["model"].get("dimensions", []))
                ),
                adaptation_sha256=document["model"].get("adaptation_sha256"),
                groups_sha256=document["input"].get("groups_sha256"),
                setting=document["options"].get("setting"),
                columns=tuple(document["input"].get("columns", ())),
                columns_sha256=document["input"].get("columns_sha256"),
                speech=SpeechOptions(**document["options"].get("speech", {})),
                schema=str(document["schema"]),
                software=software and Software(**software),
            )
        except json.JSONDecodeError as error:
            raise ValueError(f"is no JSON ({error})") from error
        # RecursionError: deeply nested brackets exhaust the JSON parser.
        except (KeyError, TypeError, OverflowError, RecursionError) as error:
            raise ValueError(f"lacks something ({shortened(str(error))})") from error
        if plan.n_recordings < 1 or plan.shard_size < 1:
            raise ValueError("is of no recordings, or of parts without any")
        return plan

    def _compared(self) -> dict[str, str]:
        model = f"{self.model} {self.model_version} ({self.model_sha256[:12]}...)"
        found = f"{self.n_recordings} recordings ({self.input_sha256[:12]}...)"
        return {
            "the input": found,
            "the model": model,
            "the model's threshold of certainty": self._threshold(),
            "the order of emotions": ", ".join(self.emotions),
            "the dimensions": ", ".join(self.dimensions) or "none",
            "the shard size": str(self.shard_size),
            "the format": self.headerless or "that of each name",
            "the adaptation": self._adaptation(),
            "the setting": self.setting or "none",
            "the speech segmentation": str(self.speech),
            "the set of the other columns": ", ".join(self.columns) or "none",
            "the schema of the tables": self.schema,
            "espressivo": self.version,
        }

    def _threshold(self) -> str:
        # The hash of the model is of its graph, which the threshold is not in.
        return "none" if self.certainty is None else f"{self.certainty.threshold:g}"

    def _adaptation(self) -> str:
        # Nor is the card of adaptation.
        sha256 = self.adaptation_sha256
        return "off" if sha256 is None else f"on (by {sha256[:12]}...)"


def _described(setting: Profile) -> str:
    return f"{setting.name} ({setting.to_dict()['sha256'][:12]}...)"


def _digest_of_adaptation(card: ModelCard) -> str:
    entry = json.dumps(card.details["adaptation"], sort_keys=True)
    return hashlib.sha256(entry.encode("utf-8")).hexdigest()

"""Console of rich that prints outside text as it is, and nothing of it acts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.segment import Segment

from espressivo.text import to_line, to_lines

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import ConsoleOptions, RenderableType
    from rich.text import Text


class PlainConsole(Console):
    """Console without markup: names such as `[red]x[/red]` are printed literally.

    Styles are given by `style=` or `rich.text.Text`. A string is one line: its control
    characters are escaped.
    """

    def __init__(self, *, stderr: bool = False, soft_wrap: bool = False) -> None:
        super().__init__(
            stderr=stderr,
            soft_wrap=soft_wrap,
            markup=False,
            emoji=False,
            highlight=False,
        )

    def render_str(self, text: str, **options: Any) -> Text:
        """Return a string as text."""
        return super().render_str(to_line(text), **options)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Yield the segments of a renderable, whose text does not act."""
        for segment in super().render(renderable, options):
            # Those of rich itself, which move the cursor, are marked as such.
            yield segment if segment.control else _plain(segment)


def _plain(segment: Segment) -> Segment:
    text = to_lines(segment.text)
    return segment if text == segment.text else Segment(text, segment.style)

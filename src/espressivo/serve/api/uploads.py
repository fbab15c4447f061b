"""Upload of a recording from a request into an unnamed temporary file."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

import python_multipart  # noqa: F401 - Starlette needs it, and says so too late
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from espressivo.serve.api.refusals import (
    Reason,
    Refused,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from starlette.requests import Request

    from espressivo.serve.api.limits import Limits

_LEAST_RATE = 4096  # bytes per second; slower clients (on average) are refused
_LONGEST_NAME = 200
_LINGER_S = 2.0  # time to read the rest of a refused body


class Upload(NamedTuple):
    """A received recording.

    Attributes:
        file: Unnamed temporary file; closing deletes it.
        name: Name of the recording in the report.
    """

    file: IO[bytes]
    name: str


async def receive_upload(request: Request, limits: Limits) -> Upload:
    """Receive the body, or the single file of a form, into a temporary file.

    Raises:
        Refused: The body is too large, arrives too slowly, or is a form without a file;
            or the disk is full.
        ClientDisconnect: The client closed the connection.
    """
    form = request.headers.get("content-type", "").lower()
    is_form = form.partition(";")[0].strip() == "multipart/form-data"
    # uvicorn has already refused a length that is not a number.
    if int(request.headers.get("content-length", "0")) > limits.max_upload_bytes:
        raise _too_large(limits)
    try:
        return await (_from_form if is_form else _from_body)(request, limits)
    except OSError as error:
        raise Refused(
            Reason.NO_ROOM,
            "the server has no room for the recording; try again later",
            60,
        ) from error


async def discard(request: Request) -> None:
    """Read and discard the rest of the body for at most `_LINGER_S` seconds.

    Many clients read the response only after sending the whole body, and never see it
    if the connection is closed before.
    """
    if "expect" in request.headers:
        return  # with Expect: 100-continue, the client waits for a response first
    try:
        async with asyncio.timeout(_LINGER_S):
            while (await request.receive()).get("more_body", False):
                pass
    except TimeoutError:
        pass


async def _from_body(request: Request, limits: Limits) -> Upload:
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the analysis closes it
    try:
        async for chunk in _chunks(request, limits):
            await asyncio.to_thread(file.write, chunk)
        await asyncio.to_thread(file.flush)
    except BaseException:
        file.close()
        raise
    return Upload(file, _name_of(request, None))


async def _from_form(request: Request, limits: Limits) -> Upload:
    parser = MultiPartParser(
        request.headers, _chunks(request, limits), max_files=1, max_fields=8
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise Refused(
            Reason.BAD_REQUEST, f"the form cannot be read ({error.message.rstrip('.')})"
        ) from error
    except UnicodeError as error:  # the codec `undefined`, for one, decodes nothing
        raise Refused(
            Reason.BAD_REQUEST, "the form's charset decodes no text; send UTF-8"
        ) from error
    files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
    if not files:
        raise Refused(
            Reason.BAD_REQUEST, "the form holds no file; send one, or the bytes alone"
        )
    file = files[0].file
    file.fileno()  # moves a small spooled file from memory to the disk
    return Upload(file, _name_of(request, files[0].filename))


def _name_of(request: Request, filename: str | None) -> str:
    name = request.query_params.get("name") or filename or "recording"
    return "".join(c if c.isprintable() else "?" for c in name[:_LONGEST_NAME])


async def _chunks(request: Request, limits: Limits) -> AsyncGenerator[bytes, None]:
    """Yield the body in chunks as they arrive.

    Raises:
        Refused: The body is too large or arrives too slowly.
        ClientDisconnect: The client closed the connection.
    """
    began, n = time.monotonic(), 0
    has_more = True
    while has_more:
        try:
            async with asyncio.timeout(limits.idle_s):
                message = await request.receive()
        except TimeoutError as error:
            raise _too_slow(limits) from error
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        has_more = message.get("more_body", False)
        chunk: bytes = message.get("body", b"")
        n += len(chunk)
        if n > limits.max_upload_bytes:
            raise _too_large(limits)
        if time.monotonic() - began > limits.idle_s + n / _LEAST_RATE:
            raise _too_slow(limits)
        yield chunk


def _too_large(limits: Limits) -> Refused:
    return Refused(
        Reason.TOO_LARGE,
        f"the recording is larger than the {limits.max_upload_bytes / 2**20:g} MiB "
        "that this server takes; compress it, or cut it",
    )


def _too_slow(limits: Limits) -> Refused:
    return Refused(
        Reason.SLOW_CLIENT,
        f"the recording comes too slowly: nothing for {limits.idle_s:g} s, or less "
        "than 4 kB/s",
    )


@contextmanager
def path_of(file: IO[bytes]) -> Iterator[Path]:
    """Yield a path to an unnamed file: that of its descriptor, or of a copy."""
    file.seek(0)
    path = Path(f"/dev/fd/{file.fileno()}")
    if path.exists():
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:  # Windows has no such paths
        path = Path(folder) / "recording"
        with path.open("wb") as copy:
            shutil.copyfileobj(file, copy)
        yield path

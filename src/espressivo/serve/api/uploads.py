"""The recording in a request: into a file without a name, and no further."""

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

_LEAST_RATE = 4096  # bytes a second, on average, or the client is too slow
_LONGEST_NAME = 200
_LINGER_S = 2.0


class Upload(NamedTuple):
    """A recording as it came.

    Attributes:
        file: Without a name; closing it deletes it.
        name: What the report calls it.
    """

    file: IO[bytes]
    name: str


async def receive_upload(request: Request, limits: Limits) -> Upload:
    """Receive the body, or the one file of a form, into a temporary file.

    Raises:
        Refused: It is too large, too slow, or a form without a file; or the disk is
            full.
        ClientDisconnect: The client has gone.
    """
    form = request.headers.get("content-type", "").lower()
    is_form = form.partition(";")[0].strip() == "multipart/form-data"
    # uvicorn refuses a length that is no number.
    if int(request.headers.get("content-length", "0")) > limits.max_upload_bytes:
        await discard(request)
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
    """Read what the client still sends, for a moment.

    Many look for the answer only when all is sent, and never see it if the connection
    ends before.
    """
    if "expect" in request.headers:
        return  # it waits for an answer already
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
    files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
    if not files:
        raise Refused(
            Reason.BAD_REQUEST, "the form holds no file; send one, or the bytes alone"
        )
    file = files[0].file
    file.fileno()  # which brings a small one from memory to the disk
    return Upload(file, _name_of(request, files[0].filename))


def _name_of(request: Request, filename: str | None) -> str:
    name = request.query_params.get("name") or filename or "recording"
    return "".join(c if c.isprintable() else "?" for c in name[:_LONGEST_NAME])


async def _chunks(request: Request, limits: Limits) -> AsyncGenerator[bytes, None]:
    """Yield the body as it comes; refuse what is too large or too slow."""
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
            if has_more:
                await discard(request)
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
    """Give a file without a name a path, for as long as it is needed."""
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

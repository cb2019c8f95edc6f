"""An HTTP connection that knows whether a lost request may have reached the server."""

import asyncio
import contextlib
import dataclasses
import json

TIMEOUT = 30


class LostError(Exception):
    """There is no answer. `sent` says whether the server may have the request."""

    def __init__(self, reason, sent):
        super().__init__(str(reason) or type(reason).__name__)
        self.sent = sent


@dataclasses.dataclass(frozen=True)
class Request:
    """A request, without its user."""

    method: str
    path: str
    body: object = None
    headers: tuple = ()

    def encode(self, token):
        """Its bytes."""
        content = b"" if self.body is None else json.dumps(self.body).encode()
        fields = [("Host", "127.0.0.1"), ("Authorization", f"Bearer {token}"), *self.headers]
        if self.body is not None:
            fields.append(("Content-Type", "application/json"))
        if self.method != "GET":
            fields.append(("Content-Length", len(content)))
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
        return f"{self.method} {self.path} HTTP/1.1\r\n{lines}\r\n".encode() + content

    def __str__(self):
        return f"{self.method} {self.path}"


@dataclasses.dataclass
class Answer:
    status: int
    headers: dict
    content: bytes

    def json(self):
        return json.loads(self.content)

    @property
    def detail(self):
        try:
            return str(self.json().get("detail"))
        except (ValueError, AttributeError):
            return repr(self.content[:100])

    def __str__(self):
        return f"{self.status} {self.detail} (request {self.headers.get('x-request-id')})"


class Connection:
    """Stays open as long as both sides want it, and opens again by itself."""

    def __init__(self):
        self.address = self.reader = self.writer = None

    async def ask(self, address, request, abandon=False):
        """The answer to these bytes. With `abandon`, hangs up at once."""
        sent = False
        try:
            async with asyncio.timeout(TIMEOUT):
                await self._open(address)
                sent = True
                self.writer.write(request)
                await self.writer.drain()
                if abandon:
                    raise ConnectionAbortedError("abandoned")
                answer = await self._answer()
        except (OSError, EOFError, TimeoutError) as error:
            self.close()
            raise LostError(error, sent) from None
        except BaseException:
            self.close()
            raise
        if answer.headers.get("connection", "").lower() == "close":
            self.close()
        return answer

    async def _open(self, address):
        if self.writer and (address != self.address or self.reader.at_eof() or self.writer.is_closing()):
            self.close()
        if not self.writer:
            self.reader, self.writer = await asyncio.open_connection(*address)
            self.address = address

    async def _answer(self):
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *fields = head.split("\r\n")[:-2]
        status = int(line.split()[1])
        headers = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
        length = 0 if status in {204, 304} else int(headers.get("content-length", 0))
        return Answer(status, headers, await self.reader.readexactly(length))

    def close(self):
        if self.writer:
            with contextlib.suppress(OSError, RuntimeError):
                self.writer.transport.abort()
        self.reader = self.writer = None

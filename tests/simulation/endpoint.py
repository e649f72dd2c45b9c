"""Simulated model endpoint: OpenAI-compatible, streaming, in real time, with known energy per step.

    python tests/simulation/endpoint.py --sysfs DIR [--step-j …]

The energy model is that of ``server.py`` without the cost of contexts: requests wait for the current step, are prefilled, and then
all advance by one token per decode step. A step takes ``step_s`` and ``step_j + running * token_j``, a prefilled token takes
``prefill_j``, and the host draws ``idle_w``. The energy is added to the RAPL counter of a fixture tree in real time.
``GET /truth`` returns steps, tokens, joules and the total time of steps. The length of a prompt is its number of words, the
length of an answer is the number after ``tokens=`` in its prompt.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import re
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from tests.simulation.sensors import Zone, powercap

TICK_S = 0.005
EMPTY = {"id": "x", "object": "chat.completion.chunk", "created": 0}


@dataclass(slots=True)
class StepCosts:
    """Energies [J], idle power [W] and times [s] of the simulated model."""

    idle_w: float = 10.0
    step_s: float = 0.025
    step_j: float = 3.1
    token_j: float = 0.4
    prefill_s: float = 0.0
    prefill_j: float = 0.0
    slots: int = 256


@dataclass(slots=True)
class EnergyTotals:
    """Totals since the start: counts, seconds and joules."""

    steps: int = 0
    tokens: int = 0
    prefilled: int = 0
    step_seconds: float = 0.0
    joules: float = 0.0


@dataclass(slots=True, eq=False)
class ActiveRequest:
    """A request in the queue or in decoding, with its streamed pieces."""

    input_tokens: int
    remaining: int
    pieces: asyncio.Queue[str | None] = field(default_factory=asyncio.Queue)


class SimulatedModel:
    """Decode loop of the simulated model, and the energy counter that it advances."""

    def __init__(self, law: StepCosts, zone: Zone) -> None:
        self.law, self.zone, self.truth = law, zone, EnergyTotals()
        self.waiting: list[ActiveRequest] = []
        self.running: list[ActiveRequest] = []
        self.arrived = asyncio.Event()
        self._power_w = 0.0

    async def meter(self) -> None:
        """Add idle energy to the counter continuously."""
        last = time.monotonic()
        while True:
            await asyncio.sleep(TICK_S)
            now = time.monotonic()
            self._add(self.law.idle_w * (now - last))
            last = now

    def _add(self, joules: float) -> None:
        self.truth.joules += joules
        self.zone.add(round(joules * 1e6))

    async def decode(self) -> None:
        """Run decode steps forever; waiting requests join between steps."""
        law = self.law
        while True:
            while self.waiting and len(self.running) < law.slots:
                request = self.waiting.pop(0)
                if law.prefill_s:
                    await asyncio.sleep(law.prefill_s * request.input_tokens)
                self._add(law.prefill_j * request.input_tokens)
                self.truth.prefilled += request.input_tokens
                self.running.append(request)
            if not self.running:
                self.arrived.clear()
                await self.arrived.wait()
                continue
            begin = time.monotonic()
            joules = law.step_j + law.token_j * len(self.running)
            for part in range(1, 6):  # energy is spread over the step
                await asyncio.sleep(max(begin + law.step_s * part / 5 - time.monotonic(), 0))
                self._add(joules / 5)
            self.truth.steps += 1
            self.truth.step_seconds += time.monotonic() - begin
            self.truth.tokens += len(self.running)
            for request in self.running:
                request.remaining -= 1
                request.pieces.put_nowait(" word")
                if not request.remaining:
                    request.pieces.put_nowait(None)
            self.running = [request for request in self.running if request.remaining]


class HttpServer:
    """Minimal HTTP/1.1 server for streaming clients."""

    def __init__(self, model: SimulatedModel, options: argparse.Namespace) -> None:
        self.model, self.options = model, options
        self.limited = options.limit_first

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Handle the requests of one connection."""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode().split("\r\n")
                headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                await self._answer(lines[0].split()[1], headers, body, writer)
        writer.close()

    async def _answer(self, path: str, headers: dict[str, str], body: bytes, writer: asyncio.StreamWriter) -> None:
        if self.options.key and headers.get("authorization") != f"Bearer {self.options.key}":
            await self._json(writer, 401, {"error": "a key is needed"})
        elif path == "/truth":
            await self._json(writer, 200, asdict(self.model.truth))
        elif path == "/v1/models":
            await self._json(writer, 200, {"data": [{"id": "simulated"}]})
        elif path != "/v1/chat/completions":
            await self._json(writer, 404, {"error": "not here"})
        elif self.limited > 0:
            self.limited -= 1
            await self._json(writer, 429, {"error": "slowly"}, "Retry-After: 1\r\n")
        else:
            await self._stream(json.loads(body), writer)

    async def _json(self, writer: asyncio.StreamWriter, status: int, document: object, extra_headers: str = "") -> None:
        raw = json.dumps(document).encode()
        writer.write(
            f"HTTP/1.1 {status} X\r\nServer: simulated/1\r\nContent-Length: {len(raw)}\r\n{extra_headers}\r\n".encode() + raw
        )
        await writer.drain()

    async def _stream(self, completion: dict[str, object], writer: asyncio.StreamWriter) -> None:
        text = " ".join(str(message["content"]) for message in completion["messages"])  # type: ignore[index, attr-defined]
        match = re.search(r"tokens=(\d+)", text)
        length = min(int(match.group(1)) if match else 60, int(completion["max_tokens"]))  # type: ignore[call-overload]
        request = ActiveRequest(len(text.split()), length)
        writer.write(
            b"HTTP/1.1 200 OK\r\nServer: simulated/1\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        if length and not self.options.silent:
            self.model.waiting.append(request)
            self.model.arrived.set()
            while (piece := await request.pieces.get()) is not None:
                self._event(writer, {**EMPTY, "choices": [{"index": 0, "delta": {"content": piece}}]})
                await writer.drain()
        usage = {"prompt_tokens": request.input_tokens, "completion_tokens": 0 if self.options.silent else length}
        if not self.options.no_usage:
            self._event(writer, {**EMPTY, "choices": [], "usage": usage})
        raw = b"data: [DONE]\n\n"
        writer.write(f"{len(raw):x}\r\n".encode() + raw + b"\r\n0\r\n\r\n")
        await writer.drain()

    @staticmethod
    def _event(writer: asyncio.StreamWriter, chunk: object) -> None:
        raw = b"data: " + json.dumps(chunk).encode() + b"\n\n"
        writer.write(f"{len(raw):x}\r\n".encode() + raw + b"\r\n")


async def main(options: argparse.Namespace) -> None:
    """Print the address and serve until killed."""
    (zone,) = powercap(Path(options.sysfs), 1)
    law = StepCosts(**{name: getattr(options, name) for name in StepCosts.__dataclass_fields__})
    model = SimulatedModel(law, zone)
    server = await asyncio.start_server(HttpServer(model, options).handle, "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await asyncio.gather(server.serve_forever(), model.meter(), model.decode())


def parser() -> argparse.ArgumentParser:
    """Options: step costs, and errors to simulate."""
    options = argparse.ArgumentParser()
    options.add_argument("--sysfs", required=True)
    for name, value in asdict(StepCosts()).items():
        options.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    options.add_argument("--key", default="")
    options.add_argument("--limit-first", type=int, default=0)
    options.add_argument("--no-usage", action="store_true")
    options.add_argument("--silent", action="store_true")
    return options


if __name__ == "__main__":
    asyncio.run(main(parser().parse_args()))

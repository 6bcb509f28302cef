"""A load of streams and of whole answers through one address, in a thread of its own, and what became of each call."""

import asyncio
import dataclasses
import random
import threading
import time

import grpc

from python_client import ask, completion_pb2, completion_service_pb2_grpc, fold

CHANNELS = 8
# A stream lasts for 12 to 24 s: longer than a process takes to drain, so that many run over a restart.
PACE = 0.4
TOKENS = (30, 60)
# Nothing is tried again by the client: what fails, fails.
OPTIONS = [("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1)]


@dataclasses.dataclass
class Call:
    """One call: who answered it, when, and how it failed, if it did."""

    kind: str
    by: str
    begun: float
    ended: float
    error: str


class Load:
    """Lanes, each of which makes one call after the other until they are told to finish."""

    def __init__(self, address, streams, whole):
        self.address, self.streams, self.whole = address, streams, whole
        self.calls, self.running = [], 0
        self.finishing = False
        self.thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self.thread.start()

    def finish(self):
        """Begins no more calls, and waits for those that run."""
        self.finishing = True
        self.thread.join()
        return self.calls

    async def _run(self):
        channels = [grpc.aio.insecure_channel(self.address, options=OPTIONS) for _ in range(CHANNELS)]
        stubs = [completion_service_pb2_grpc.CompletionServiceStub(channel) for channel in channels]
        lanes = [self._lane("stream", stubs[number % CHANNELS], stream) for number in range(self.streams)]
        lanes += [self._lane("whole", stubs[number % CHANNELS], whole) for number in range(self.whole)]
        await asyncio.gather(*lanes)
        for channel in channels:
            await channel.close()

    async def _lane(self, kind, stub, make):
        # Not all at once.
        await asyncio.sleep(random.uniform(0, 3))
        while not self.finishing:
            begun = time.monotonic()
            call = Call(kind, "?", begun, begun, "")
            self.running += kind == "stream"
            try:
                await make(stub, call)
            except grpc.RpcError as error:
                call.error = f"{error.code().name}: {error.details()}"
            except AssertionError as error:
                call.error = f"not complete: {error}"
            self.running -= kind == "stream"
            call.ended = time.monotonic()
            self.calls.append(call)


async def stream(stub, call):
    tokens = random.randint(*TOKENS)
    events = []
    async for event in stub.StreamComplete(ask("", f"sim: tokens={tokens} pace={int(PACE * 1000)}ms")):
        if event.WhichOneof("event") == "started":
            call.by = event.started.provider
        events.append(event)
    _, outcome = fold(events)
    complete(outcome, tokens)


async def whole(stub, call):
    response = await stub.Complete(ask("", "sim: tokens=5 pace=20ms"))
    call.by = response.outcome.provider
    complete(response.outcome, 5)
    await asyncio.sleep(0.05)


def complete(outcome, tokens):
    if outcome.finish_reason != completion_pb2.FINISH_REASON_STOP or outcome.usage.output_tokens != tokens:
        raise AssertionError(f"{outcome.usage.output_tokens} tokens of {tokens}")

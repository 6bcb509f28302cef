"""An upstream that speaks the OpenAI chat protocol, for checks with real clients.

What it does depends on the model's name alone. It writes what it saw to its output, one JSON object a line: `listening`
with the port, `request` for each call, and `gone` with the time at which a caller's connection was closed before the
answer was complete. Only the standard library is used, so that nothing stands between the socket and the clock.
"""

import asyncio
import json
import sys
import time

TEXT = "The sky is blue because air scatters short waves more than long ones."


def report(event, **facts):
    print(json.dumps({"event": event, "at": time.time(), **facts}), flush=True)


def usage(output):
    return {"prompt_tokens": 12, "completion_tokens": output, "total_tokens": 12 + output}


def message_of(request):
    """The answer's message and finish reason: a tool call where tools are offered and none has been answered yet."""
    results = [m for m in request["messages"] if m["role"] == "tool"]
    if results:
        calls = [c for m in request["messages"] for c in m.get("tool_calls") or []]
        known = {call["id"] for call in calls}
        if any(result["tool_call_id"] not in known for result in results):
            return {"role": "assistant", "content": "a result without its call"}, "stop"
        said = results[-1]["content"]
        if not isinstance(said, str):
            said = "".join(part["text"] for part in said)
        return {"role": "assistant", "content": f"The tool said: {said}"}, "stop"
    if request.get("tools"):
        function = {"name": request["tools"][0]["function"]["name"], "arguments": '{"city": "Bern"}'}
        call = {"id": "call_1", "type": "function", "function": function}
        return {"role": "assistant", "content": None, "tool_calls": [call]}, "tool_calls"
    return {"role": "assistant", "content": TEXT * (40 if request["model"] == "long" else 1)}, "stop"


def pieces(message):
    """The message as deltas, the way the protocol streams it."""
    yield {"role": "assistant", "content": ""}
    for call in message.get("tool_calls") or []:
        head = {**call, "index": 0, "function": {"name": call["function"]["name"], "arguments": ""}}
        yield {"tool_calls": [head]}
        arguments = call["function"]["arguments"]
        for start in range(0, len(arguments), 5):
            yield {"tool_calls": [{"index": 0, "function": {"arguments": arguments[start : start + 5]}}]}
    for word in (message["content"] or "").split(" "):
        if message["content"]:
            yield {"content": word if word == message["content"].split(" ")[0] else " " + word}


class Call:
    """One connection with one request."""

    def __init__(self, reader, writer):
        self.reader = reader
        self.writer = writer

    async def serve(self):
        head = await self.reader.readuntil(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in lines[1:] if line)}
        body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        request = json.loads(body)
        model = request["model"]
        report("request", model=model, path=lines[0].split(" ")[1], traceparent=headers.get("traceparent", ""))
        answer = asyncio.create_task(self.answer(request, model))
        # Whoever called sends nothing more, so the next thing to be read is the end of the connection.
        gone = asyncio.create_task(self.reader.read(1))
        await asyncio.wait({answer, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            report("gone", model=model)
            answer.cancel()
        gone.cancel()
        for task in (answer, gone):
            try:
                await task
            except (asyncio.CancelledError, ConnectionError):
                pass
        self.writer.close()

    async def answer(self, request, model):
        if model == "silent":
            await asyncio.Event().wait()
        elif model == "limited":
            await self.fail(429, "Too Many Requests", "rate_limit_error", "slow down", "Retry-After: 7\r\n")
        elif model == "rejected":
            await self.fail(400, "Bad Request", "invalid_request_error", "the shape of this is wrong", "")
        elif model == "locked":
            await self.fail(401, "Unauthorized", "authentication_error", "this key is not known", "")
        elif model.startswith("flaky") and model not in SEEN:
            SEEN.add(model)
            await self.fail(503, "Service Unavailable", "server_error", "not now", "")
        elif model == "endless":
            await self.endless(request, model)
        elif request.get("stream"):
            await self.stream(request, model)
        else:
            message, finish = message_of(request)
            await self.whole(message, finish, model)

    async def fail(self, status, words, kind, message, extra):
        body = json.dumps({"error": {"message": message, "type": kind, "code": None, "param": "model"}}).encode()
        await self.send(f"HTTP/1.1 {status} {words}\r\n{extra}", "application/json", body)

    async def whole(self, message, finish, model):
        body = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": model, "usage": usage(9)}
        body["choices"] = [{"index": 0, "message": message, "finish_reason": finish}]
        await self.send("HTTP/1.1 200 OK\r\n", "application/json", json.dumps(body).encode())

    async def send(self, head, kind, body):
        head += f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        self.writer.write(head.encode() + body)
        await self.writer.drain()

    async def begin_stream(self):
        self.writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        await self.writer.drain()

    async def chunk(self, model, delta, finish=None, **more):
        body = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": model, **more}
        body["choices"] = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
        self.writer.write(f"data: {json.dumps(body)}\n\n".encode())
        await self.writer.drain()

    async def stream(self, request, model):
        message, finish = message_of(request)
        await self.begin_stream()
        for delta in pieces(message):
            await self.chunk(model, delta)
        if model == "broken":
            return
        await self.chunk(model, {}, finish)
        await self.chunk(model, None, usage=usage(9))
        self.writer.write(b"data: [DONE]\n\n")
        await self.writer.drain()

    async def endless(self, request, model):
        """Words without an end: only the caller's going away stops it."""
        if request.get("stream"):
            await self.begin_stream()
            await self.chunk(model, {"role": "assistant", "content": ""})
        while True:
            if request.get("stream"):
                await self.chunk(model, {"content": "on and "})
            await asyncio.sleep(0.05)


SEEN = set()


async def main():
    async def accept(reader, writer):
        try:
            await Call(reader, writer).serve()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    report("listening", port=server.sockets[0].getsockname()[1])
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        sys.exit(0)

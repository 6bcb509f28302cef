// What a page does: completions by gRPC-Web with generated code, and by fetch. `window.check` runs one of the checks by its
// name and gives what it found; what is expected of that is said in run.py.
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import { CompletionService } from "./gen/completiond/v1/completion_service_pb.js";
import { FailureDetailSchema } from "./gen/completiond/v1/error_pb.js";

const answers = "sim: tokens=30 first_event=0ms pace=5ms";

function client({ server, key }) {
  const transport = createGrpcWebTransport({
    baseUrl: server,
    interceptors: [
      (next) => (request) => {
        request.header.set("authorization", `Bearer ${key}`);
        return next(request);
      },
    ],
  });
  return createClient(CompletionService, transport);
}

function told(error) {
  if (!(error instanceof ConnectError)) return { thrown: String(error) };
  const [failure] = error.findDetails(FailureDetailSchema);
  return {
    code: Code[error.code],
    message: error.rawMessage,
    pushback: error.metadata.get("grpc-retry-pushback-ms"),
    attempts: failure?.attempts.length ?? null,
    details: error.details.map((detail) => detail.type),
  };
}

// Takes a stream to its end, or to its error.
async function taken(events, each = () => {}) {
  const found = { text: "", kinds: [], error: null };
  try {
    for await (const { event } of events) {
      found.kinds.push(event.case);
      if (event.case === "blockStarted" && event.value.block?.block.case === "text") {
        found.text += event.value.block.block.value.text;
      }
      if (event.case === "blockDelta" && event.value.delta.case === "text") found.text += event.value.delta.value;
      await each(found);
    }
  } catch (error) {
    found.error = told(error);
  }
  return found;
}

async function streamed(response) {
  const found = { status: response.status, type: response.headers.get("content-type"), text: "", error: null };
  found.id = response.headers.get("x-request-id");
  found.retryAfter = response.headers.get("retry-after");
  try {
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let piece = await reader.read(); !piece.done; piece = await reader.read()) found.text += piece.value;
  } catch (error) {
    found.error = error.name;
  }
  return found;
}

function post({ server, key }, body, headers = {}) {
  const shown = { "content-type": "text/plain", authorization: `Bearer ${key}`, ...headers };
  return fetch(`${server}/stream`, { method: "POST", headers: shown, body });
}

const checks = {
  async complete(at) {
    const response = await client(at).complete({ prompt: answers });
    return { text: response.text, simulated: response.outcome.simulated };
  },
  stream: (at) => taken(client(at).streamComplete({ prompt: answers })),
  async refused(at) {
    return client(at).complete({ prompt: "sim: error=rate_limit retry_after=7" }).then(() => null, told);
  },
  async stranger(at) {
    return client({ ...at, key: "guessed" }).complete({ prompt: answers }).then(() => null, told);
  },
  cut: (at) => taken(client(at).streamComplete({ prompt: "sim: tokens=60 first_event=0ms pace=0ms reset_after=20" })),
  // Says when it has begun; then the server is killed.
  killed: (at) =>
    taken(client(at).streamComplete({ prompt: "sim: tokens=1000 first_event=0ms pace=100ms" }), async (found) => {
      if (found.kinds.length === 5) await window.begun();
    }),
  async cancelled(at) {
    const control = new AbortController();
    const events = client(at).streamComplete({ prompt: "sim: tokens=1000 first_event=0ms pace=100ms" }, { signal: control.signal });
    return taken(events, async (found) => {
      if (found.kinds.length === 5) control.abort();
    });
  },
  text: async (at) => streamed(await post(at, answers)),
  events: async (at) => streamed(await post(at, answers, { accept: "text/event-stream" })),
  cutText: async (at) => streamed(await post(at, "sim: tokens=60 first_event=0ms pace=0ms reset_after=20")),
  tooMany: async (at) => streamed(await post(at, "sim: error=rate_limit retry_after=7")),
  // As any page can: nothing that a browser would ask about first.
  async unasked({ server }) {
    const body = "sim: tokens=1 first_event=0ms";
    const seen = await fetch(`${server}/stream`, { method: "POST", headers: { "content-type": "text/plain" }, body })
      .then((response) => response.status, (error) => error.name);
    const blind = await fetch(`${server}/stream`, { method: "POST", mode: "no-cors", body })
      .then((response) => response.type, (error) => error.name);
    return { seen, blind };
  },
};

window.check = (name, at) => checks[name](at);

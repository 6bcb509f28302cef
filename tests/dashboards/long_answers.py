"""An upstream in the OpenAI chat format whose every answer is long and there at once: the simulator takes its time."""

import contextlib
import http.server
import json
import threading

TEXT = "word " * 60_000


class Answers(http.server.BaseHTTPRequestHandler):
    def do_POST(self):  # the name is the library's
        self.rfile.read(int(self.headers["Content-Length"]))
        choice = {"index": 0, "message": {"role": "assistant", "content": TEXT}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 12, "completion_tokens": 9, "total_tokens": 21}
        body = {"id": "1", "object": "chat.completion", "created": 1, "model": "long", "choices": [choice]}
        answer = json.dumps({**body, "usage": usage}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def long_answers():
    """Its address, as a base URL."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()

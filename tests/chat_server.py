"""A chat completion server on loopback, as small as it can be: what it answers is a function of the request."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Says:
    """One answer, or a way to fail."""

    text: str | None = ""
    status: int = 200
    raw: str | None = None
    """The body as it is; None: a chat completion with `text`."""
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    finish: str = "stop"
    usage: tuple[int, int] | None = (10, 5)
    """None: the server does not count."""
    tokens: list[tuple[str, dict[str, float]]] | None = None
    """Token -> the likeliest tokens in its place with their probabilities, where the request asks for them. None: the
    server does not tell."""
    cut: bool = False
    """The connection is lost in the middle of the body."""


@dataclass
class Heard:
    body: dict[str, Any]
    headers: dict[str, str]
    at: float = 0.0
    """time.monotonic() of its arrival."""


@dataclass
class ChatServer:
    url: str
    heard: list[Heard] = field(default_factory=list)
    at_once: int = 0
    """Most requests that were ever under way together."""

    def last_words(self) -> list[str]:
        return [h.body["messages"][-1]["content"] if "messages" in h.body else h.body["prompt"] for h in self.heard]


def refuses(status: int, message: str, **how: Any) -> Says:
    """OpenAI's error."""
    return Says(status=status, raw=json.dumps({"error": {"message": message}}), **how)


def logprobs(tokens: list[tuple[str, dict[str, float]]]) -> dict[str, Any]:
    """OpenAI's `logprobs` of an answer: each token with its bytes, and the likeliest ones in its place."""

    def entry(token: str, chance: float) -> dict[str, Any]:
        return {"token": token, "logprob": math.log(chance), "bytes": list(token.encode())}

    return {
        "content": [
            {**entry(said, likely.get(said, 1.0)), "top_logprobs": [entry(*one) for one in likely.items()]}
            for said, likely in tokens
        ]
    }


def completion(says: Says, raw: bool = False) -> dict[str, Any]:
    """OpenAI's answer: of `/chat/completions`, or of `/completions` (raw text)."""
    said = {"text": says.text} if raw else {"message": {"role": "assistant", "content": says.text}}
    made: dict[str, Any] = {
        "id": "chatcmpl-1",
        "object": "text_completion" if raw else "chat.completion",
        "created": 1,
        "model": "test",
        "choices": [{"index": 0, **said, "finish_reason": says.finish}],
    }
    if says.tokens is not None:
        made["choices"][0]["logprobs"] = logprobs(says.tokens)
    if says.usage is not None:
        prompt, completion = says.usage
        made["usage"] = {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
        }
    return made


@contextmanager
def chat_server(answer: Callable[[dict[str, Any], int], Says | str]) -> Iterator[ChatServer]:
    """Serves until the block ends. `answer` gets the request's body and its number, from 0."""
    lock = threading.Lock()
    busy = 0

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            nonlocal busy
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                number = len(served.heard)
                headers = {k.lower(): v for k, v in self.headers.items()}
                served.heard.append(Heard(body, headers, time.monotonic()))
                busy += 1
                served.at_once = max(served.at_once, busy)
            says = answer(body, number)
            says = Says(says) if isinstance(says, str) else says
            time.sleep(says.delay)
            with lock:
                busy -= 1
            path = "/v1/completions" if "prompt" in body else "/v1/chat/completions"
            text = json.dumps(completion(says, "prompt" in body)) if says.raw is None else says.raw
            self.send_response(says.status if self.path == path else 404)
            for name, value in {"Content-Type": "application/json", **says.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            with suppress(BrokenPipeError, ConnectionResetError):  # the client gave up
                self.wfile.write(text.encode()[: len(text) // 2] if says.cut else text.encode())
            self.close_connection = self.close_connection or says.cut

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, *_: Any) -> None:
            pass

    with Server(("127.0.0.1", 0), Handler) as server:
        served = ChatServer(f"http://127.0.0.1:{server.server_address[1]}/v1")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield served
        finally:
            server.shutdown()
            thread.join()

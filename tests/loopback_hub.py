"""A model hub on 127.0.0.1 that a test fills and can make fail, and a client that runs in a process of its own, because
`huggingface_hub` reads its environment variables once, when it is imported."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from wavcodes.errors import CodecError
from wavcodes.spec import CodecSpec, WeightFile, WeightSource
from wavcodes.weights import locate

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Reply:
    """One answer to a GET.

    Attributes:
        cut: Send only so many bytes of the body and close the connection.
        location: Redirect to there.
        reason: What the hub sends as X-Error-Code with a status that is no success.
        meet: Wait here before the body is sent, so that two clients are in the middle of it at once.
    """

    body: bytes = b""
    status: int = 200
    cut: int | None = None
    location: str | None = None
    reason: str | None = None
    meet: threading.Barrier | None = None


@dataclass
class LoopbackHub:
    """`replies` maps a path to its answers: each GET takes the next one, and the last one stays."""

    replies: dict[str, list[Reply]] = field(default_factory=dict)
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    def __enter__(self) -> "LoopbackHub":
        hub = self

        class Handler(_Handler):
            state = hub

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = False  # so that closing waits for the answers under way
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def serve(self, path: str, *replies: Reply) -> None:
        self.replies[path] = list(replies)

    def serve_file(self, repo: str, revision: str, name: str, *replies: Reply) -> None:
        self.serve(f"/{repo}/resolve/{revision}/{name}", *replies)

    def gets(self) -> list[str]:
        return [path for method, path, _ in self.requests if method == "GET"]


class _Handler(BaseHTTPRequestHandler):
    state: LoopbackHub

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(consume=False)

    def do_GET(self) -> None:
        self._answer(consume=True)

    def _answer(self, consume: bool) -> None:
        self.state.requests.append((self.command, self.path, dict(self.headers.items())))
        queue = self.state.replies.get(self.path, [Reply(status=404, reason="EntryNotFound")])
        reply = queue.pop(0) if consume and len(queue) > 1 else queue[0]
        if reply.location is not None:
            self.send_response(302)
            self.send_header("Location", reply.location)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        start = 0
        if reply.status == 200 and (wanted := self.headers.get("Range")):
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        body = reply.body[start:]
        self.send_response(206 if start else reply.status)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(reply.body) - 1}/{len(reply.body)}")
        if reply.reason is not None:
            self.send_header("X-Error-Code", reply.reason)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Repo-Commit", COMMIT)
        # The tag names the right content (the last reply), as a hub's does when a cache on the way is damaged.
        self.send_header("ETag", f'"{hashlib.sha256(queue[-1].body).hexdigest()}"')
        self.end_headers()
        if consume:
            if reply.meet is not None:
                reply.meet.wait(timeout=20)
            self.wfile.write(body[: reply.cut])


@dataclass(frozen=True)
class Outcome:
    """What `locate` did in the client's process: the files, or the class and message of the error."""

    paths: tuple[Path, ...] = ()
    verified: tuple[bool, ...] = ()
    error: str = ""
    message: str = ""


def make_spec(files: list[WeightFile], repo: str | None = None, revision: str | None = None) -> CodecSpec:
    """A codec whose only facts of interest are its weights."""
    return CodecSpec(
        name="toy_8khz",
        sample_rate=8000,
        channels=1,
        hop_length=80,
        num_codebooks=1,
        codebook_size=4,
        bandwidths=(0.2,),
        default_bandwidth=0.2,
        strides=(1,),
        weights=WeightSource(tuple(files), "none", repo=repo, revision=revision),
    )


def start_client(
    folder: Path, files: list[WeightFile], weights: str | None = None, repo: str = "owner/toy", **environment: str
) -> subprocess.Popen[str]:
    """`locate` in a new process, with the hub's and our caches below `folder`."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "WAVCODES_", "TRANSFORMERS_"))}
    own = {
        "PYTHONPATH": os.pathsep.join(sys.path),
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
        "HF_HOME": str(folder / "hub"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "WAVCODES_CACHE": str(folder / "cache"),
    }
    task = json.dumps([[asdict(file) for file in files], repo, weights])
    return subprocess.Popen(
        [sys.executable, __file__, task],
        env=kept | own | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(client: subprocess.Popen[str]) -> Outcome:
    out, err = client.communicate(timeout=60)
    assert client.returncode == 0, err
    paths, verified, error, message = json.loads(out)
    return Outcome(tuple(Path(path) for path in paths), tuple(verified), error, message)


def _client(task: str) -> None:
    files, repo, weights = json.loads(task)
    spec = make_spec([WeightFile(**file) for file in files], repo, COMMIT)
    try:
        found = locate(spec, weights)
        print(json.dumps([[str(one.path) for one in found], [one.verified for one in found], "", ""]))
    except CodecError as error:
        print(json.dumps([[], [], type(error).__name__, str(error)]))


if __name__ == "__main__":
    _client(sys.argv[1])

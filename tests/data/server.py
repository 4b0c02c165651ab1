"""A web server that misbehaves on demand."""

import threading
import time
from collections import deque
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Site:
    """What the server sends; a test changes it between two requests.

    Faults are queues: a request takes the next of each, and none is left for those after it.
    """

    def __init__(self, body):
        self.body = body
        self.etag = '"first"'
        self.modified = None
        self.ranges = True  # False: always the whole file
        self.heeds_if_range = True
        self.sends_length = True
        self.slow = 0.0  # seconds after each 1000 bytes
        self.always_cut = None
        self.length_error = 0  # added to the Content-Length
        self.shift = 0  # added to the position a partial answer claims to begin at
        # Answers instead of the file, bytes after which the connection is closed, bytes after
        # which nothing more comes, and files to send instead of this one.
        self.statuses, self.cuts, self.hangs, self.bodies = (deque() for _ in range(4))
        self.requests = []  # the headers of every request
        self.over = threading.Event()

    @property
    def asked_ranges(self):
        return [headers.get("Range") for headers in self.requests]

    def start(self, headers):
        """Where the answer to a request starts; None: at the first byte of a whole file."""
        condition = headers.get("If-Range")
        same = condition in {None, self.etag, self.modified} or not self.heeds_if_range
        asked = headers.get("Range") if self.ranges and same else None
        return asked and int(asked.removeprefix("bytes=").rstrip("-"))


def _next(queue):
    return queue.popleft() if queue else None


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_GET(self):
        site = self.server.site
        site.requests.append(dict(self.headers))
        status, body, start = _next(site.statuses), _next(site.bodies), site.start(self.headers)
        body = body or site.body
        if status or (start or 0) >= len(body):
            self.send_error(status or 416)
            return
        self.begin(site, start, len(body))
        self.send(site, body[start or 0 :])

    def begin(self, site, start, size):
        """Send the headers."""
        self.send_response(200 if start is None else 206)
        headers = {"ETag": site.etag, "Last-Modified": site.modified}
        if start is not None:
            headers["Content-Range"] = f"bytes {start + site.shift}-{size - 1}/{size}"
        if site.sends_length:
            headers["Content-Length"] = str(size - (start or 0) + site.length_error)
        for name, value in headers.items():
            if value:
                self.send_header(name, value)
        self.end_headers()

    def send(self, site, body):
        cut, hang = _next(site.cuts) or site.always_cut, _next(site.hangs)
        end = min(len(body) if stop is None else stop for stop in (cut, hang))
        for i in range(0, end, 1000):
            self.wfile.write(body[i : min(i + 1000, end)])
            time.sleep(site.slow)
        if hang is not None:
            site.over.wait(30)


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *args):
        """Clients that go away are part of the tests."""


@contextmanager
def serve(body):
    """Gives the site and its address."""
    with Server(("127.0.0.1", 0), Handler) as server:
        server.site = Site(body)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield server.site, f"http://127.0.0.1:{server.server_port}"
        finally:
            server.site.over.set()
            server.shutdown()

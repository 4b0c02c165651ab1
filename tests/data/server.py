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
        self.statuses = deque()  # answers instead of the file
        self.cuts = deque()  # bytes after which the connection is closed
        self.always_cut = None
        self.hangs = deque()  # bytes after which nothing more comes
        self.length_error = 0  # added to the Content-Length
        self.shift = 0  # added to the position a partial answer claims to begin at
        self.bodies = deque()  # sent instead of the file
        self.requests = []  # the headers of every request
        self.over = threading.Event()

    @property
    def asked_ranges(self):
        return [headers.get("Range") for headers in self.requests]


def _next(queue):
    return queue.popleft() if queue else None


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    @property
    def site(self):
        return self.server.site

    def do_GET(self):
        site = self.site
        site.requests.append(dict(self.headers))
        if self.path.startswith("/moved/"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/moved"))
            self.end_headers()
            return
        if status := _next(site.statuses):
            self.send_error(status)
            return
        body = _next(site.bodies) or site.body
        start = self.begin(body)
        if start is not None:
            self.send(body[start:])

    def begin(self, body):
        """Send the headers; gives where the body starts."""
        site, start = self.site, 0
        asked = self.headers.get("Range")
        condition = self.headers.get("If-Range")
        same = condition in (None, site.etag, site.modified) or not site.heeds_if_range
        if site.ranges and asked and same:
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            if start >= len(body):
                self.send_error(416)
                return None
            self.send_response(206)
            claimed = start + site.shift
            self.send_header("Content-Range", f"bytes {claimed}-{len(body) - 1}/{len(body)}")
        else:
            self.send_response(200)
        if site.sends_length:
            self.send_header("Content-Length", str(len(body) - start + site.length_error))
        if site.etag:
            self.send_header("ETag", site.etag)
        if site.modified:
            self.send_header("Last-Modified", site.modified)
        self.end_headers()
        return start

    def send(self, body):
        cut, hang = _next(self.site.cuts) or self.site.always_cut, _next(self.site.hangs)
        end = min(len(body) if stop is None else stop for stop in (cut, hang))
        for i in range(0, end, 1000):
            self.wfile.write(body[i : min(i + 1000, end)])
            time.sleep(self.site.slow)
        if hang is not None:
            self.site.over.wait(30)


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *args):
        """Clients that go away are part of the tests."""


@contextmanager
def serve(body):
    """Gives the site and its address."""
    server = Server(("127.0.0.1", 0), Handler)
    server.site = Site(body)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server.site, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.site.over.set()
        server.shutdown()
        server.server_close()
        thread.join()

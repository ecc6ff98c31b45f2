# SPDX-License-Identifier: Apache-2.0
"""Shows logs over HTTP as C2SP tlog-tiles and docs/ledger.md say, and, told to, something else."""
import http.server
import re
import threading

from made_log import WIDTH, bundle, root


def tile_of(log, level, number, width):
    hashes = log.leaves
    for _ in range(level):
        hashes = [root(hashes[at:at + WIDTH]) for at in range(0, len(hashes) - WIDTH + 1, WIDTH)]
    hashes = hashes[number * WIDTH:number * WIDTH + width]
    return b"".join(hashes) if len(hashes) == width else None


class LogServer:
    """`wrong` (a function of path and body) changes what is shown; None is 404."""
    def __init__(self, *logs):
        self.logs, self.wrong, self.asked, self.status = {log.shard: log for log in logs}, None, [], None
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # a body behind its head would wait for the reader's delayed ACK

            def do_GET(self):  # noqa: N802
                server.asked.append(self.path)
                body = server.answer(self.path)
                if server.wrong:
                    body = server.wrong(self.path, body)
                self.send_response(server.status or (200 if body is not None else 404))
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = "http://127.0.0.1:%d/ledger" % self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def answer(self, path):
        if path == "/ledger/checkpoint":
            return self.logs[max(self.logs)].note()
        found = re.fullmatch(r"/ledger/(\d+)/(checkpoint|tile/(\d|entries)/((?:x\d{3}/)*\d{3})(?:\.p/(\d+))?)", path)
        log = found and self.logs.get(int(found.group(1)))
        if not log:
            return None
        if found.group(2) == "checkpoint":
            return log.note()
        number, width = int(found.group(4).replace("x", "").replace("/", "")), int(found.group(5) or WIDTH)
        if found.group(3) != "entries":
            return tile_of(log, int(found.group(3)), number, width)
        entries = log.entries[number * WIDTH:number * WIDTH + width]
        return bundle(entries) if len(entries) == width else None

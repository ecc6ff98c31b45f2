# SPDX-License-Identifier: Apache-2.0
"""A server that does what hsmint's never would, to see what the library makes of it."""
import contextlib
import socket
import threading

REPLY = b'{"credential":"a.b.c","kind":"at+jwt","profile":"p","kid":"k","id":"i","issued_at":1,"expires_at":2}'


def answer(status=b"200 OK", body=REPLY, headers=b""):
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n%s\r\n%s" % (status, len(body), headers, body)


class FalseServer:
    """
    Runs one script for each connection, in order. A script is a list of what to do: bytes are sent; "request" reads one
    HTTP request, "frame" one datagram; "mute" waits until the other side closes. Then the connection is closed.
    """

    def __init__(self, listener, *scripts, wrap=None):
        self.listener = listener
        self.wrap = wrap
        self.requests = []
        self.connections = 0
        self.thread = threading.Thread(target=self.run, args=(scripts,), daemon=True)
        self.thread.start()

    @classmethod
    def unix(cls, path, *scripts, kind=socket.SOCK_STREAM):
        listener = socket.socket(socket.AF_UNIX, kind)
        listener.bind(path)
        listener.listen()
        return cls(listener, *scripts)

    @classmethod
    def tcp(cls, *scripts, wrap=None):
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        return cls(listener, *scripts, wrap=wrap)

    @property
    def port(self):
        return self.listener.getsockname()[1]

    def run(self, scripts):
        for script in scripts:
            with contextlib.suppress(OSError):
                connection, _ = self.listener.accept()
                self.connections += 1
                with self.wrap(connection) if self.wrap else connection as stream:
                    self.follow(script, stream)

    def follow(self, script, connection):
        for step in script:
            if step == "request":
                request = self.read_request(connection)
                self.requests += [request] if request else []
            elif step == "frame":
                self.requests.append(connection.recv(1 << 17))
            elif step == "mute":
                while connection.recv(1 << 16):
                    pass
            else:
                connection.sendall(step)

    @staticmethod
    def read_request(connection):
        data = b""
        while b"\r\n\r\n" not in data:
            more = connection.recv(1 << 16)
            if not more:
                return data
            data += more
        head, body = data.split(b"\r\n\r\n", 1)
        length = next((int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
        while len(body) < length:
            body += connection.recv(1 << 16)
        return head + b"\r\n\r\n" + body

    def close(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(10)

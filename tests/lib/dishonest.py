"""Stands before a real tallyd, and answers ok to what it has not, or twice, passed on."""
import ctypes
import http.client
import http.server
import signal
import subprocess
import sys

from ports import free_port

NTH = 10  # report that is lost or doubled


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    port = times = None
    n_reports = 0

    def ask(self, body):
        """Of a connection of its own; so a second time is no repeat of the first."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        connection.request(self.command, self.path, body, {
            name: value for name, value in self.headers.items() if name != "Connection"})
        answer = connection.getresponse()
        return answer.status, answer.read()

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        times = 1
        if self.path.startswith("/observer"):
            Handler.n_reports += 1
            times = self.times if Handler.n_reports == NTH else 1
        status, text = 200, b'{"ok":true}'
        for _ in range(times):
            status, text = self.ask(body)
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = answer

    def log_message(self, *_):
        pass


def end_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def main(binary, times):
    """As tallyd: its arguments, but for where it listens."""
    listen = next(a for a in sys.argv if a.startswith("--listen="))
    Handler.port, Handler.times = free_port(), times
    tallyd = subprocess.Popen([binary, *(f"--listen=127.0.0.1:{Handler.port}" if a == listen else a
                                         for a in sys.argv[1:])],
                              preexec_fn=end_with_parent)

    def stop(*_):
        tallyd.terminate()
        sys.exit(tallyd.wait())
    signal.signal(signal.SIGTERM, stop)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(listen.rpartition(":")[2])),
                                             Handler)
    server.daemon_threads = True
    server.serve_forever()

"""Serves moto on a free port of 127.0.0.1, prints {"port": N}, and ends when stdin does.

The parent holds the other end of stdin, so a parent that dies, however it dies, takes this process along.
"""

import json
import logging
import os
import sys
import threading

from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import make_server


class Handler(MotoRequestHandler):
    # Werkzeug speaks HTTP/1.0 unless told otherwise: a connection a call doubles what a call costs.
    protocol_version = "HTTP/1.1"
    # Small answers would wait for the peer's delayed acknowledgement (40 ms) on a kept connection.
    disable_nagle_algorithm = True

    def log_request(self, *args):
        pass


def end_with_stdin():
    while os.read(0, 4096):
        pass
    os._exit(0)


logging.getLogger("werkzeug").setLevel(logging.ERROR)
app = DomainDispatcherApplication(create_backend_app)
server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Handler)
threading.Thread(target=end_with_stdin, daemon=True).start()
print(json.dumps({"port": server.server_port}), flush=True)
server.serve_forever()

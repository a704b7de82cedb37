"""Serves moto on a free port of 127.0.0.1, prints {"port": N}, and ends when stdin does.

The parent holds the other end of stdin, so a parent that dies, however it dies, takes this process along.
"""

import functools
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


@functools.cache
def correct_cloudformation():
    """Has it do what AWS's does, where the templates lean on it. Costs a second, so not before it is asked for."""
    from moto.cloudformation import parsing
    from moto.ssm.models import Parameter

    clean = parsing.clean_json
    create_parameter = Parameter.create_from_cloudformation_json.__func__

    def without_no_value(resource_json, resources_map):
        # AWS::NoValue takes a member out of a list; moto leaves a null there.
        cleaned = clean(resource_json, resources_map)
        if isinstance(resource_json, list):
            return [value for value in cleaned if value is not None]
        return cleaned

    def with_tags(cls, resource_name, cloudformation_json, *args, **kwargs):
        # Tags of a parameter are a map in a template, and a list in the API.
        properties = cloudformation_json["Properties"]
        tags = properties.get("Tags") or {}
        if isinstance(tags, dict):
            properties["Tags"] = [{"Key": k, "Value": v} for k, v in tags.items()]
        return create_parameter(
            cls, resource_name, cloudformation_json, *args, **kwargs
        )

    parsing.clean_json = without_no_value
    Parameter.create_from_cloudformation_json = classmethod(with_tags)


def corrected(environ, start_response):
    if "/cloudformation/" in environ.get("HTTP_AUTHORIZATION", ""):
        correct_cloudformation()
    return app(environ, start_response)


def end_with_stdin():
    while os.read(0, 4096):
        pass
    os._exit(0)


logging.getLogger("werkzeug").setLevel(logging.ERROR)
app = DomainDispatcherApplication(create_backend_app)
server = make_server("127.0.0.1", 0, corrected, threaded=True, request_handler=Handler)
threading.Thread(target=end_with_stdin, daemon=True).start()
print(json.dumps({"port": server.server_port}), flush=True)
server.serve_forever()

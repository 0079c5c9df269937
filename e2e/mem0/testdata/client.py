"""Drives the unmodified mem0 client, one call a line.

Each line of standard input is a JSON object: {"client": name, "method": name,
"args": [...], "kwargs": {...}}. The method "connect" makes the client of that
name, with kwargs for MemoryClient. Each line of standard output is {"result":
...}, or {"error": class, "message": text, "status": HTTP status or null}.
"""

import json
import logging
import sys

from mem0 import MemoryClient

# The client logs each refusal, which the answer tells already.
logging.disable(logging.CRITICAL)

clients = {}


def call(line):
    name, method = line["client"], line["method"]
    args, kwargs = line.get("args") or [], line.get("kwargs") or {}
    if method == "connect":
        clients[name] = MemoryClient(**kwargs)
        return None
    return getattr(clients[name], method)(*args, **kwargs)


for text in sys.stdin:
    try:
        answer = {"result": call(json.loads(text))}
    except Exception as error:
        debug = getattr(error, "debug_info", None) or {}
        answer = {"error": type(error).__name__, "message": str(error), "status": debug.get("status_code")}
    print(json.dumps(answer), flush=True)

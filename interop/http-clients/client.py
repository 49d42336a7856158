"""
client.py: python-consul driven over JSON lines.

Takes {"id", "cmd": "call", "path": "agent.service.register", "args": [...], "kwargs": {...}} and answers {"id", "result"}, or
{"id", "error", "kind"} with the class of the exception. A "check" among the arguments may be given as
{"ttl": "10s"} or {"tcp": ["host", port, "interval"]}, made with the library's own helpers.
"""
import json
import sys
import threading

import consul

lock = threading.Lock()


def tell(line):
    with lock:
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


def check(given):
    if "ttl" in given:
        return consul.Check.ttl(given["ttl"])
    if "http" in given:
        return consul.Check.http(*given["http"])
    return consul.Check.tcp(*given["tcp"])


def answer(request):
    try:
        target = consul.Consul(host="127.0.0.1", port=int(sys.argv[1]), token=request.get("token"))
        for name in request["path"].split("."):
            target = getattr(target, name)
        kwargs = request.get("kwargs", {})
        if "check" in kwargs:
            kwargs["check"] = check(kwargs["check"])
        result = target(*request.get("args", []), **kwargs)
        tell({"id": request["id"], "result": result})
    except Exception as error:
        tell({"id": request["id"], "error": str(error), "kind": type(error).__name__})


for line in sys.stdin:
    # A call may wait for a change that a later one makes.
    threading.Thread(target=answer, args=(json.loads(line),), daemon=True).start()

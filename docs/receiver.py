"""An example receiver: verifies what it is sent, and reads the log from its own position, so that it misses nothing.

    WEBHOOK_SECRET=whsec_… REGISTER=https://register.example python receiver.py 8080

Python alone is enough. Replace `deal_with` by what your system does; it may be called twice for an event if the machine
stops in between, so let it be something that may be done twice.
"""

# ruff: noqa: T201, S310

import base64
import hashlib
import hmac
import json
import os
import sys
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

FIVE_MINUTES = 300
BODY_LIMIT = 1024 * 1024


def deal_with(event):
    """What your system does about an event."""
    print(f"{event['position']}: {event['kind']} {event['document']} version {event['version']}", flush=True)


def verified(secrets, headers, body, now):
    """Whether one of the secrets signed these bytes, within the last five minutes."""
    name, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not timestamp.isascii() or not timestamp.isdecimal() or abs(now - int(timestamp)) > FIVE_MINUTES:
        return False
    signed = f"{name}.{timestamp}.".encode() + body
    given = [part[3:] for part in headers.get("webhook-signature", "").split() if part.startswith("v1,")]
    for secret in secrets:
        key = base64.b64decode(secret.removeprefix("whsec_"))
        expected = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
        if any(hmac.compare_digest(expected.encode(), one.encode()) for one in given):
            return True
    return False


class Reader:
    """Reads the log, deals with each event once, and keeps in a file, a line for each, with which it has dealt.

    Where an older copy of the register was brought back, its log holds other events at some of the positions.
    """

    def __init__(self, register, file, deal=deal_with):
        self.register, self.file, self.deal = register, Path(file), deal
        lines = self.file.read_text().splitlines() if self.file.exists() else []
        kept = [line.split(" ") for line in lines if line.count(" ") == 1]  # not one that was cut off by a full disk
        self.position, self.last = (int(kept[-1][0]), kept[-1][1]) if kept else (0, "")
        self.dealt = {name for _, name in kept}
        self.woken = threading.Event()
        self.lock = threading.Lock()

    def catch_up(self):
        """Deal with everything that follows, in order; how many events that were."""
        count = 0
        with self.lock:
            while events := self.following():
                for event in events:
                    if event["id"] not in self.dealt:
                        self.deal(event)
                        count += 1
                    self.keep(event["position"], event["id"])
        return count

    def following(self):
        """The next events; from the beginning, where the log does not hold our last one in its place any more."""
        if not self.position:
            return self.read(0)
        events = self.read(self.position - 1)
        if events and events[0]["id"] == self.last:
            return events[1:]
        print("this is not the log that was read before: it is read again, for what is new", file=sys.stderr)
        self.position = 0
        return self.read(0)

    def read(self, after):
        """The events behind a position; none, where the log does not reach so far."""
        try:
            with urllib.request.urlopen(f"{self.register}/v1/events?after={after}", timeout=60) as answer:
                return json.load(answer)["events"]
        except urllib.error.HTTPError as error:
            if error.code == 400 and json.load(error).get("parameter") == "after":
                return []
            raise

    def keep(self, position, name):
        with self.file.open("a") as file:
            file.write(f"\n{position} {name}")
        self.position, self.last = position, name
        self.dealt.add(name)

    def run(self):
        """Catch up on every wake, and every five minutes though nobody wakes us."""
        while True:
            try:
                self.catch_up()
            except (OSError, ValueError) as error:
                print(f"the register was not reached: {error}", file=sys.stderr, flush=True)
            self.woken.wait(FIVE_MINUTES)
            self.woken.clear()


def receiver(secrets, wake, port):
    """A server that answers challenges, verifies what it is sent, and wakes the reader."""

    class Answering(BaseHTTPRequestHandler):
        def do_POST(self):
            length = int(self.headers.get("Content-Length", 0))
            if not 0 <= length <= BODY_LIMIT:
                return self.answer(413)
            body = self.rfile.read(length)
            headers = {name.lower(): value for name, value in self.headers.items()}
            if not verified(secrets, headers, body, time.time()):
                return self.answer(401)
            event = json.loads(body)
            if event["kind"] == "endpoint.verification":
                return self.answer(200, json.dumps({"challenge": event["challenge"]}).encode())
            if "rehearsal" in event:
                print(f"rehearsal: {event['kind']} {event['document']} version {event['version']}", flush=True)
            else:
                wake()
            return self.answer(204)

        def answer(self, status, body=b""):
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return ThreadingHTTPServer(("", port), Answering)


if __name__ == "__main__":
    reader = Reader(os.environ["REGISTER"], os.environ.get("POSITION_FILE", "position"))
    threading.Thread(target=reader.run, daemon=True).start()
    receiver(os.environ["WEBHOOK_SECRET"].split(), reader.woken.set, int(sys.argv[1])).serve_forever()

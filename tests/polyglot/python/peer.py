"""Steers a memolock.py peer by lines of JSON: see ../README.md for the words."""

import argparse
import collections
import json
import platform
import random
import sys
import threading
import time

import redis

from memolock import LeaseLost, MemoLock, TimeoutError

printing = threading.Lock()


class Failed(Exception):
    """The compute failed, since it was told to."""


def tell(event, **more):
    with printing:
        print(json.dumps({"event": event, **more}), flush=True)


def orders():
    for line in sys.stdin:
        yield json.loads(line)
    # Whoever steered us is gone.
    sys.exit(0)


def compute(order_of):
    """A compute that does what it is told, and takes as long as that takes."""

    def work(renew):
        tell("computing")
        while True:
            order = next(order_of)
            match order["do"]:
                case "return":
                    return order["value"]
                case "fail":
                    raise Failed(order["message"])
                case "renew":
                    try:
                        renew(order["seconds"])
                        tell("renewed")
                    except LeaseLost:
                        tell("lost")
                    except redis.ResponseError as error:
                        tell("refused", message=str(error))
                case other:
                    raise Failed(f"a compute does not know `{other}`")

    return work


def halt(order, order_of):
    """Stops at the step that the order names, until it is told to go on."""

    def at(step):
        if order.get("halt") == step:
            tell("halted", step=step)
            if next(order_of)["do"] != "go":
                raise Failed("it is halted")

    return at


def crowd(peer, order):
    """Many callers of one id, which dawdle between their steps; says in the end how often they ended in which way."""
    ends, guard = collections.Counter(), threading.Lock()
    dawdle = lambda step: time.sleep(random.uniform(0, order["dawdle_ms"] / 1000))

    def caller():
        try:
            dawdle("begin")
            _, end = peer.get(order["id"], order["wait_ms"] / 1000, lambda renew: order["value"], dawdle)
        except TimeoutError:
            end = "timeout"
        with guard:
            ends[end] += 1

    callers = [threading.Thread(target=caller) for _ in range(order["callers"])]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    tell("crowd", id=order["id"], ends=ends)


def obey(peer, order, order_of):
    """One order from the outside, and its end."""
    stop = halt(order, order_of)
    try:
        match order["do"]:
            case "get":
                value, source = peer.get(order["id"], order["wait_ms"] / 1000, compute(order_of), stop)
                tell("value", value=value, source=source)
            case "external":
                triggered = lambda renew: tell("triggered")
                value, source = peer.get_external(order["id"], order["wait_ms"] / 1000, triggered, stop)
                tell("value", value=value, source=source)
            case "keep":
                peer.keep(order["id"], order["value"])
                tell("kept")
            case "crowd":
                # Apart, so that many can be under way.
                threading.Thread(target=crowd, args=[peer, order]).start()
            case other:
                tell("failed", message=f"a peer does not know `{other}`")
    except TimeoutError:
        tell("timeout")
    except (Failed, redis.RedisError) as error:
        tell("failed", message=str(error))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--tag", required=True)
    parser.add_argument("--style", choices=["go", "csharp"], required=True)
    parser.add_argument("--lock-ms", type=int, default=60_000)
    parser.add_argument("--ttl-ms", type=int, default=60_000)
    args = parser.parse_args()
    # C# reads payloads as UTF-8, and what is none is replaced. (Go does not mind; our output is UTF-8 in both styles.)
    # Each caller of a crowd has a connection.
    client = redis.Redis.from_url(args.url, decode_responses=True, encoding_errors="replace", max_connections=1000)
    peer = MemoLock(client, args.tag, args.lock_ms, args.ttl_ms, args.style, tell=tell)
    tell("ready", client=f"Python {platform.python_version()}, redis-py {redis.__version__}")
    order_of = orders()
    for order in order_of:
        obey(peer, order, order_of)


if __name__ == "__main__":
    main()

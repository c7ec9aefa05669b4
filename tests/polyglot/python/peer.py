"""Steers a memolock.py peer by lines of JSON: see ../README.md for the words."""

import argparse
import json
import platform
import sys
import threading

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


def compute(order_of, may_renew):
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
                case "renew" if may_renew:
                    try:
                        renew(order["seconds"])
                        tell("renewed")
                    except LeaseLost:
                        tell("lost")
                case other:
                    raise Failed(f"a compute does not know `{other}`")

    return work


def obey(peer, order, order_of, may_renew):
    """One order from the outside, and its end."""
    try:
        match order["do"]:
            case "get":
                value, source = peer.get(order["id"], order["wait_ms"] / 1000, compute(order_of, may_renew))
                tell("value", value=value, source=source)
            case "external":
                triggered = lambda renew: tell("triggered")
                value, source = peer.get_external(order["id"], order["wait_ms"] / 1000, triggered)
                tell("value", value=value, source=source)
            case "keep":
                peer.keep(order["id"], order["value"])
                tell("kept")
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
    parser.add_argument("--style", choices=["go", "csharp", "renew"], required=True)
    parser.add_argument("--lock-ms", type=int, default=60_000)
    parser.add_argument("--ttl-ms", type=int, default=60_000)
    args = parser.parse_args()
    client = redis.Redis.from_url(args.url, decode_responses=True)
    deletes = args.style == "csharp"
    peer = MemoLock(client, args.tag, args.lock_ms, args.ttl_ms, deletes_lock=deletes, tell=tell)
    tell("ready", client=f"Python {platform.python_version()}, redis-py {redis.__version__}")
    order_of = orders()
    for order in order_of:
        obey(peer, order, order_of, may_renew=args.style == "renew")


if __name__ == "__main__":
    main()

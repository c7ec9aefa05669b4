"""A small peer of memolock: the contract of 2019 in Python, and nothing else.

    likes:kristoff          the value
    likes/lock:kristoff     the lock: SET NX with a time-out
    likes/notif:kristoff    the channel on which the value is published

What it does not have is what its ancestors did not have: it releases no lock when a compute fails, tries for no
lock again while it waits, and does not look at the lock before it stores. docs/protocol.md says how to do better.
"""

import threading
import uuid

# The builtin one, since Python 3.11.
from concurrent.futures import Future, TimeoutError

# EXPIRE takes whole seconds; only the lock's own holder may renew it.
RENEW = """
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('EXPIRE', KEYS[1], ARGV[2])
end
return 0
"""


class LeaseLost(Exception):
    """The lock is somebody else's by now, or nobody's."""


class MemoLock:
    """Promises of one tag.

    `client` is a redis.Redis that decodes replies. A peer `deletes_lock` after success, as a C# MemoLock does,
    or leaves it to its time-out, as the Go one does. `tell` hears what happens, for whoever steers the peer.
    """

    def __init__(self, client, tag, lock_ms, ttl_ms, deletes_lock=False, tell=lambda event, **more: None):
        self.client, self.tag = client, tag
        self.lock_ms, self.ttl_ms = lock_ms, ttl_ms
        self.deletes_lock, self.tell = deletes_lock, tell
        self.waiters = {}
        self.guard = threading.Lock()
        pubsub = client.pubsub()
        pubsub.psubscribe(f"{tag}/notif:*")
        # The confirmation: from here on nothing is missed.
        while pubsub.get_message(timeout=None)["type"] != "psubscribe":
            pass
        threading.Thread(target=self._dispatch, args=[pubsub], daemon=True).start()

    def get(self, id, wait, compute):
        """The value and where it is from; waits at most `wait` seconds for another peer's (TimeoutError).

        `compute` is given a function that renews the lock for so many seconds, or raises LeaseLost.
        """
        return self._get(id, wait, compute, external=False)

    def get_external(self, id, wait, trigger):
        """The same, where `trigger` starts some other program that will `keep` the promise."""
        return self._get(id, wait, trigger, external=True)

    def keep(self, id, value):
        """What such a program does: store, and then publish. It needs no lock."""
        pipe = self.client.pipeline(transaction=False)
        pipe.set(f"{self.tag}:{id}", value, px=self.ttl_ms)
        pipe.publish(f"{self.tag}/notif:{id}", value)
        pipe.execute()

    def _get(self, id, wait, make, external):
        value = self.client.get(f"{self.tag}:{id}")
        # The empty string is a value; only None is a miss.
        if value is not None:
            return value, "hit"
        lock, token = f"{self.tag}/lock:{id}", str(uuid.uuid4())
        if self.client.set(lock, token, nx=True, px=self.lock_ms):
            value = make(lambda seconds: self._renew(lock, token, seconds))
            if not external:
                self._fulfil(id, value)
                return value, "computed"
        return self._wait(id, wait), "awaited"

    def _fulfil(self, id, value):
        pipe = self.client.pipeline(transaction=False)
        pipe.set(f"{self.tag}:{id}", value, px=self.ttl_ms)
        if self.deletes_lock:
            pipe.delete(f"{self.tag}/lock:{id}")
        pipe.publish(f"{self.tag}/notif:{id}", value)
        pipe.execute()

    def _renew(self, lock, token, seconds):
        if self.client.eval(RENEW, 1, lock, token, int(seconds)) != 1:
            raise LeaseLost(f"{lock} is not ours any more")

    def _wait(self, id, wait):
        channel, promise = f"{self.tag}/notif:{id}", Future()
        with self.guard:
            self.waiters.setdefault(channel, []).append(promise)
        try:
            # Again, now that we listen: it may have been published a moment ago.
            value = self.client.get(f"{self.tag}:{id}")
            if value is not None:
                return value
            self.tell("waiting")
            return promise.result(timeout=wait)
        finally:
            with self.guard:
                waiting = self.waiters.get(channel, [])
                if promise in waiting:
                    waiting.remove(promise)

    def _dispatch(self, pubsub):
        for message in pubsub.listen():
            if message["type"] != "pmessage":
                continue
            channel, value = message["channel"], message["data"]
            self.tell("heard", channel=channel, value=value)
            with self.guard:
                promises = self.waiters.pop(channel, [])
            for promise in promises:
                promise.set_result(value)

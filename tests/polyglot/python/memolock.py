"""A small peer that does what the two clients of 2019 do, in Python, with their faults.

    likes:kristoff          the value
    likes/lock:kristoff     the lock: SET NX with a time-out
    likes/notif:kristoff    the channel on which the value is published

The styles are `go` and `csharp`, after the languages of the two clients. Where they differ the code says which does
what. docs/protocol.md says how to do better.
"""

import os
import threading
import uuid

# The builtin one, since Python 3.11.
from concurrent.futures import Future, TimeoutError

# EXPIRE takes whole seconds; only the lock's own holder may renew it.
RENEW = """
if redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('EXPIRE', KEYS[1], ARGV[2])
  return 1
end
return 0
"""


class LeaseLost(Exception):
    """The lock is somebody else's by now, or nobody's."""


class MemoLock:
    """Promises of one tag.

    `client` is a redis.Redis that decodes replies. `lock_ms` is how long a lock lasts, `ttl_ms` how long a value, and 0 for
    ever. `tell` hears what happens, and `halt` is called between two steps, for whoever steers the peer.
    """

    def __init__(self, client, tag, lock_ms, ttl_ms, style, tell=lambda event, **more: None):
        self.client, self.tag = client, tag
        self.lock_ms, self.ttl_ms = lock_ms, ttl_ms
        self.style, self.tell = style, tell
        self.waiters = {}
        self.guard = threading.Lock()
        pubsub = client.pubsub()
        # The tag is not escaped: one with glob characters is another pattern.
        pubsub.psubscribe(f"{tag}/notif:*")
        # The confirmation: from here on nothing is missed.
        while pubsub.get_message(timeout=None)["type"] != "psubscribe":
            pass
        threading.Thread(target=self._dispatch, args=[pubsub], daemon=True).start()

    def get(self, id, wait, compute, halt=lambda step: None):
        """The value and where it is from; waits at most `wait` seconds for another peer's (TimeoutError).

        `compute` is given a function that renews the lock for so many seconds, or raises LeaseLost. If it fails, the lock
        stays.
        """
        return self._get(id, wait, compute, halt, external=False)

    def get_external(self, id, wait, trigger, halt=lambda step: None):
        """The same, where `trigger` starts some other program that will `keep` the promise."""
        return self._get(id, wait, trigger, halt, external=True)

    def keep(self, id, value):
        """What such a program does: store, and then publish. It needs no lock."""
        pipe = self.client.pipeline(transaction=False)
        pipe.set(f"{self.tag}:{id}", value, px=self.ttl_ms or None)
        pipe.publish(f"{self.tag}/notif:{id}", value)
        pipe.execute()

    def _get(self, id, wait, make, halt, external):
        value = self.client.get(f"{self.tag}:{id}")
        # The empty string is a value; only None is a miss.
        if value is not None:
            return value, "hit"
        halt("missed")
        lock, token = f"{self.tag}/lock:{id}", str(uuid.uuid4())
        if self.client.set(lock, token, nx=True, px=self.lock_ms):
            value = make(lambda seconds: self._renew(lock, token, seconds))
            if not external:
                self._fulfil(id, value)
                return value, "computed"
        else:
            halt("refused")
        return self._wait(id, wait), "awaited"

    def _fulfil(self, id, value):
        # Whoever has the lock by now: the value is stored, and C# deletes the lock.
        pipe = self.client.pipeline(transaction=False)
        pipe.set(f"{self.tag}:{id}", value, px=self.ttl_ms or None)
        if self.style == "csharp":
            pipe.delete(f"{self.tag}/lock:{id}")
        pipe.publish(f"{self.tag}/notif:{id}", value)
        pipe.execute()

    def _renew(self, lock, token, seconds):
        # Go passes a Duration, which counts nanoseconds, as seconds. C# passes a fraction as it is.
        argument = int(seconds * 1_000_000_000) if self.style == "go" else f"{seconds:g}"
        if self.client.eval(RENEW, 1, lock, token, argument) != 1:
            raise LeaseLost(f"{lock} is not ours any more")

    def _wait(self, id, wait):
        channel, promise = f"{self.tag}/notif:{id}", Future()
        with self.guard:
            self.waiters.setdefault(channel, []).append(promise)
        # Again, now that we listen: it may have been published a moment ago.
        value = self.client.get(f"{self.tag}:{id}")
        if value is not None and self.style == "go":
            self._unsubscribe(channel, promise)
            return value
        if value is not None:
            # C# looks for its waiters under the id, and they stand under the channel: none is woken, not even this one.
            self._resolve(id, value)
        self.tell("waiting")
        try:
            return promise.result(timeout=wait)
        except TimeoutError:
            # In C# the waiter stays where it is, and nobody minds.
            if self.style == "go":
                self._unsubscribe(channel, promise)
            raise

    def _unsubscribe(self, channel, promise):
        """Go takes the waiter out of the list, and then writes past the end of the shorter list."""
        with self.guard:
            if promise not in self.waiters.get(channel, []):
                return
        self.tell("panicked")
        os._exit(2)

    def _resolve(self, channel, value):
        with self.guard:
            promises = self.waiters.pop(channel, [])
        for promise in promises:
            promise.set_result(value)

    def _dispatch(self, pubsub):
        for message in pubsub.listen():
            if message["type"] != "pmessage":
                continue
            channel, value = message["channel"], message["data"]
            self._resolve(channel, value)
            # Afterwards: what is told has come to all who waited.
            self.tell("heard", channel=channel, value=value)

"""Keeps a promise of another program: stems a word, stores it and publishes it.

Started by the example `web`: stemmer.py TAG WORD, with the server in MEMOLOCK_URL. Needs `pip install redis snowballstemmer`.
"""

import os
import sys

import redis
import snowballstemmer

tag, word = sys.argv[1:3]
value = snowballstemmer.stemmer("english").stemWord(word)

server = redis.Redis.from_url(os.environ["MEMOLOCK_URL"])
with server.pipeline(transaction=True) as both:
    # The whole contract: the value where it belongs, then its bytes on the key's channel.
    both.set(f"{tag}:{word}", value, ex=60)
    both.publish(f"{tag}/notif:{word}", value)
    both.execute()

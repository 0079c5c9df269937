"""Drives the unmodified mem0ai client against a running service: mem0_client.py URL."""

import sys
import uuid

from mem0 import MemoryClient
from mem0.client.types import (
    AddMemoryOptions,
    DeleteAllMemoryOptions,
    GetAllMemoryOptions,
    SearchMemoryOptions,
    UpdateMemoryOptions,
)
from mem0.exceptions import MemoryNotFoundError, ValidationError

url = sys.argv[1]
a = MemoryClient(api_key="tenant-a", host=url)
b = MemoryClient(api_key="tenant-b", host=url)


def fails(kind, call):
    try:
        call()
    except kind as e:
        return e
    raise AssertionError("no " + kind.__name__)


# add, in each of the forms that the client takes
r = a.add("I am allergic to peanuts", user_id="alice")
assert [x["event"] for x in r["results"]] == ["ADD"], r
peanuts = r["results"][0]["id"]
uuid.UUID(peanuts)
assert r["results"][0]["memory"] == "I am allergic to peanuts"
r = a.add(
    [
        {"role": "system", "content": "You are a travel agent."},
        {"role": "user", "content": "I'm planning a trip to Tokyo in May."},
        {"role": "assistant", "content": "Great, I will look for hotels in Shinjuku."},
    ],
    user_id="alice", agent_id="travel", run_id="trip-1", metadata={"topic": "travel", "budget": 2000, "ok": True},
)
assert len(r["results"]) == 2, r
r = a.add({"role": "user", "content": "Bob plays the violin"}, AddMemoryOptions(filters={"user_id": "bob"}, metadata={"topic": "music"}))
bob = r["results"][0]["id"]
a.add("Old news", user_id="carol", timestamp=1577836800, expiration_date="2020-02-01")
a.add("Happened in 2021", user_id="carol", timestamp=1609459200)
e = fails(ValidationError, lambda: a.add("nobody's"))
assert "user_id" in e.message, e.message
fails(ValidationError, lambda: a.add([], user_id="alice"))

# search
r = a.search("What is alice allergic to?", filters={"user_id": "alice"})
assert r["results"][0]["id"] == peanuts, r
assert 0 < r["results"][0]["score"] <= 1
assert r["results"][0]["user_id"] == "alice"
assert a.search("trips to Tokyo", filters={"AND": [{"user_id": "alice"}, {"run_id": "trip-1"}]})["results"]
assert not a.search("peanuts", filters={"user_id": "bob"})["results"]
r = a.search("Tokyo hotels", SearchMemoryOptions(filters={"user_id": "*"}, top_k=1, fields=["memory"], rerank=True))
assert set(r["results"][0]) == {"id", "memory"}, r
assert len(a.search("Tokyo hotels", filters={"metadata": {"budget": {"gte": 1000}}}, top_k=1)["results"]) == 1
assert not a.search("Tokyo", filters={"NOT": [{"user_id": "alice"}]})["results"]
assert not a.search("Tokyo", filters={"user_id": "alice"}, threshold=1.0)["results"]
fails(ValidationError, lambda: a.search("x", filters={"colour": "red"}))

# get_all
r = a.get_all(filters={"user_id": "alice"})
assert r["count"] == 3 and len(r["results"]) == 3 and r["next"] is None and r["previous"] is None, r
r = a.get_all(filters={"user_id": "alice"}, page=2, page_size=2)
assert r["count"] == 3 and len(r["results"]) == 1 and r["next"] is None and r["previous"], r
assert a.get_all(GetAllMemoryOptions(filters={"user_id": "carol"}, page=1, page_size=1))["next"] is None
assert a.get_all(filters={"user_id": "carol"}, show_expired=True)["count"] == 2
assert a.get_all(filters={"created_at": {"gte": "2021-01-01", "lt": "2021-01-02"}})["count"] == 1
assert a.get_all(filters={"OR": [{"user_id": "bob"}, {"metadata": {"topic": "travel"}}]})["count"] == 3
assert a.get_all()["count"] == 5

# get, update, history
m = a.get(peanuts)
assert m["memory"] == "I am allergic to peanuts" and m["user_id"] == "alice" and m["created_at"] and m["metadata"] is None
a.update(peanuts, text="I am allergic to hazelnuts", metadata={"checked": "yes"})
a.update(peanuts, UpdateMemoryOptions(expiration_date="2999-12-31"))
m = a.get(peanuts)
assert m["memory"] == "I am allergic to hazelnuts" and m["metadata"] == {"checked": "yes"} and m["expiration_date"] == "2999-12-31"
a.update(peanuts, expiration_date=None)
assert a.get(peanuts)["expiration_date"] is None
assert not a.search("peanuts", filters={"user_id": "alice"})["results"]
assert a.search("hazelnut", filters={"user_id": "alice"})["results"][0]["id"] == peanuts
h = a.history(peanuts)
assert [x["event"] for x in h] == ["ADD", "UPDATE", "UPDATE", "UPDATE"], h
assert h[0]["old_memory"] is None and h[0]["new_memory"] == "I am allergic to peanuts"
assert h[1]["old_memory"] == "I am allergic to peanuts" and h[1]["new_memory"] == "I am allergic to hazelnuts"

# tenants do not see each other
assert b.get_all()["count"] == 0
assert not b.search("hazelnut")["results"]
for call in (b.get, b.delete, b.history, lambda i: b.update(i, text="x")):
    fails(MemoryNotFoundError, lambda: call(peanuts))
b.add("secret of b", user_id="alice")
b.delete_all(user_id="alice")
assert a.get_all(filters={"user_id": "alice"})["count"] == 3

# batches
more = [x["id"] for x in a.add([{"role": "user", "content": f"note {i}"} for i in range(3)], user_id="dave")["results"]]
a.batch_update([{"memory_id": more[0], "text": "first"}, {"memory_id": more[1], "metadata": {"n": 1}}])
assert a.get(more[0])["memory"] == "first" and a.get(more[1])["metadata"] == {"n": 1}
a.batch_delete([{"memory_id": more[0]}, {"memory_id": more[1]}])
assert a.get_all(filters={"user_id": "dave"})["count"] == 1

# entities
u = a.users()
assert {(x["type"], x["name"]) for x in u["results"]} >= {("user", "alice"), ("user", "bob"), ("agent", "travel"), ("run", "trip-1")}, u
a.delete_users(user_id="dave")
assert a.get_all(filters={"user_id": "dave"})["count"] == 0

# delete
assert "message" in a.delete(bob)
fails(MemoryNotFoundError, lambda: a.get(bob))
fails(MemoryNotFoundError, lambda: a.delete(bob))
assert not a.search("violin")["results"]
assert [x["event"] for x in a.history(bob)] == ["ADD", "DELETE"]
fails(ValidationError, lambda: a.delete_all())
assert "message" in a.delete_all(DeleteAllMemoryOptions(filters={"run_id": "trip-1"}))
assert a.get_all(filters={"user_id": "alice"})["count"] == 1
assert "message" in a.delete_all(user_id="alice")
assert a.get_all(filters={"user_id": "alice"})["count"] == 0
assert a.get_all(show_expired=True)["count"] == 2
a.reset()
assert a.get_all(show_expired=True)["count"] == 0
print("ok")

#!/usr/bin/env python3
"""Reads Replicante's stream exactly once: a worked example, explained in docs/consumers.md. Needs boto3.

It keeps the status of every node of every cluster, and a table of what it applied, in a SQLite file, together with its
place in the stream. It may be killed at any moment: started again, it goes on from the file.
"""

import argparse
import datetime
import json
import sqlite3
import sys
import time

import boto3

# `applied` and `nodes` are this example's effect; the rest is its place.
SCHEMA = """
CREATE TABLE IF NOT EXISTS shards (id TEXT PRIMARY KEY, last TEXT, ended INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS records (name TEXT PRIMARY KEY, epoch INTEGER NOT NULL, sequence INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS parts (
    record TEXT NOT NULL, node TEXT NOT NULL, status TEXT NOT NULL, reason TEXT, PRIMARY KEY (record, node)
);
CREATE TABLE IF NOT EXISTS nodes (
    record TEXT NOT NULL, node TEXT NOT NULL, status TEXT NOT NULL, reason TEXT, PRIMARY KEY (record, node)
);
CREATE TABLE IF NOT EXISTS applied (
    record TEXT NOT NULL, epoch INTEGER NOT NULL, sequence INTEGER NOT NULL, type TEXT NOT NULL, time TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS gaps (
    record TEXT NOT NULL, epoch INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL
);
"""
PREFIX = "io.replicante."
# Between two rounds: a shard may be read five times a second, by all its readers together.
PAUSE = 0.25


class Store:
    """Position and effect, in one place: a page of the stream is one transaction."""

    def __init__(self, path):
        self.database = sqlite3.connect(path, isolation_level=None)
        self.database.executescript(SCHEMA)
        # Record -> the number that is missing, since when this process knows it, and whether that was reported.
        self.missing = {}

    def checkpoints(self):
        rows = self.database.execute("SELECT id, last, ended FROM shards")
        return {shard: (last, bool(ended)) for shard, last, ended in rows}

    def take(self, shard, records, last, ended):
        """Takes a page: all of it and the place behind it, or, with an exception, nothing."""
        self.database.execute("BEGIN IMMEDIATE")
        try:
            for key, data in records:
                # Discoveries have no snapshots: this example passes them over.
                if key.startswith("cluster/"):
                    self.read(key, json.loads(data))
            self.database.execute("INSERT OR REPLACE INTO shards VALUES (?, ?, ?)", (shard, last, ended))
            self.database.execute("COMMIT")
        except BaseException:
            self.database.execute("ROLLBACK")
            raise

    def read(self, record, event):
        """The reader's rule: each change once, in order."""
        at = self.position(record)
        epoch, sequence = place = int(event["epoch"]), int(event["sequence"])
        if place <= at:
            return  # A copy.
        following = at[1] + 1 if epoch == at[0] else 1
        if sequence != following:
            if not starts_snapshot(event):
                self.wait(record, following)
                return  # The missing ones come first, and then this one again.
            warn(f"{record}: numbers {following} to {sequence - 1} were missed; a snapshot stands for them")
            self.database.execute("INSERT INTO gaps VALUES (?, ?, ?, ?)", (record, epoch, following, sequence - 1))
        self.missing.pop(record, None)
        self.apply(record, event, sequence)
        self.database.execute("INSERT OR REPLACE INTO records VALUES (?, ?, ?)", (record, epoch, sequence))

    def position(self, record):
        row = self.database.execute("SELECT epoch, sequence FROM records WHERE name = ?", (record,)).fetchone()
        return row or (0, 0)

    def wait(self, record, number):
        if self.missing.get(record, (None,))[0] != number:
            self.missing[record] = (number, time.monotonic(), False)

    def report(self, patience):
        """Reports, once, what is missing for so many seconds."""
        for record, (number, since, reported) in self.missing.items():
            if not reported and time.monotonic() - since >= patience:
                warn(f"{record}: number {number} did not come for {patience:g}s; the next snapshot goes on")
                self.missing[record] = (number, since, True)

    def apply(self, record, event, sequence):
        """The effect. Types that it has no use for, also unknown ones, count as applied."""
        kind, data = event["type"].removeprefix(PREFIX), event["data"]
        if sequence == 1:
            self.forget("nodes", record)
        if kind == "cluster.snapshot":
            self.snapshot(record, data)
        elif kind == "agent.new":
            self.put("nodes", record, data["node"], {"status": "agent_down", "reason": "not polled yet"})
        elif kind in ("agent.up", "agent.down", "node.up", "node.down"):
            self.put("nodes", record, data["node"], data["after"])
        row = (record, int(event["epoch"]), sequence, kind, event["time"])
        self.database.execute("INSERT INTO applied VALUES (?, ?, ?, ?, ?)", row)

    def snapshot(self, record, data):
        """Collects the parts, and replaces what is known with the last."""
        if data["part"] == 1:
            self.forget("parts", record)
        for node, view in data.get("nodes", {}).items():
            self.put("parts", record, node, view)
        if data["part"] == data["parts"]:
            self.forget("nodes", record)
            self.database.execute("INSERT INTO nodes SELECT * FROM parts WHERE record = ?", (record,))
            self.forget("parts", record)

    def put(self, table, record, node, view):
        row = (record, node, view["status"], view.get("reason"))
        self.database.execute(f"INSERT OR REPLACE INTO {table} VALUES (?, ?, ?, ?)", row)

    def forget(self, table, record):
        self.database.execute(f"DELETE FROM {table} WHERE record = ?", (record,))


def warn(text):
    print(text, file=sys.stderr, flush=True)


def starts_snapshot(event):
    return event["type"] == PREFIX + "cluster.snapshot" and event["data"]["part"] == 1


class Shards:
    """The shards of the stream: a parent to its end, then its children."""

    def __init__(self, client, stream, since, checkpoints):
        self.client, self.stream, self.since = client, stream, since
        self.parents, self.iterators = {}, {}
        self.list()
        self.last = {shard: last for shard, (last, _) in checkpoints.items()}
        self.ended = {shard for shard, (_, ended) in checkpoints.items() if ended}

    def list(self):
        """Learns of new shards. They come as children of one that ended: there is no need to look at other times."""
        for page in self.client.get_paginator("list_shards").paginate(StreamName=self.stream):
            for shard in page["Shards"]:
                parents = {shard.get("ParentShardId"), shard.get("AdjacentParentShardId")}
                self.parents[shard["ShardId"]] = parents

    def ready(self):
        """The shards that may be read now. A parent that is no longer listed is trimmed."""
        unread = self.parents.keys() - self.ended
        return sorted(shard for shard in unread if not self.parents[shard] & unread)

    def next_page(self, shard, most):
        iterator = self.iterators.pop(shard, None) or self.iterator(shard)
        try:
            page = self.client.get_records(ShardIterator=iterator, Limit=most)
        except self.client.exceptions.ExpiredIteratorException:
            return []  # It lives for five minutes. The next one begins behind the last record.
        if page.get("NextShardIterator"):
            self.iterators[shard] = page["NextShardIterator"]
        else:
            self.ended.add(shard)
            self.list()
        records = page.get("Records", [])
        if records:
            self.last[shard] = records[-1]["SequenceNumber"]
        return [(record["PartitionKey"], record["Data"]) for record in records]

    def iterator(self, shard):
        if self.last.get(shard):
            start = {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": self.last[shard]}
        elif self.since:
            start = {"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": self.since}
        else:
            start = {"ShardIteratorType": "TRIM_HORIZON"}
        return self.client.get_shard_iterator(StreamName=self.stream, ShardId=shard, **start)["ShardIterator"]


def arguments():
    parser = argparse.ArgumentParser(description="Follows the stream, and keeps what it tells in a SQLite file.")
    option = parser.add_argument
    option("--stream", default="replicante", help="the name of the stream")
    option("--database", default="consumer.sqlite", metavar="FILE", help="keeps position and effect")
    option(
        "--since",
        type=datetime.datetime.fromisoformat,
        metavar="TIME",
        help="start here when nothing is stored yet, like 2026-01-02T00:00:00+00:00 (default: at the oldest record)",
    )
    option("--patience", type=float, default=600, metavar="SECONDS", help="report a number that is missing for so long")
    option("--page", type=int, default=1000, metavar="COUNT", help="the most records of one transaction")
    return parser.parse_args()


def main():
    args = arguments()
    store = Store(args.database)
    shards = Shards(boto3.client("kinesis"), args.stream, args.since, store.checkpoints())
    while True:
        for shard in shards.ready():
            records = shards.next_page(shard, args.page)
            if records or shard in shards.ended:
                store.take(shard, records, shards.last.get(shard), shard in shards.ended)
        store.report(args.patience)
        time.sleep(PAUSE)


if __name__ == "__main__":
    main()

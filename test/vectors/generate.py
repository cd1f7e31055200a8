#!/usr/bin/env python3
"""Writes the test vectors of docs/chain-format.md, from that document alone.

An implementation of its own, in Python's standard library: it shares nothing with
src/ and client/, which are tested against what it writes. Ed25519, which Python
lacks, is the openssl command's. It always writes the same.

  generate.py                   the vectors, beside this file
  generate.py --synthetic N DIR an export of N transfers, to measure with
"""

import hashlib
import json
import random
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent

INTEGER, TIME, TEXT, BYTES = 1, 2, 3, 4

COLUMNS = {
    "transfer": [("id", INTEGER), ("lane", INTEGER), ("seq", INTEGER), ("kind", INTEGER),
                 ("debit_account", INTEGER), ("credit_account", INTEGER), ("amount", INTEGER),
                 ("ref", INTEGER), ("txid", INTEGER), ("created_us", TIME), ("metadata", TEXT)],
    "audit": [("id", INTEGER), ("lane", INTEGER), ("seq", INTEGER), ("txid", INTEGER), ("at_us", TIME),
              ("relation_oid", INTEGER), ("relation", TEXT), ("operation", TEXT), ("key", TEXT),
              ("old", TEXT), ("new", TEXT), ("actor", TEXT), ("acting_as", TEXT),
              ("application", TEXT), ("client", TEXT)],
    "seal": [("number", INTEGER), ("sealed_us", TIME), ("transfers", INTEGER), ("transfer_root", BYTES),
             ("audits", INTEGER), ("audit_root", BYTES), ("from_id", INTEGER), ("until_id", INTEGER),
             ("heads_hash", BYTES), ("previous", BYTES)],
    "signed": [("number", INTEGER), ("hash", BYTES)],
}
SCOPES = {name: number for number, name in enumerate(COLUMNS, 1)}
ZERO = bytes(32)


# --- the format --------------------------------------------------------------

def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def field(kind, value):
    if value is None:
        return b"\0"
    if kind in (INTEGER, TIME):
        return struct.pack(">bq", kind, value)
    data = value.encode() if kind == TEXT else value
    return struct.pack(">bI", kind, len(data)) + data


def record(scope, row):
    fields = (field(kind, row[name]) for name, kind in COLUMNS[scope])
    return bytes([1, SCOPES[scope]]) + b"".join(fields)


def leaf(data):
    return sha256(b"\0", data)


def split(size):
    return 1 << (size - 1).bit_length() - 1


def root(leaves):
    if not leaves:
        return sha256()
    if len(leaves) == 1:
        return leaves[0]
    k = split(len(leaves))
    return sha256(b"\1", root(leaves[:k]), root(leaves[k:]))


def path(index, leaves):
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if index < k:
        return path(index, leaves[:k]) + [root(leaves[k:])]
    return path(index - k, leaves[k:]) + [root(leaves[:k])]


# --- records.json ------------------------------------------------------------

def shown(row):
    return {name: value.hex() if isinstance(value, bytes) else value for name, value in row.items()}


def record_vectors():
    transfer = dict(id=0x1234567890AB0C40, lane=49, seq=1, kind=1, debit_account=1, credit_account=2,
                    amount=12345, ref=0, txid=742, created_us=1795262400123456, metadata=None)
    audit = dict(id=-(2 ** 63), lane=0, seq=2 ** 40, txid=2 ** 32 + 1, at_us=-1, relation_oid=4294967295,
                 relation="ledger_data.account", operation="UPDATE", key='{"id": 1}', old='{"a": 1}',
                 new='{"a": 2}', actor="auditor", acting_as="owner", application="psql",
                 client="2001:db8::1")
    seal = dict(number=1, sealed_us=1795262400000000, transfers=0, transfer_root=sha256(), audits=0,
                audit_root=sha256(), from_id=1, until_id=0, heads_hash=sha256(), previous=ZERO)
    cases = [
        ("a transfer without metadata", "transfer", transfer, {}),
        ("with metadata", "transfer", transfer, dict(metadata='{"a": 1, "bb": [true, null, "x"]}')),
        ("the smallest numbers", "transfer", transfer, dict(amount=-(2 ** 63), ref=-1, created_us=-(2 ** 63))),
        ("the largest numbers", "transfer", transfer, dict(amount=2 ** 63 - 1, seq=2 ** 63 - 1)),
        ("text beyond ASCII", "transfer", transfer, dict(metadata='{"note": "š€\U0001f4b8 日本"}')),
        ("an escape, quotes and a backslash", "transfer", transfer, dict(metadata='{"a": "\\t\\"\\\\"}')),
        ("empty text is not NULL", "transfer", transfer, dict(metadata="")),
        ("an audit record", "audit", audit, {}),
        ("NULL next to empty text", "audit", audit, dict(key=None, old="", new=None, client=None)),
        ("empty text next to NULL", "audit", audit, dict(key="", old=None, new=None, client=None)),
        ("all that may be NULL", "audit", audit,
         dict(key=None, old=None, new=None, application=None, client=None)),
        ("text that a plain concatenation", "audit", audit, dict(relation="a.bc", operation="d")),
        ("would confuse with this", "audit", audit, dict(relation="a.b", operation="cd")),
        ("text that looks like a field", "audit", audit, dict(relation="a\x03\0\0\0\1b", operation="c")),
        ("tab, line break, backslash", "audit", audit, dict(application="a\tb\nc\\d\\N")),
        ("a seal of nothing", "seal", seal, {}),
        ("a seal", "seal", seal, dict(number=2, transfers=3, transfer_root=sha256(b"t"), audits=1,
                                      audit_root=sha256(b"a"), from_id=2 ** 62, until_id=2 ** 62 + 1,
                                      heads_hash=sha256(b"h"), previous=sha256(b"p"))),
        ("what a signature signs", "signed", dict(number=42, hash=sha256(b"seal")), {}),
    ]
    vectors = []
    for number, (what, scope, base, changes) in enumerate(cases):
        row = base | changes
        data = record(scope, row)
        vector = dict(what=what, scope=scope, fields=shown(row), bytes=data.hex())
        if scope in ("transfer", "audit"):
            previous = ZERO if number % 2 == 0 else sha256(b"before", bytes([number]))
            vector |= dict(previous=previous.hex(), hash=sha256(previous, data).hex())
        elif scope == "seal":
            vector |= dict(hash=sha256(data).hex())
        vectors.append(vector)
    return vectors


# --- trees.json: the vectors of Certificate Transparency ---------------------

CT_LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657",
             "606162636465666768696a6b6c6d6e6f"]
CT_ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
CT_PATHS = {  # (index, size): published too
    (0, 8): ["96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
             "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
             "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"],
    (5, 8): ["bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
             "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
             "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
    (1, 5): ["6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
             "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
             "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"],
}


def tree_vectors():
    leaves = [leaf(bytes.fromhex(data)) for data in CT_LEAVES]
    roots = [root(leaves[:size]).hex() for size in range(len(leaves) + 1)]
    assert roots == CT_ROOTS
    paths = []
    for size in range(1, len(leaves) + 1):
        for index in range(size):
            hashes = [each.hex() for each in path(index, leaves[:size])]
            assert hashes == CT_PATHS.get((index, size), hashes)
            paths.append(dict(index=index, size=size, path=hashes))
    return dict(leaves=CT_LEAVES, roots=roots, paths=paths)


# --- a ledger ----------------------------------------------------------------

START_US = 1795262400000000
METADATA = [None, None, None, "{}", '{"order": 17}', '{"note": "a\\tb\\\\c", "order": 18}',
            '{"who": "Jiří €\U0001f4b8"}']
NAMES = ["", "psql", "tab\there", "line\nbreak", "back\\slash \\N", "日本", None]


class Ledger:
    """Records in lanes, in the order of their ids, and seals over them."""

    def __init__(self, lanes, seed):
        self.random = random.Random(seed)
        self.lanes = lanes
        self.rows = {"transfer": [], "audit": []}
        self.last = {}    # (scope, lane): its last record
        self.sealed = {"transfer": set(), "audit": set()}
        self.heads = {}   # (scope, lane): the last record sealed
        self.seals = []

    def add(self, scope, tick):
        lane = self.random.choice(self.lanes)
        before = self.last.get((scope, lane))
        row = dict(id=(1000 + tick << 16) | lane << 6 | self.random.randrange(64), lane=lane,
                   seq=before["seq"] + 1 if before else 1, txid=700 + tick // 2)
        row |= self.transfer(tick) if scope == "transfer" else self.audit(tick)
        row["hash"] = sha256(before["hash"] if before else ZERO, record(scope, row))
        self.rows[scope].append(row)
        self.last[scope, lane] = row

    def transfer(self, tick):
        debit, credit = self.random.sample(range(1, 50), 2)
        return dict(kind=self.random.choice([1, 1, 1, 2, 3, 4, 5]), debit_account=debit, credit_account=credit,
                    amount=self.random.randrange(1, 10 ** 9), ref=self.random.choice([0, 0, tick]),
                    created_us=START_US + tick * 1000 + self.random.randrange(1000),
                    metadata=self.random.choice(METADATA))

    def audit(self, tick):
        operation = self.random.choice(["INSERT", "UPDATE", "DELETE", "TRUNCATE", "ENABLE", "DISABLE"])
        rows = operation in ("INSERT", "UPDATE", "DELETE")
        value = '{"id": %d, "name": "Ž\\t%d"}' % (tick, tick)
        return dict(at_us=START_US + tick * 1000, relation_oid=16384 + tick % 7, relation='app."Order"',
                    operation=operation, key='{"id": %d}' % tick if rows else None,
                    old=value if operation in ("UPDATE", "DELETE") else None,
                    new=value if operation in ("INSERT", "UPDATE") else None,
                    actor="shop", acting_as="clerk", application=self.random.choice(NAMES),
                    client=self.random.choice([None, "10.0.0.%d" % (tick % 256)]))

    def seal(self, tick, laggards=()):
        """Seals what is there but for the last records of the laggards, whose
        transactions are still in flight."""
        leaves = {}
        for scope, rows in self.rows.items():
            fresh = [row for row in rows if row["id"] not in self.sealed[scope]]
            fresh = [row for row in fresh if row["id"] >> 16 < 1000 + tick - 40 * (row["lane"] in laggards)]
            leaves[scope] = [leaf(row["hash"]) for row in fresh]
            self.sealed[scope].update(row["id"] for row in fresh)
            for row in fresh:
                self.heads[scope, row["lane"]] = row
        open_ids = [row["id"] for scope, rows in self.rows.items() for row in rows
                    if row["id"] not in self.sealed[scope]]
        heads = b"".join(struct.pack(">BHq", SCOPES[scope], lane, row["seq"]) + row["hash"]
                         for (scope, lane), row in sorted(self.heads.items(), key=lambda head: (
                             SCOPES[head[0][0]], head[0][1])))
        seal = dict(number=len(self.seals) + 1, sealed_us=START_US + tick * 1000,
                    transfers=len(leaves["transfer"]), transfer_root=root(leaves["transfer"]),
                    audits=len(leaves["audit"]), audit_root=root(leaves["audit"]),
                    from_id=min(open_ids, default=1000 + tick << 16),
                    until_id=max((id for ids in self.sealed.values() for id in ids), default=0),
                    heads_hash=sha256(heads), previous=self.seals[-1]["hash"] if self.seals else ZERO)
        self.seals.append(seal | dict(hash=sha256(record("seal", seal)), heads=heads))
        return leaves

    def write(self, directory):
        directory.mkdir(parents=True, exist_ok=True)
        for scope, name in (("transfer", "transfers.copy"), ("audit", "audit.copy")):
            columns = [column for column, _ in COLUMNS[scope]] + ["hash"]
            write_copy(directory / name, self.rows[scope], columns)
        columns = [name.replace("heads_hash", "heads") for name, _ in COLUMNS["seal"]] + ["hash"]
        write_copy(directory / "seals.copy", self.seals, columns)


def write_copy(file, rows, columns):
    with open(file, "w", encoding="utf-8", newline="\n") as out:
        for row in rows:
            out.write("\t".join(copy_text(row[column]) for column in columns) + "\n")


COPY_ESCAPES = str.maketrans({"\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r",
                              "\t": "\\t", "\v": "\\v"})


def copy_text(value):
    if value is None:
        return "\\N"
    if isinstance(value, bytes):
        return value.hex()
    return str(value).translate(COPY_ESCAPES)


# --- digests and proofs ------------------------------------------------------

PKCS8_ED25519 = bytes.fromhex("302e020100300506032b657004220420")


def openssl(*arguments, data=b""):
    return subprocess.run(["openssl", *map(str, arguments)], input=data, capture_output=True, check=True).stdout


def sign(number, hash, public_key_file):
    """Signs with a key that is the same every time; returns signature and public key."""
    with tempfile.TemporaryDirectory() as directory:
        key, message = Path(directory, "key.der"), Path(directory, "message")
        key.write_bytes(PKCS8_ED25519 + sha256(b"ledger's test key"))
        message.write_bytes(record("signed", dict(number=number, hash=hash)))
        public_key_file.write_bytes(openssl("pkey", "-in", key, "-inform", "DER", "-pubout"))
        public = openssl("pkey", "-in", key, "-inform", "DER", "-pubout", "-outform", "DER")[-32:]
        return openssl("pkeyutl", "-sign", "-rawin", "-in", message, "-inkey", key, "-keyform", "DER"), public


def digest(seal):
    seconds, us = divmod(seal["sealed_us"] - START_US, 10 ** 6)
    return dict(version=1, database="shop", seal=seal["number"],
                sealed_at="2026-11-21T12:00:%02d.%06dZ" % (seconds, us), hash=seal["hash"].hex())


def inclusion(ledger, scope, index, leaves, rows, seal):
    row = rows[index]
    before = [each for each in ledger.rows[scope] if (each["lane"], each["seq"]) == (row["lane"], row["seq"] - 1)]
    return dict(version=1, scope=scope, id=row["id"], record=record(scope, row).hex(),
                previous=(before[0]["hash"] if before else ZERO).hex(), index=index, size=len(leaves),
                path=[each.hex() for each in path(index, leaves)], seal=proof_seal(seal))


def proof_seal(seal):
    return shown({name: value for name, value in seal.items() if name != "heads"})


def write_json(name, value):
    (HERE / name).write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def small_ledger():
    ledger = Ledger(lanes=[0, 3, 17, 1023], seed=1)
    sealing = {150: (3,), 300: (17, 1023), 420: ()}
    leaves = {}
    for tick in range(480):
        if tick in sealing:
            before = {scope: set(ids) for scope, ids in ledger.sealed.items()}
            of_seal = ledger.seal(tick, sealing[tick])
            rows = {scope: [row for row in each if row["id"] in ledger.sealed[scope] - before[scope]]
                    for scope, each in ledger.rows.items()}
            leaves[len(ledger.seals)] = (of_seal, rows)
        ledger.add("audit" if tick % 3 == 0 else "transfer", tick)
    ledger.write(HERE / "export")
    of_seal, rows = leaves[2]
    for scope, index in (("transfer", 5), ("audit", len(rows["audit"]) - 1)):
        proof = inclusion(ledger, scope, index, of_seal[scope], rows[scope], ledger.seals[1])
        write_json("inclusion_%s.json" % scope, proof)
    write_json("consistency.json", dict(version=1, seals=[proof_seal(seal) for seal in ledger.seals]))
    for seal in ledger.seals:
        write_json("digest_%d.json" % seal["number"], digest(seal))
    last = ledger.seals[-1]
    signature, public = sign(last["number"], last["hash"], HERE / "public_key.pem")
    write_json("digest_signed.json", digest(last) | dict(signature=signature.hex(), public_key=public.hex()))


def synthetic(count, directory):
    ledger = Ledger(lanes=list(range(64)), seed=2)
    for tick in range(1, count + 1):
        ledger.add("transfer", tick)
        if tick % (count // 10) == 0:
            ledger.seal(tick, laggards=(7, 8))
    ledger.write(Path(directory))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--synthetic"]:
        synthetic(int(sys.argv[2]), sys.argv[3])
    else:
        write_json("records.json", record_vectors())
        write_json("trees.json", tree_vectors())
        small_ledger()

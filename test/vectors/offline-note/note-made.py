#!/usr/bin/env python3
"""
Makes note-made.json: allowances, challenges, notes and countersignatures of RM11, written from docs/decisions/0013 alone and
with another implementation of Ed25519 and SHA-256 (the package `cryptography`, 48 or newer), so that a mistake in our codec
does not agree with itself. All keys are test values: SHA-256 of a word.

    python3 test/vectors/offline-note/note-made.py > test/vectors/offline-note/note-made.json
"""
import base64
import hashlib
import json
import struct

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

CURRENCY = {"EUR": 978, "JPY": 392, "KWD": 414}


def key(word):
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(word.encode()).digest())


def raw(private):
    return private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def spki(private):
    der = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(der).decode()


def pkcs8(private):
    return base64.b64encode(private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())).decode()


def sign(domain, content, private):
    return private.sign(b"tillway/v1/" + domain.encode() + b"\n" + content)


def url(content):
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def short(text):
    data = text.encode()
    return bytes([len(data)]) + data


def uint(value, length):
    return value.to_bytes(length, "big")


def amount(minor, currency):
    return uint(minor, 6) + struct.pack(">H", CURRENCY[currency])


def case(name, c):
    hub, phone, terminal = key("hub"), key("phone " + name), key("terminal " + c["terminalId"])
    allowance = (
        b"\x01"
        + bytes.fromhex(c["allowanceId"])
        + bytes.fromhex(c["deviceId"])
        + raw(phone)
        + amount(c["allowanceMinor"], c["currency"])
        + uint(c["counterStart"], 4)
        + uint(c["issuedAt"], 6)
        + uint(c["expiresAt"], 6)
        + bytes.fromhex(c["hubEpoch"])
    )
    signed_allowance = allowance + sign("allowance", allowance, hub)
    previous = hashlib.sha256(allowance).digest()
    spent = 0
    notes = []
    for index, minor in enumerate(c["minors"]):
        spent += minor
        payment_id = f"{c['paymentId']}{index}"
        nonce = hashlib.sha256(f"{name}/{index}".encode()).digest()[:16]
        challenge = (
            b"\x01" + short(c["terminalId"]) + bytes.fromhex(c["epoch"]) + short(payment_id) + nonce
            + amount(minor, c["currency"]) + short(c["payee"])
        )
        counter = c["counterStart"] + index
        tail = (
            short(c["terminalId"]) + bytes.fromhex(c["epoch"]) + short(payment_id) + nonce + amount(minor, c["currency"])
            + uint(counter, 4) + uint(spent, 6) + previous
        )
        signed = b"\x01" + bytes.fromhex(c["allowanceId"]) + hashlib.sha256(raw(phone)).digest()[:8] + tail
        text = "OA1:" + url(signed_allowance + b"\x01" + tail + sign("note", signed, phone))
        notes.append({
            "challenge": "OC1:" + url(challenge),
            "paymentId": payment_id,
            "nonce": nonce.hex(),
            "minor": minor,
            "counter": counter,
            "spentAfter": spent,
            "previousHash": previous.hex(),
            "hash": hashlib.sha256(signed).hexdigest(),
            "note": text,
            "countersignature": base64.b64encode(sign("note-taken", text.encode(), terminal)).decode(),
        })
        previous = hashlib.sha256(signed).digest()
    keys = {"hubPublic": spki(hub), "hubPrivate": pkcs8(hub), "phonePrivate": pkcs8(phone), "terminalPublic": spki(terminal),
            "terminalPrivate": pkcs8(terminal)}
    return {"name": name, **{k: v for k, v in c.items() if k not in ("minors", "paymentId")}, "keys": keys,
            "allowance": url(signed_allowance), "notes": notes}


BASE = {
    "allowanceId": "0102030405060708090a0b0c", "deviceId": "00112233aabbccdd", "allowanceMinor": 5000, "currency": "EUR",
    "counterStart": 1, "issuedAt": 1767603600000, "expiresAt": 1767690000000, "hubEpoch": "8899aabbccddeeff",
    "terminalId": "till-1", "epoch": "00112233aabbccdd", "paymentId": "4f0c1d2e3a4b5c6d7e8f901", "payee": "Café Zoë",
    "minors": [1250, 1, 3749],
}
CASES = [
    case("three notes that spend all of it", BASE),
    case("the longest fields", {**BASE, "allowanceMinor": 999999999999, "counterStart": 4294967295, "currency": "JPY",
                                "terminalId": "T" * 64, "paymentId": "p" * 63, "payee": "x" * 64, "minors": [999999999999]}),
    case("another counter and currency", {**BASE, "counterStart": 77, "currency": "KWD", "terminalId": "a", "minors": [5, 5]}),
]
print(json.dumps({"source": "note-made.py, cryptography (OpenSSL) for Ed25519, hashlib for SHA-256", "cases": CASES},
                 indent=2, ensure_ascii=False))

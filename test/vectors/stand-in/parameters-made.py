#!/usr/bin/env python3
"""
Makes parameters-made.json: the signed stand-in parameters of an institution, made as a bank would make them, without our code
and with another implementation of Ed25519 (the package `cryptography`). The signature is over "tillway/v1/stand-in", a line
feed and the text; the file is {"text":…,"signature":…} without white space. The key is a test value: SHA-256 of a word.

    python3 test/vectors/stand-in/parameters-made.py > test/vectors/stand-in/parameters-made.json
"""
import base64
import hashlib
import json
import pathlib

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

sample = pathlib.Path(__file__).parent.parent / "wire" / "stand-in.signed.json"
text = json.dumps(json.loads(sample.read_text()), indent=1)
private = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"bank-1").digest())
signature = private.sign(b"tillway/v1/stand-in\n" + text.encode())
public = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
signed = {"text": text, "signature": base64.b64encode(signature).decode()}
made = {
    "source": "parameters-made.py, cryptography (OpenSSL) for Ed25519",
    "institutionId": "bank-1",
    "publicKey": base64.b64encode(public).decode(),
    "file": json.dumps(signed, separators=(",", ":")),
}
print(json.dumps(made, indent=2))

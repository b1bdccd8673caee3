"""What simulated cards must answer, made with Python's `cryptography` 48 and hashlib, independently of this code base.

Run: python3 card-made.py > card-made.json
Clauses: EMV 4.4 Book 2, A1.4.1 (master key, option A), A1.3 (session keys), 8.1 and A1.2.1 (cryptogram), 8.2 (answer
cryptograms), 9.2.1.2 and 9.2.3.1 (script MACs, format 2, chained), 6.6.1 (transaction data hash code); VIS 1.5, D (versions
10 and 18); Book 3, C7 (issuer application data of common core).
"""

import hashlib
import json

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes

AC_KEY = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")
SCRIPT_KEY = bytes.fromhex("23456789ABCDEF01DCBA98765432100F")


def tdes(key, data):
    encryptor = Cipher(TripleDES(key + key[:8] if len(key) == 16 else key * 3), modes.ECB()).encryptor()
    return encryptor.update(data) + encryptor.finalize()


def xor(a, b):
    return bytes(x ^ y for x, y in zip(a, b))


def odd(key):
    return bytes(b if bin(b).count("1") % 2 else b ^ 1 for b in key)


def master(issuer, pan, psn="01"):
    y = bytes.fromhex((pan + psn)[-16:])
    return odd(tdes(issuer, y) + tdes(issuer, xor(y, b"\xff" * 8)))


def session(key, seed):
    return odd(tdes(key, seed[:2] + b"\xf0" + seed[3:]) + tdes(key, seed[:2] + b"\x0f" + seed[3:]))


def mac(key, data, mark=b"\x80"):
    data += mark
    data += b"\0" * (-len(data) % 8)
    block = b"\0" * 8
    for at in range(0, len(data) - 8, 8):
        block = tdes(key[:8], xor(block, data[at : at + 8]))
    return tdes(key, xor(block, data[-8:]))


AMOUNT = "000000000250" + "000000000000" + "0276" + "0000008000" + "0978" + "251103" + "00" + "01020304"


def ac(key, aip, atc, iad, mark=b"\x80"):
    return mac(key, bytes.fromhex(AMOUNT + aip + atc + iad), mark)


h = lambda b: b.hex().upper()
out = {"source": "card-made.py, Python cryptography 48", "cdol1": AMOUNT}

# The standard card (CDA, version 18): its second transaction, approved offline, and the issuer's answers to an ARQC.
mk = master(AC_KEY, "4761739001010010")
sk = session(mk, bytes.fromhex("0002000000000000"))
tc_iad = "06011203" + "901000"
tc = ac(sk, "3D00", "0002", tc_iad)
arqc_iad = "06011203" + "A01000"
arqc = ac(sk, "3D00", "0002", arqc_iad)
ok = tdes(sk, xor(arqc, b"00" + b"\0" * 6)) + b"00"
no = tdes(sk, xor(arqc, b"05" + b"\0" * 6)) + b"05"
objects = "9F270140" + "9F36020002" + "9F1007" + tc_iad
out["standard"] = {
    "tc": h(tc),
    "tcIssuerData": tc_iad,
    "arqc": h(arqc),
    "arqcIssuerData": arqc_iad,
    "approval": h(ok),
    "decline": h(no),
    "transactionHash": hashlib.sha1(bytes.fromhex("02760978" + AMOUNT + objects)).hexdigest().upper(),
}

# Version 10: the master key itself, the card verification results alone, no padding mark.
mk = master(AC_KEY, "4761739001010069")
out["dda"] = {"tc": h(mac(mk, bytes.fromhex(AMOUNT + "3C00" + "0001" + "03901000"), b"")), "issuerData": "06010A03901000"}

# Common core: 32 bytes of issuer application data, answered by method 2.
mk = master(AC_KEY, "4761739001010093")
sk = session(mk, bytes.fromhex("0001000000000000"))
iad = "0FA501" + "A230000000" + "00" * 8 + "0F" + "00" * 15
arqc = ac(sk, "3D00", "0001", iad)
csu = bytes.fromhex("00800000")
out["commonCore"] = {"arqc": h(arqc), "issuerData": iad, "approval": h(mac(sk, arqc + csu)[:4] + csu)}

# Issuer scripts: each MAC is chained to the one before, the first to the ARQC.
pan = next(p for p in ["476173900101018%d" % d for d in range(10)] if sum(
    (lambda d: d - 9 if d > 9 else d)(int(c) * (2 if i % 2 else 1)) for i, c in enumerate(reversed(p))) % 10 == 0)
sk = session(master(AC_KEY, pan), bytes.fromhex("0001000000000000"))
arqc = ac(sk, "3D00", "0001", "06011203A01000")
smk = session(master(SCRIPT_KEY, pan), arqc)
chain, commands = arqc, []
for header, data in [
    ("04DA9F58", "01"),
    ("04DC0124", "70089F1401079F230109"),
    ("841E0000", ""),
    ("84180000", ""),
    ("84160000", ""),
]:
    content = bytes.fromhex(data)
    head = bytes.fromhex(header) + bytes([len(content) + 8])
    chain = mac(smk, chain + head + content)
    commands.append(h(head + content + chain))
out["scripts"] = {"arqc": h(arqc), "commands": commands}

print(json.dumps(out, indent=2))

"""Makes cryptogram-made.json with python3 and `cryptography` 48 (OpenSSL): python3 cryptogram-made.py > cryptogram-made.json

For what no published vector covers: the common-core cryptogram, chained MACs of format 1, and ECB. EMV 4.4 Book 2.
"""
import json

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes


def run(key, mode, data, decrypt=False):
    cipher = Cipher(TripleDES(key), mode)
    context = cipher.decryptor() if decrypt else cipher.encryptor()
    return context.update(data) + context.finalize()


def pad(data):
    return data + b"\x80" + bytes(-(len(data) + 1) % 8)


def mac(key, blocks):
    chained = run(key[:8] * 3, modes.CBC(bytes(8)), blocks)[-8:]
    return run(key[:8] * 3, modes.ECB(), run(key[8:] * 3, modes.ECB(), chained, decrypt=True))


def session_key(master, r):
    return run(master + master[:8], modes.ECB(), r[:2] + b"\xf0" + r[3:] + r[:2] + b"\x0f" + r[3:])


def text(value):
    return value.hex().upper()


master = bytes.fromhex("0F0E0D0C0B0A09080706050403020100")
values = {
    "9F02": "000000012345", "9F03": "000000000000", "9F1A": "0276", "95": "0000008000", "5F2A": "0978",
    "9A": "260105", "9C": "00", "9F37": "DEADBEEF", "82": "1C00", "9F36": "0102",
    "9F10": "0FA501A00000000000000000000000000F" + "00" * 15,
}
ac_key = session_key(master, bytes.fromhex(values["9F36"]) + bytes(6))
arqc = mac(ac_key, pad(bytes.fromhex("".join(values.values()))))
csu = bytes.fromhex("00800000")
script_key = session_key(master, arqc)
first = mac(script_key, arqc + pad(bytes.fromhex("8C1E0000")))
put_data = bytes.fromhex("8102CAFE")
second = mac(script_key, first + pad(bytes.fromhex("8CDA9F58")) + pad(put_data))
plain = bytes.fromhex("0102030405060708090A")
triple = script_key + script_key[:8]
print(json.dumps({
    "source": "python3 cryptography 48.0.0 over OpenSSL; how: cryptogram-made.py beside this file",
    "masterKey": text(master),
    "commonCore": {"values": values, "arqc": text(arqc), "cardStatusUpdate": text(csu), "arpc": text(mac(ac_key, pad(arqc + csu))[:4])},
    "formatOne": {
        "applicationBlock": {"header": "8C1E0000", "mac": text(first)},
        "putData": {"header": "8CDA9F58", "dataObjects": text(put_data), "mac": text(second)},
    },
    "confidentiality": {
        "plain": text(plain),
        "ecb": text(run(triple, modes.ECB(), pad(plain))),
        "cbc": text(run(triple, modes.CBC(bytes(8)), pad(plain))),
    },
}, indent=2))

"""Makes oda-made.json: certificates and signatures of offline data authentication by EMV 4.4 Book 2, 5 and 6.

An implementation of its own for the tests of protocols/emv/oda: keys by the openssl command, RSA by pow(), SHA-1 by
hashlib. Run: python3 oda-made.py > oda-made.json (each run makes new keys). All keys and cards are test values.
"""

import hashlib
import json
import re
import subprocess

RID = bytes.fromhex("F054494C4C")
PAN = "6999999900000013"


def sha1(*parts):
    return hashlib.sha1(b"".join(parts)).digest()


class Key:
    def __init__(self, bits, exponent):
        pem = subprocess.run(
            ["openssl", "genrsa", "-3" if exponent == 3 else "-f4", str(bits)], capture_output=True, check=True
        ).stdout
        text = subprocess.run(
            ["openssl", "rsa", "-noout", "-text"], input=pem, capture_output=True, check=True
        ).stdout.decode()

        def number(name):
            digits = re.search(name + r":\n((?:\s+[0-9a-f:]+\n)+)", text).group(1)
            return int(re.sub(r"[\s:]", "", digits), 16)

        self.n = number("modulus")
        self.d = number("privateExponent")
        self.bytes = bits // 8
        self.exponent = bytes.fromhex("03" if exponent == 3 else "010001")
        self.modulus = self.n.to_bytes(self.bytes, "big")

    def sign(self, block):
        assert len(block) == self.bytes
        return pow(int.from_bytes(block, "big"), self.d, self.n).to_bytes(self.bytes, "big")


def split(key, room):
    """Public key in a certificate with so much room, and its remainder."""
    return key.modulus[:room].ljust(room, b"\xbb"), key.modulus[room:]


def certificate(signer, key, fields, hashed=b"", **change):
    """fields: what stands between header and hash algorithm; Tables 6 and 14."""
    room = signer.bytes - 1 - len(fields) - 4 - 21
    left, remainder = split(key, room)
    left, remainder = change.get("left", left), change.get("remainder", remainder)
    body = (
        fields
        + bytes([change.get("hash_algorithm", 1), change.get("key_algorithm", 1)])
        + bytes([change.get("key_length", key.bytes), change.get("exponent_length", len(key.exponent))])
        + left
    )
    digest = sha1(body, remainder, key.exponent, hashed)
    header, trailer = change.get("header", 0x6A), change.get("trailer", 0xBC)
    return signer.sign(bytes([header]) + body + digest + bytes([trailer])), remainder


def issuer_certificate(ca, issuer, identifier="699999FF", expiry="1249", serial="000A01", form="02", **change):
    return certificate(ca, issuer, bytes.fromhex(form + identifier + expiry + serial), **change)


def icc_certificate(issuer, icc, static, pan=PAN, expiry="1249", form="04", **change):
    fields = bytes.fromhex(form + pan.ljust(20, "F") + expiry + "000B02")
    return certificate(issuer, icc, fields, hashed=static, **change)


def signed_block(key, start, tail, **change):
    """Tables 7, 17 and 22: what stands before the padding, then padding, hash and trailer."""
    pad = change.get("pad", b"\xbb") * (key.bytes - 1 - len(start) - 21)
    digest = sha1(start, pad, tail)
    header, trailer = change.get("header", 0x6A), change.get("trailer", 0xBC)
    return key.sign(bytes([header]) + start + pad + digest + bytes([trailer]))


def signed_static(issuer, static, form="03", algorithm="01", **change):
    return signed_block(issuer, bytes.fromhex(form + algorithm + "DAC1"), static, **change)


def signed_dynamic(icc, dynamic, tail, form="05", algorithm="01", length=None, **change):
    start = bytes.fromhex(form + algorithm) + bytes([len(dynamic) if length is None else length]) + dynamic
    return signed_block(icc, start, tail, **change)


NUMBER = bytes.fromhex("08A1B2C3D4E5F60718")
CRYPTOGRAM = bytes.fromhex("1122334455667788")
UN = bytes.fromhex("9F371234")
CID = 0x40
TRANSACTION = bytes.fromhex("000000000250000000000000" + "9F371234" + "9F2701409F360200059F100706010A03A00000")


def combined(cid=CID, transaction=TRANSACTION, number=NUMBER):
    return number + bytes([cid]) + CRYPTOGRAM + sha1(transaction)


# Of a second GENERATE AC: the values of CDOL2 (9F37) come behind those of CDOL1.
SECOND = bytes.fromhex("000000000250000000000000" + "9F371234" + "9F371234" + "9F2701409F360200059F100706010A03A00000")


def static_data(pan=PAN, aip=b"\x61\x00"):
    records = bytes.fromhex("5A08" + pan + "5F2403491231" + "5F340101" + "9F4A0182")
    return records + aip


def hexed(value):
    return value.hex().upper()


def make_set(name, ca_bits, issuer_bits, icc_bits, exponent):
    ca, issuer, icc = Key(ca_bits, exponent), Key(issuer_bits, exponent), Key(icc_bits, exponent)
    static = static_data()
    issuer_cert, issuer_rem = issuer_certificate(ca, issuer)
    icc_cert, icc_rem = icc_certificate(issuer, icc, static)
    made = {
        "name": name,
        "bits": [ca_bits, issuer_bits, icc_bits],
        "caKey": {
            "rid": hexed(RID),
            "index": "07",
            "modulus": hexed(ca.modulus),
            "exponent": hexed(ca.exponent),
            "sha1": hexed(sha1(RID, b"\x07", ca.modulus, ca.exponent)),
            "expires": "2049-12-31",
        },
        "issuerKey": {"modulus": hexed(issuer.modulus), "exponent": hexed(issuer.exponent), "serialNumber": "000A01"},
        "iccKey": {"modulus": hexed(icc.modulus), "exponent": hexed(icc.exponent)},
        "staticData": hexed(static),
        "values": {
            "8F": "07",
            "90": hexed(issuer_cert),
            **({"92": hexed(issuer_rem)} if issuer_rem else {}),
            "9F32": hexed(issuer.exponent),
            "93": hexed(signed_static(issuer, static)),
            "9F46": hexed(icc_cert),
            **({"9F48": hexed(icc_rem)} if icc_rem else {}),
            "9F47": hexed(icc.exponent),
            "5A": PAN,
            "5F24": "491231",
            "82": "6100",
            "9F4A": "82",
        },
        "dataAuthenticationCode": "DAC1",
        "iccDynamicNumber": hexed(NUMBER[1:]),
        "dda": {"signed": hexed(signed_dynamic(icc, NUMBER, UN)), "terminalData": hexed(UN)},
        "cda": {
            "signed": hexed(signed_dynamic(icc, combined(), UN)),
            "cid": CID,
            "unpredictableNumber": hexed(UN),
            "transactionData": hexed(TRANSACTION),
            "cryptogram": hexed(CRYPTOGRAM),
        },
        # For the files that `tillway emv verify` reads.
        "secondSigned": hexed(signed_dynamic(icc, combined(transaction=SECOND), UN)),
        "highFileSigned": hexed(signed_static(issuer, b"\x70" + bytes([len(static) - 2]) + static)),
    }
    return made, (ca, issuer, icc)


def faults(ca, issuer, icc, padded):
    """Soundly signed, and wrong in one field: each check alone must refuse it. `why` as OdaFailure has it."""
    static = static_data()
    found = []

    def issuer_fault(what, why, values=None, **change):
        cert, rem = issuer_certificate(ca, issuer, **change)
        found.append({"what": what, "why": why, "at": "issuer", "values": {"90": hexed(cert), "92": hexed(rem), **(values or {})}})

    def icc_fault(what, why, values=None, **change):
        cert, rem = icc_certificate(issuer, icc, static, **change)
        found.append({"what": what, "why": why, "at": "icc", "values": {"9F46": hexed(cert), "9F48": hexed(rem), **(values or {})}})

    def sda_fault(what, why, **change):
        found.append({"what": what, "why": why, "at": "sda", "values": {"93": hexed(signed_static(issuer, static, **change))}})

    def dynamic_fault(at, what, why, dynamic, **change):
        found.append({"what": what, "why": why, "at": at, "signed": hexed(signed_dynamic(icc, dynamic, UN, **change))})

    for fault, at_form in ((issuer_fault, "04"), (icc_fault, "02")):
        fault("trailer not BC", "format", trailer=0xBD)
        fault("header not 6A", "format", header=0x6B)
        fault("format of the other certificate", "format", form=at_form)
        fault("hash algorithm 02", "algorithm", hash_algorithm=2)
        fault("public key algorithm 02", "algorithm", key_algorithm=2)
        fault("expired in October 2026", "expired", expiry="1026")
        fault("expired in the last century", "expired", expiry="1299")
        fault("no month 13", "format", expiry="1349")
        fault("expiry that is no number", "format", expiry="1A49")
        fault("exponent length 3", "format", exponent_length=3)
        fault("key length beyond its remainder", "format", key_length=247)
        fault("key length 0", "format", key_length=0)
    issuer_fault("key length 249", "format", key_length=249, remainder=bytes(249 - (ca.bytes - 36)))
    icc_fault("key length 249", "format", key_length=249, remainder=bytes(249 - (issuer.bytes - 42)))
    issuer_fault("another issuer", "identifier", identifier="699998FF")
    issuer_fault("issuer identifier of two digits", "identifier", identifier="69FFFFFF")
    issuer_fault("issuer identifier with a digit behind its padding", "identifier", identifier="699F9FFF")
    issuer_fault("issuer identifier that is no number", "identifier", identifier="69999AFF")
    icc_fault("PAN of another card", "identifier", pan="6999999900000021")
    icc_fault("PAN longer than the card's", "identifier", pan=PAN + "1")
    icc_fault("PAN shorter than the card's", "identifier", pan=PAN[:-1])
    sda_fault("trailer not BC", "format", trailer=0xBD)
    sda_fault("header not 6A", "format", header=0x6B)
    sda_fault("format of dynamic data", "format", form="05")
    sda_fault("hash algorithm 02", "algorithm", algorithm="02")
    sda_fault("padding other than BB", "format", pad=b"\xba")
    for at, dynamic in (("dda", NUMBER), ("cda", combined())):
        dynamic_fault(at, "trailer not BC", "format", dynamic, trailer=0xBD)
        dynamic_fault(at, "header not 6A", "format", dynamic, header=0x6B)
        dynamic_fault(at, "format of static data", "format", dynamic, form="03")
        dynamic_fault(at, "hash algorithm 02", "algorithm", dynamic, algorithm="02")
        dynamic_fault(at, "padding other than BB", "format", dynamic, pad=b"\xba")
        dynamic_fault(at, "dynamic data longer than the signature", "format", dynamic, length=0xFF)
        dynamic_fault(at, "dynamic data of no bytes", "format", b"")
        dynamic_fault(at, "dynamic number of one byte", "format", b"\x01\xaa" + combined(number=b""))
        dynamic_fault(at, "dynamic number longer than the data", "format", b"\x08\xaa\xbb")
    dynamic_fault("dda", "dynamic number of nine bytes", "format", b"\x09" + bytes(9))
    dynamic_fault("cda", "dynamic number of nine bytes", "format", combined(number=b"\x09" + bytes(9)))
    dynamic_fault("cda", "nothing behind the dynamic number", "format", NUMBER)
    dynamic_fault("cda", "one byte too few behind the dynamic number", "format", combined()[:-1])
    dynamic_fault("cda", "another CID than in the answer", "identifier", combined(cid=0x80))
    dynamic_fault("cda", "hash code over other transaction data", "hash", combined(transaction=b"other"))
    # These need a certificate with room behind its key.
    ca, issuer, icc = padded
    for what, change in {
        "key padded with BA": {"left": lambda key, room: key.modulus.ljust(room, b"\xba")},
        "last byte of padding not BB": {"left": lambda key, room: key.modulus.ljust(room - 1, b"\xbb") + b"\x00"},
        "key of no bytes": {"left": lambda _, room: b"\xbb" * room, "key_length": 0},
    }.items():
        left = change.pop("left")
        cert, _ = issuer_certificate(ca, issuer, left=left(issuer, ca.bytes - 36), **change)
        found.append({"what": what, "why": "format", "at": "issuer", "set": "padding", "values": {"90": hexed(cert)}})
        cert, _ = icc_certificate(issuer, icc, static, left=left(icc, issuer.bytes - 42), **change)
        found.append({"what": what, "why": "format", "at": "icc", "set": "padding", "values": {"9F46": hexed(cert)}})
    return found


def sound(ca, issuer, icc):
    """Forms that must hold although they differ from the first set."""
    static = static_data()
    found = []
    for identifier in ("699FFFFF", "6999FFFF", "69999FFF", "699999FF", "6999999F", "69999999"):
        cert, rem = issuer_certificate(ca, issuer, identifier=identifier)
        found.append({"what": "issuer identifier " + identifier, "at": "issuer", "values": {"90": hexed(cert), "92": hexed(rem)}})
    cert, rem = issuer_certificate(ca, issuer, expiry="1126")
    found.append({"what": "issuer certificate in its last month", "at": "issuer", "values": {"90": hexed(cert), "92": hexed(rem)}})
    cert, rem = icc_certificate(issuer, icc, static, expiry="1126")
    found.append({"what": "ICC certificate in its last month", "at": "icc", "values": {"9F46": hexed(cert), "9F48": hexed(rem)}})
    for number in ("02A1B2", "08A1B2C3D4E5F60718"):
        dynamic = bytes.fromhex(number)
        found.append({"what": "DDA with number " + number, "at": "dda", "signed": hexed(signed_dynamic(icc, dynamic, UN))})
        dynamic = combined(number=dynamic)
        found.append({"what": "CDA with number " + number, "at": "cda", "signed": hexed(signed_dynamic(icc, dynamic, UN))})
    return found


def raw(bits, exponent):
    """signed^e mod n alone, and a modulus with a zero in front."""
    key = Key(bits, exponent)
    signed = (key.n // 3 * 2).to_bytes(key.bytes, "big")
    recovered = pow(int.from_bytes(signed, "big"), int.from_bytes(key.exponent, "big"), key.n).to_bytes(key.bytes, "big")
    small = pow(2, key.d, key.n).to_bytes(key.bytes, "big")
    return {
        "modulus": hexed(key.modulus),
        "exponent": hexed(key.exponent),
        "signed": hexed(signed),
        "recovered": hexed(recovered),
        "signedTwo": hexed(small),
    }


def main():
    small, keys = make_set("remainders", 640, 576, 512, 3)
    padded, padded_keys = make_set("padding", 1152, 856, 512, 65537)
    full, _ = make_set("full", 1984, 1984, 1408, 3)
    print(
        json.dumps(
            {
                "source": "Made by oda-made.py beside this file: keys by the openssl command, RSA by Python's pow(), SHA-1 by hashlib; EMV 4.4 Book 2, Tables 6, 7, 14, 17, 19 and 22",
                "today": "2026-11-15",
                "sets": [small, padded, full],
                "faults": faults(*keys, padded_keys),
                "sound": sound(*keys),
                "raw": [raw(512, 3), raw(1024, 65537), raw(1984, 3)],
            },
            indent=2,
        )
    )


main()

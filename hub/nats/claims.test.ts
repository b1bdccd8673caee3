import { createPublicKey, verify } from "node:crypto";
import { expect, test } from "vitest";
import type { TerminalId } from "../../base/ids.ts";
import { newSigningKeys } from "../../wire/signing.ts";
import { brokerAuthority } from "./broker-authority.ts";
import { base32, nkeyText } from "./nkeys.ts";

const keys = { operator: newSigningKeys(), account: newSigningKeys(), system: newSigningKeys() };
const authority = brokerAuthority(keys);
const valid = { from: 1_767_600_000_000, to: 1_775_376_000_999 };
const partsOf = (jwt: string) => {
  const [head = "", body = "", signature = ""] = jwt.split(".");
  const read = (text: string): unknown => JSON.parse(Buffer.from(text, "base64url").toString());
  return { signed: `${head}.${body}`, signature, head: read(head), body: read(body) };
};

test("base32 is that of RFC 4648, section 10, without padding", () => {
  const of = (text: string) => base32(Buffer.from(text));
  expect(["", "f", "fo", "foo", "foob", "fooba", "foobar"].map(of)).toEqual([
    "",
    "MY",
    "MZXQ",
    "MZXW6",
    "MZXW6YQ",
    "MZXW6YTB",
    "MZXW6YTBOI",
  ]);
});

test("a key's name begins with its kind and is 56 characters long", () => {
  const bytes = new Uint8Array(32).fill(7);
  for (const [kind, letter] of [
    ["operator", "O"],
    ["account", "A"],
    ["user", "U"],
  ] as const)
    expect(nkeyText(kind, bytes)).toMatch(new RegExp(`^${letter}[A-Z2-7]{55}$`));
});

test("a login permits its own topics by name and nothing else, over MQTT, and ends with its certificate", () => {
  const login = authority.loginOf("till-1" as TerminalId, valid);
  const { head, body, signed, signature } = partsOf(login?.password ?? "");
  expect(head).toEqual({ typ: "JWT", alg: "ed25519-nkey" });
  expect(body).toMatchObject({
    iat: 1_767_600_000,
    exp: 1_775_376_000,
    name: "till-1",
    nats: {
      type: "user",
      version: 2,
      bearer_token: true,
      allowed_connection_types: ["MQTT"],
      pub: { allow: expect.arrayContaining(["tillway.v1.till-1.up.advice", "tillway.v1.till-1.up.authorisation"]) },
      sub: { allow: ["tillway.v1.till-1.down.*"] },
    },
  });
  expect(JSON.stringify(body)).not.toMatch(/up\.[*>]|tillway\.v1\.[*>]/);
  const key = createPublicKey(keys.account.publicKey.export({ format: "pem", type: "spki" }));
  expect(verify(null, Buffer.from(signed), key, Buffer.from(signature, "base64url"))).toBe(true);
  expect(login).toMatchObject({ username: "till-1", clientId: expect.stringMatching(/^[0-9a-f]{32}$/) });
});

test("an id that would reach beyond its own level of the topics has no login", () => {
  for (const id of ["a.b", "*", ">", "a b", "a/b", ""])
    expect(authority.loginOf(id as TerminalId, valid)).toBeUndefined();
});

test("every login of a terminal bears the name that its revocation bears, and no other's", () => {
  const nameOf = (id: string, from: number) =>
    (partsOf(authority.loginOf(id as TerminalId, { ...valid, from })?.password ?? "").body as { sub: string }).sub;
  expect(nameOf("till-1", valid.from)).toBe(nameOf("till-1", valid.from + 5_000));
  const account = authority.account([{ id: "till-1" as TerminalId, upTo: valid.from + 999 }], valid.to);
  const { nats } = partsOf(account).body as { nats: { revocations: Record<string, number> } };
  expect(nats.revocations).toEqual({ [nameOf("till-1", valid.from)]: 1_767_600_000 });
  expect(nats.revocations[nameOf("till-2", valid.from)]).toBeUndefined();
});

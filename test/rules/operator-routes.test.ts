/** Every route of the hub: which role it needs, and that docs/operators.md says so. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import Fastify from "fastify";
import { beforeAll, describe, expect, test } from "vitest";
import { guardRoutes } from "../../hub/core/operators/index.ts";
import { BOOTSTRAP_TOKEN, type OperatorHub, operatorHub } from "./operators-fixture.ts";

const DOCUMENT = readFileSync(join(import.meta.dirname, "../../docs/operators.md"), "utf8");

/** Open to whoever has a claim, a terminal's certificate, a phone's key or a password, or to everybody. */
const OPEN = [
  "GET /metrics",
  "GET /v1/health",
  "POST /v1/certificate",
  "POST /v1/enrol",
  "POST /v1/phone",
  "POST /v1/phone/enrol",
  "POST /v1/sessions",
  "POST /v1/uplink",
];

let hub: OperatorHub;
let routes: readonly { readonly name: string; readonly needs: string }[];
beforeAll(async () => {
  hub = await operatorHub();
  const { body } = await hub.ask("GET", "/docs/json");
  const paths = body["paths"] as Record<string, Record<string, { description?: string }>>;
  routes = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { description = "" }]) => ({
      name: `${method.toUpperCase()} ${path.replaceAll(/\{(\w+)\}/g, ":$1")}`,
      needs: description,
    })),
  );
});

const guarded = () => routes.filter(({ name }) => !OPEN.includes(name));

test("every route but the open ones needs a role", () => {
  expect(guarded().length).toBeGreaterThan(40);
  expect(guarded().filter(({ needs }) => !/^Needs the role (?:viewer|operator|admin)\b/.test(needs))).toEqual([]);
  expect(
    routes
      .filter(({ needs }) => needs === "")
      .map(({ name }) => name)
      .toSorted(),
  ).toEqual(OPEN);
});

test("no route answers somebody unknown, whatever it needs", async () => {
  for (const [at, { name }] of guarded().entries()) {
    const [method = "", path = ""] = name.split(" ");
    const url = path.replaceAll(/:\w+/g, "1");
    const answer = await hub.ask(method as "GET" | "POST", url, { address: `10.0.0.${at % 250}` });
    expect({ name, status: answer.status }).toEqual({ name, status: 401 });
  }
});

test("a viewer can change nothing but what is his own", () => {
  const changing = guarded().filter(({ name, needs }) => name.startsWith("POST") && needs.includes("viewer"));
  expect(changing.map(({ name }) => name).toSorted()).toEqual([
    "POST /v1/operators/:name/password",
    "POST /v1/operators/:name/tokens",
    "POST /v1/operators/:name/tokens/:token/revoke",
    "POST /v1/sessions/end",
  ]);
});

test("docs/operators.md lists each route with what it needs, and no other", () => {
  const listed = [...DOCUMENT.matchAll(/^\| `((?:GET|POST) [^`]+)` \| (.+?) \|$/gm)].map(
    ([, name = "", needs = ""]) => `${name}: ${needs}`,
  );
  const wanted = guarded().map(({ name, needs }) => `${name}: ${needs.replace("Needs the role ", "")}`);
  expect(listed.toSorted()).toEqual(wanted.toSorted());
});

describe("a route that is not guarded as it should be stops the start, or fails", () => {
  const scope = () => {
    const app = Fastify();
    guardRoutes(app, { operators: hub.operators, clock: hub.clock, refused: () => {} });
    return app;
  };
  test("one without a role", () => {
    expect(() => scope().get("/v1/planted", () => ({}))).toThrow(/names no role/);
  });
  test("one that says nothing of its audit and does not change by request.change fails, and is in the log", async () => {
    const app = scope();
    app.post("/v1/planted", { config: { role: "viewer" } }, () => ({}));
    const asked = {
      method: "POST",
      url: "/v1/planted",
      headers: { authorization: `Bearer ${BOOTSTRAP_TOKEN}` },
    } as const;
    expect((await app.inject(asked)).statusCode).toBe(500);
    expect((await hub.entries()).at(-1)).toMatchObject({ action: "POST /v1/planted", outcome: "failed" });
  });
  test("one that only looks can change nothing", async () => {
    const app = scope();
    app.get("/v1/planted", { config: { role: "viewer" } }, (request) => request.change(async () => ({})));
    const headers = { authorization: `Bearer ${BOOTSTRAP_TOKEN}` };
    expect((await app.inject({ method: "GET", url: "/v1/planted", headers })).statusCode).toBe(500);
  });
  test("one whose body may hold what it does not know", () => {
    const schema = { body: { type: "object", properties: {} } };
    expect(() => scope().post("/v1/planted", { config: { role: "viewer" }, schema }, () => ({}))).toThrow(/not know/);
  });
});

import { fastify } from "fastify";
import { expect, test } from "vitest";
import { systemClock } from "../../../base/clock.ts";
import { silentLog } from "../../../base/log.ts";
import { currencyOf } from "../../../base/money.ts";
import { cardPaymentsWithoutHub } from "../../../test/rules/card-payments-without-hub.ts";
import { refuse, thrownError } from "../../api/api-errors.ts";
import { cardPaymentRoutes } from "./routes.ts";

const BODY = { id: "CP-1", amount: { minor: 1250, currency: "EUR" }, payeeAccount: "merchant:shop:EUR" };

async function call(method: "GET" | "POST", url: string, body?: object) {
  const app = fastify();
  app.setErrorHandler((error, _request, reply) => reply.send(refuse(reply, thrownError(error, silentLog))));
  cardPaymentRoutes(app, {
    cardPayments: cardPaymentsWithoutHub(),
    clock: systemClock,
    currency: currencyOf("EUR"),
    stopping: new AbortController().signal,
  });
  const answer = await app.inject({ method, url, ...(body && { payload: body }) });
  await app.close();
  return { status: answer.statusCode, json: answer.json<unknown>() };
}

test.each([
  ["an id longer than a card command takes", { id: "x".repeat(33) }, 400, "id"],
  ["no id", { id: undefined }, 400, "id"],
  ["a payee that is no account", { payeeAccount: "a b" }, 400, "payeeAccount"],
  ["an amount of nothing", { amount: { minor: 0, currency: "EUR" } }, 400, "amount.minor"],
  ["a field too many", { tip: 1 }, 400, "tip"],
  ["another currency", { amount: { minor: 1, currency: "SEK" } }, 422, "amount.currency"],
])("a card payment with %s is refused with the path of the field", async (_what, changes, status, path) => {
  expect(await call("POST", "/v1/card-payments", { ...BODY, ...changes })).toMatchObject({
    status,
    json: { error: { path } },
  });
});

test("while the hub is out of reach no card is asked for, and nothing is claimed about an earlier try", async () => {
  expect(await call("POST", "/v1/card-payments", BODY)).toMatchObject({
    status: 200,
    json: { status: "unknown", reason: "E_UNAVAILABLE", amount: { minor: "1250", currency: "EUR" } },
  });
  expect(await call("GET", "/v1/card-payments/CP-1")).toMatchObject({
    status: 503,
    json: { error: { code: "E_UNAVAILABLE" } },
  });
  expect(await call("POST", "/v1/card-payments/CP-1/cancel")).toMatchObject({ status: 404 });
});

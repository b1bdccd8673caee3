/** The operator's requests to features, as the gateway passes them on. */
import type { HubCore } from "../../hub/hub-core.ts";

/** `route` as in `GET /v1/pre-authorised-code/grants`. */
export async function askOperator(hub: HubCore, route: string, body: unknown = {}): Promise<unknown> {
  const found = hub.featureRoutes.find(({ method, path }) => route === `${method} ${path}`);
  if (!found) throw new Error(`no route ${route}`);
  const request = { body, query: {} };
  return found.method === "GET"
    ? await hub.store.read((reading) => found.handle(request, reading))
    : await hub.store.transaction((within) => found.handle(request, within));
}

/** Whether an agent runs here, and what it says of itself: one that answers badly is left alone with its devices and its link. */
import { type Clock, deadline } from "../../base/clock.ts";
import type { Environment } from "../../base/config-file.ts";
import { isFault, reasonOf } from "../../base/fault.ts";
import { isLocked } from "../../base/lock-file.ts";
import { ApiClient, findApi } from "../client.ts";
import { type Status, StatusSchema } from "../health/health.ts";
import { readAnswer } from "../operator/answer.ts";
import type { Finding } from "./finding.ts";

export type AgentAnswer =
  | { readonly at: "running"; readonly status: Status }
  | { readonly at: "away" }
  /** One runs, or something sits in its place. */
  | { readonly at: "unclear"; readonly why: string };

export interface AgentQuestion {
  readonly configPath: string;
  readonly dataDir: string;
  readonly env: Environment;
  readonly clock: Clock;
}

const ANSWER_LIMIT_MS = 3_000;

const unclear = (why: string): AgentAnswer => ({ at: "unclear", why });

export async function askAgent({ configPath, dataDir, env, clock }: AgentQuestion): Promise<AgentAnswer> {
  using limit = deadline(clock, ANSWER_LIMIT_MS);
  try {
    const client = new ApiClient(findApi({ config: configPath }, env), clock);
    const answer = await client.call({ method: "GET", path: "/v1/status" }, limit.signal);
    if (!answer.ok) return unclear(`does not tell its status: ${answer.error.message}`);
    return { at: "running", status: readAnswer(StatusSchema, answer.value) };
  } catch (error) {
    if (!isFault(error)) throw error;
    const { code, message } = error;
    if (code === "transport.failed" || code === "config.missing") return behindTheApi(dataDir);
    return unclear(code === "transport.timeout" ? `${message}; look at its log, and start it again` : message);
  }
}

/** Nothing answers, but an agent that starts, or that was given another port since, has its folder for itself. */
function behindTheApi(dataDir: string): AgentAnswer {
  try {
    if (!isLocked(dataDir)) return { at: "away" };
    return unclear(
      `runs on ${dataDir} and does not answer: it is starting, or its configuration was changed; start it again`,
    );
  } catch (error) {
    return unclear(`whether it runs is not known: ${reasonOf(error)}`);
  }
}

/** `hasRun`: an agent that has run here once is to run. */
export function agentFinding(
  answer: AgentAnswer,
  { configPath, hasRun }: { configPath: string; hasRun: boolean },
): Finding {
  const name = "agent";
  switch (answer.at) {
    case "running": {
      const { selling } = answer.status;
      return { level: selling.startsWith("stopped") ? "FAIL" : "ok", name, what: `running, selling ${selling}` };
    }
    case "away": {
      const what = `is not running; start it with: tillway agent --config ${configPath}`;
      return hasRun
        ? { level: "FAIL", name, what: `${what}, and if it ends, its log says why` }
        : { level: "warn", name, what };
    }
    case "unclear":
      return { level: "FAIL", name, what: answer.why };
  }
}

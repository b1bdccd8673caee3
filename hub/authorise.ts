/**
 * An online request from its arrival to its answer (RM1, RM2): decided within one commit, or noted in one, asked of its
 * issuer, and concluded in another.
 */
import type { DownOf, UpOf } from "../wire/envelope.ts";
import type { OpenCard } from "./card-opener.ts";
import {
  type Answer,
  type Asked,
  type Asking,
  type Authorisation,
  type Decided,
  STALE_ANSWER,
} from "./core/authorisation/index.ts";
import type { Metrics } from "./metrics.ts";
import { headOf, type MessageParts, REVOKED_ANSWER, speakerOf } from "./terminal-messages.ts";

export interface AuthoriseParts extends MessageParts {
  readonly authorisation: Authorisation;
  readonly metrics: Metrics;
  readonly openCard: OpenCard;
  /** Puts a question to its issuer; never rejects. Absent where all cards are this hub's own. */
  readonly ask?: (asking: Asking, withinMs: number) => Promise<Asked>;
  /** Questions under way in this process, for those who ask the same again (RM4). */
  readonly running: Map<string, Promise<Answer>>;
}

type Request = UpOf<"authorisation.request">;

/** Whoever waits has his answer by then, counted from when the hub received his request (RM2). */
const ANSWER_WITHIN_MS = 2_500;
/** Of that, what the second commit may take. */
const CONCLUDE_MS = 300;

export async function authorise(
  parts: AuthoriseParts,
  envelope: Request,
  receivedAt: number,
): Promise<DownOf<"authorisation.response">> {
  const { terminalId, body: request } = envelope;
  const decided = await decide(parts, envelope, receivedAt);
  const answer = "answer" in decided ? decided.answer : await answerOf(parts, { ...envelope, receivedAt }, decided);
  parts.metrics.count("tillway_hub_authorisations_total", { outcome: answer.outcome, code: answer.responseCode });
  const body: DownOf<"authorisation.response">["body"] = {
    paymentId: request.paymentId,
    attempt: request.attempt,
    ...answer,
    time: parts.terminals.signedTime(terminalId),
  };
  return { ...headOf(parts, envelope), type: "authorisation.response", body };
}

function decide(parts: AuthoriseParts, { terminalId, body: request }: Request, receivedAt: number): Promise<Decided> {
  const card = parts.openCard(request.card, request.paymentId, terminalId);
  let fresh = false;
  return parts.commits.submit<Decided>({
    lane: "person",
    async apply(within) {
      const { isRevoked } = await speakerOf(parts, within, terminalId);
      const key = { terminalId, paymentId: request.paymentId };
      const refusal = isRevoked ? { refusal: REVOKED_ANSWER } : {};
      const input = { key, request, card, receivedAt, now: parts.clock.now(), ...refusal };
      const decided = await parts.authorisation.request(within, input);
      fresh = "asking" in decided || ("fresh" in decided && decided.fresh);
      return decided;
    },
    tooLate: () => fresh && isTooLate(parts, request),
    whenTooLate: () => ({ answer: STALE_ANSWER, fresh: false }),
  });
}

const isTooLate = ({ clock }: Pick<AuthoriseParts, "clock">, { answerBy }: Request["body"]): boolean =>
  clock.now() > Date.parse(answerBy);

async function answerOf(
  parts: AuthoriseParts,
  { terminalId, body, receivedAt }: Request & { readonly receivedAt: number },
  decided: Exclude<Decided, { readonly answer: Answer }>,
): Promise<Answer> {
  const name = `${terminalId}/${body.paymentId}/${body.attempt}`;
  // Of a question that another replica asks, or one that died since, nobody here knows the answer.
  if ("running" in decided) return (await parts.running.get(name)) ?? STALE_ANSWER;
  const until = Math.min(receivedAt + ANSWER_WITHIN_MS, Date.parse(body.answerBy)) - CONCLUDE_MS;
  const answer = question(parts, body, { asking: decided.asking, until }).finally(() => parts.running.delete(name));
  parts.running.set(name, answer);
  return await answer;
}

interface Timed {
  readonly asking: Asking;
  /** When the issuer's time is over, in milliseconds since 1970. */
  readonly until: number;
}

async function question(parts: AuthoriseParts, request: Request["body"], { asking, until }: Timed): Promise<Answer> {
  const { authorisation, commits, ask, clock } = parts;
  const asked: Asked = (await ask?.(asking, until - clock.now())) ?? { what: "no-answer", sent: false, why: "timeout" };
  let late = false;
  const answer = await commits.submit<Answer>({
    lane: "person",
    apply: (within) => authorisation.conclude(within, { asking, asked }),
    tooLate: () => {
      late = isTooLate(parts, request);
      return late;
    },
    whenTooLate: () => STALE_ANSWER,
  });
  if (late) abandon(parts, asking);
  return answer;
}

/** What cannot be taken back now is so by the next sweep. */
function abandon({ authorisation, commits }: AuthoriseParts, { question: { key, attempt } }: Asking): void {
  const apply = authorisation.abandon;
  commits.submit({ lane: "queue", apply: (within) => apply(within, key, attempt) }).catch(() => {});
}

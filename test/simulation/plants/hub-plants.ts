/** Bugs at the hub: what is applied again, answered too early, or never given back. */
import type { Plant } from "./plant.ts";

const ENTRIES = "hub/core/authorisation/entries.ts";
const APPLY = "hub/core/ingest/apply.ts";

export const HUB_PLANTS: readonly Plant[] = [
  {
    name: "repeated-batch-applied-again",
    shippedBy: "odoo #152259, ERPNext #12971: a message that comes twice is posted twice",
    file: APPLY,
    find: `return known.status === "quarantined" ? again(applier, checked, known) : repeat(known);`,
    replace: "return again(applier, checked, known);",
    also: [
      { file: ENTRIES, find: `if (payment.state === "confirmed") return DUPLICATE;`, replace: "" },
      {
        file: "hub/core/authorisation/postings.ts",
        find: '}advice/0`,\n      kind: "single",\n      debitAccount: customer,',
        replace:
          '}advice/`.concat(String((await ledger.transfersUnder(within, prefix, 100)).length)),\n      kind: "single",\n      debitAccount: customer,',
      },
    ],
    seed: "1",
  },
  {
    name: "answered-before-the-commit",
    shippedBy: "Formance #364, vendo #1297: the answer leaves, and the write is refused afterwards",
    file: "hub/group-commit.ts",
    find: "if (isStoreFailure(error)) throw error;\n        outcomes.set(item, { error });\n      }",
    replace:
      "if (isStoreFailure(error)) throw error;\n        outcomes.set(item, { error });\n      }\n      settle(item, outcomes.get(item) ?? { error: undefined });",
    also: [
      {
        file: "hub/group-commit.ts",
        find: "outcomes.set(item, { value: await item.work.apply(within) });\n    });",
        replace:
          "outcomes.set(item, { value: await item.work.apply(within) });\n      for (const [item, outcome] of outcomes) settle(item, outcome);\n    });",
      },
    ],
    seed: "14",
  },
  {
    name: "reversal-leaves-no-tombstone",
    shippedBy: "Midaz #1974, jpos-users 2022: a reversal of what has not come yet is acknowledged and forgotten",
    file: ENTRIES,
    find: `await store.insertAttempt(within, payment.number, { attempt: body.attempt, state: "tombstone", at: now });`,
    replace: "",
    seed: "374",
  },
  {
    name: "hold-never-released",
    shippedBy: "Galileo neg_bal, Medici #119: the money of a reversed attempt stays held",
    file: "hub/core/authorisation/withdrawal.ts",
    find: `if (attempt.state === "approved") await postings.release(within, { key: payment, attempt: attempt.attempt });`,
    replace: "",
    seed: "3",
  },
  {
    name: "advice-posted-beside-the-hold",
    shippedBy: "POSNext #50, #97: one sale in the general ledger twice",
    file: ENTRIES,
    find: "if (await postNewestHold(parts, { input, payment, attempts })) {",
    replace: "if (attempts.length > 1 && (await postNewestHold(parts, { input, payment, attempts }))) {",
    seed: "1",
  },
  {
    name: "each-refund-compared-alone",
    shippedBy:
      "vendo #1297, envato/double_entry #114: a limit that is checked against what was, not against what is left",
    file: "hub/core/authorisation/refund.ts",
    find: "if (content.minor > left)",
    replace: "if (content.minor > original.content.minor)",
    seed: "1",
  },
  {
    name: "sales-of-two-tills-under-one-number",
    shippedBy: "odoo #40567, #40600: order numbers of two tills meet, and one of them is dropped as known",
    file: "hub/core/authorisation/store.ts",
    find: `"SELECT * FROM authorisation__payment WHERE terminal_id = ? AND payment_id = ?",`,
    replace: `"SELECT * FROM authorisation__payment WHERE (terminal_id = ? OR 1) AND payment_id = ?",`,
    seed: "2",
  },
  {
    name: "second-sale-to-a-customer-dropped",
    shippedBy: "POS-Awesome-V15 PR #2979: deduplication by customer drops the second",
    file: ENTRIES,
    find: `if (payment.state === "voided") return declined("this payment was voided");`,
    replace: `if (payment.state === "voided") return declined("this payment was voided");
  const kept = parts.store as unknown as { sales?: Set<string> };
  kept.sales ??= new Set();
  const sale = \`\${typeof input.card === "object" ? input.card.token : key.paymentId} \${body.operation} \${body.amount.minor}\`;
  if (kept.sales.has(sale)) return DUPLICATE;
  kept.sales.add(sale);`,
    seed: "1",
  },
  {
    name: "epoch-not-checked",
    shippedBy: "the guarantee that none of the agents read gives: a disk that began anew counts from 1 again",
    file: "hub/core/ingest/service.ts",
    find: "const source: Source = { terminalId, epoch: batch.epoch };",
    replace:
      "const [first] = await ingestStore.epochs(within, terminalId);\n  const source: Source = { terminalId, epoch: (first?.epoch ?? batch.epoch) as Epoch };",
    seed: "27",
  },
  {
    name: "half-of-a-transfer",
    shippedBy: "Medici #38, envato/double_entry #114: one side of a posting under contention",
    file: "hub/core/ledger/plan-resolution.ts",
    find: "    debitsPosted: debit.debitsPosted + posted,",
    replace: "    debitsPosted: debit.debitsPosted + (posted > 5_500n ? 0n : posted),",
    seed: "2",
  },
];

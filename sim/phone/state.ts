/** What a phone remembers of its codes and payments, as it stands in its file. */
import { z } from "zod";
import { PreAuthorisedCodeSchema } from "../../wire/authorisation.ts";
import { CurrencySchema, TimeSchema } from "../../wire/common.ts";
import { AccountRefSchema, FirstApprovalSchema, MinorSchema, PostedNoticeSchema } from "../../wire/phone.ts";

const CodeSchema = z.strictObject({
  secureCode: PreAuthorisedCodeSchema.shape.secureCode,
  accountRef: AccountRefSchema,
  currency: CurrencySchema,
  capMinor: MinorSchema.optional(),
  validitySec: z.int().optional(),
  madeAt: TimeSchema,
  /** Absent until the hub's answer is here: whether it knows the code is not known then. */
  approval: FirstApprovalSchema.optional(),
});
export type PhoneCode = z.infer<typeof CodeSchema>;

export const PhoneStateSchema = z.strictObject({
  v: z.literal(1),
  codes: z.array(CodeSchema),
  notices: z.array(PostedNoticeSchema),
});
export type PhoneState = z.infer<typeof PhoneStateSchema>;

export const NEW_PHONE: PhoneState = { v: 1, codes: [], notices: [] };
/** Codes and notices that a phone keeps; the oldest go first. */
export const CODES_KEPT_MAX = 50;
export const NOTICES_KEPT_MAX = 500;

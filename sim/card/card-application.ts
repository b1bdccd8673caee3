/** One payment application of a simulated card, from GET PROCESSING OPTIONS to the last issuer script (Book 3, 6.5 and 10). */
import { concat, fromHex, sameBytes, toHex } from "../../base/bytes.ts";
import { isFault } from "../../base/fault.ts";
import { type CommandApdu, type ResponseApdu, STATUS } from "../../protocols/emv/apdu.ts";
import { decodeTlv, encodeTlv, type Tag } from "../../protocols/emv/ber-tlv.ts";
import { type CryptogramType, cryptogramType, encodeFormatOne, INS } from "../../protocols/emv/commands.ts";
import { deriveMasterKey } from "../../protocols/emv/cryptogram.ts";
import { cryptogramKey } from "../../protocols/emv/cryptogram-versions.ts";
import { type DolEntry, dolDataLength, splitDol } from "../../protocols/emv/dol.ts";
import { decodeNumeric } from "../../protocols/emv/numeric.ts";
import { type CardView, firstDecision, secondDecision } from "./card-action.ts";
import { CARD_STATUS, refusal, success, template77, twoBytes } from "./card-answers.ts";
import { dynamicNumber, type Generated, generate } from "./card-cryptogram.ts";
import { type ApplicationFiles, applicationAnswer, personalise, type RecordKey } from "./card-files.ts";
import type { Chip } from "./card-memory.ts";
import { type CardResults, issuerApplicationData } from "./card-results.ts";
import { isScriptCommand, OWN_LIMITS, ScriptSession } from "./card-scripts.ts";
import { checkIssuerAnswer } from "./issuer-authentication.ts";
import { signDynamic } from "./mint/mint.ts";
import type { ApplicationProfile } from "./profile.ts";

/** `online`: an ARQC was given, the second GENERATE AC is awaited. */
type Stage = "selected" | "initiated" | "online" | "ended";

const PIN_TRIES_LEFT = 3;
const ISSUER_DATA_BYTES_MIN = 8;
const ISSUER_DATA_BYTES_MAX = 16;

/** What one transaction leaves behind in the card until the next. */
interface Session {
  stage: Stage;
  pdolData: Uint8Array;
  cdol1Data: Uint8Array;
  values: Map<Tag, Uint8Array>;
  first: CryptogramType;
  firstCryptogram: Uint8Array | undefined;
  signed: CardResults["signed"];
  authentication: CardResults["issuerAuthentication"];
  approves: boolean | undefined;
  scripts: ScriptSession | undefined;
}

const newSession = (): Session => ({
  stage: "selected",
  pdolData: NO_DATA,
  cdol1Data: NO_DATA,
  values: new Map(),
  first: "AAC",
  firstCryptogram: undefined,
  signed: "nothing",
  authentication: "absent",
  approves: undefined,
  scripts: undefined,
});

export class CardApplication {
  readonly profile: ApplicationProfile;
  readonly #chip: Chip;
  /** How many GENERATE AC commands gave a cryptogram, by its type; shared by the card's applications. */
  readonly #cryptograms: Record<CryptogramType, number>;
  #files: ApplicationFiles | undefined;
  #session = newSession();

  constructor(profile: ApplicationProfile, chip: Chip, cryptograms: Record<CryptogramType, number>) {
    this.profile = profile;
    this.#chip = chip;
    this.#cryptograms = cryptograms;
  }

  /** Personalised when first used: some test cards have data that no file can hold. */
  get files(): ApplicationFiles {
    this.#files ??= personalise(this.profile);
    return this.#files;
  }

  /** Power off, or another selection. */
  reset(): void {
    this.#session = newSession();
  }

  select(): ResponseApdu {
    this.reset();
    const data = applicationAnswer(this.profile);
    return this.#isBlocked() ? { data, status: CARD_STATUS.selectedInvalidated } : success(data);
  }

  respond(command: CommandApdu): ResponseApdu {
    switch (command.ins) {
      case INS.readRecord:
        return this.#readRecord(command);
      case INS.getProcessingOptions:
        return this.#getProcessingOptions(command);
      case INS.internalAuthenticate:
        return this.#internalAuthenticate(command);
      case INS.generateAc:
        return this.#generateAc(command);
      case INS.externalAuthenticate:
        return this.#externalAuthenticate(command);
      case INS.getData:
        return this.#getData(command);
      default:
        return isScriptCommand(command) ? this.#script(command) : refusal(STATUS.instructionNotSupported);
    }
  }

  #isBlocked(): boolean {
    return this.#chip.isBlocked(this.profile.aid);
  }

  #getProcessingOptions({ data }: CommandApdu): ResponseApdu {
    if (this.#session.stage !== "selected" || this.#isBlocked()) return refusal(STATUS.conditionsNotSatisfied);
    const { pdol, aip, afl } = this.files;
    const values = data && commandTemplate(data);
    if (values?.length !== dolDataLength(pdol)) return refusal(STATUS.wrongLength);
    if (!this.#chip.countTransaction()) return refusal(STATUS.conditionsNotSatisfied);
    this.#session.stage = "initiated";
    this.#session.pdolData = values;
    this.#learn(pdol, values);
    const shown = this.profile.lie === "afl-length" ? afl.subarray(1) : afl;
    if (this.profile.format === 1) return success(encodeFormatOne(aip, shown));
    return success(
      template77([
        [0x82, aip],
        [0x94, shown],
      ]),
    );
  }

  #readRecord({ p1, p2 }: CommandApdu): ResponseApdu {
    if ((p2 & 0b111) !== 0b100) return refusal(STATUS.incorrectParameters);
    if (this.#session.stage === "selected") return refusal(STATUS.conditionsNotSatisfied);
    if (this.profile.lie === "out-of-turn") return success(OUT_OF_TURN);
    const key: RecordKey = `${p2 >> 3}.${p1}`;
    const written = this.#chip.memory.records[`${toHex(this.profile.aid)}/${key}`];
    const record = written === undefined ? this.files.records.get(key) : fromHex(written);
    return record ? success(record) : refusal(STATUS.recordNotFound);
  }

  #internalAuthenticate({ data }: CommandApdu): ResponseApdu {
    const { key } = this.files;
    if (!key) return refusal(STATUS.instructionNotSupported);
    if (this.#session.stage !== "initiated") return refusal(STATUS.conditionsNotSatisfied);
    if (!data) return refusal(STATUS.wrongLength);
    const number = dynamicNumber(this.#cryptogramKey());
    const signature = signDynamic(key, {
      iccDynamicData: concat(Uint8Array.of(number.length), number),
      terminalData: data,
    });
    this.#session.signed = "dda";
    return success(this.profile.format === 1 ? encodeFormatOne(signature) : template77([[0x9f4b, signature]]));
  }

  #generateAc({ p1, data }: CommandApdu): ResponseApdu {
    const { stage } = this.#session;
    if (stage !== "initiated" && stage !== "online") return refusal(STATUS.conditionsNotSatisfied);
    const asked = cryptogramType(p1);
    const isSigned = (p1 & CDA_REQUESTED) !== 0;
    const unknown = (p1 & ~CDA_REQUESTED & 0x3f) !== 0 || (isSigned && this.profile.oda !== "cda");
    if (!asked || unknown || (stage === "online" && asked === "ARQC")) return refusal(STATUS.incorrectParameters);
    const dol = stage === "initiated" ? this.files.cdol1 : this.files.cdol2;
    if (!data || data.length !== dolDataLength(dol)) return refusal(STATUS.wrongLength);
    this.#learn(dol, data);
    const amountMinor = amountOf(this.#session.values);
    if (amountMinor === undefined) return refusal(STATUS.conditionsNotSatisfied);
    const view: CardView = {
      profile: this.profile,
      asked,
      amountMinor,
      blocked: this.#isBlocked(),
      ownVelocity: this.#ownVelocity(),
    };
    const given = { view, data, signature: isSigned ? "cda" : "none" } as const;
    return stage === "initiated" ? this.#first(given) : this.#second(given);
  }

  #first({ view, data, signature }: GenerateAc): ResponseApdu {
    const session = this.#session;
    session.cdol1Data = data;
    session.first = firstDecision(view);
    session.stage = session.first === "ARQC" ? "online" : "ended";
    const generated = this.#generate({
      given: session.first,
      signature,
      results: { ...this.#results(view), second: undefined, issuer: "not-asked" },
      covered: concat(session.pdolData, data),
    });
    session.firstCryptogram = generated.cryptogram;
    return success(generated.answer);
  }

  #second({ view, data, signature }: GenerateAc): ResponseApdu {
    const session = this.#session;
    const responseCode = session.values.get(0x8a) ?? NO_DATA;
    const issuer = UNABLE_TO_GO_ONLINE.some((code) => sameBytes(code, responseCode)) ? "out-of-reach" : "answered";
    const inData = session.values.get(0x91);
    if (this.profile.issuerAuthentication?.by === "cdol2" && inData?.some((byte) => byte !== 0)) {
      this.#authenticateIssuer(inData);
    }
    const { authentication, approves } = session;
    const mandatory = this.profile.issuerAuthentication?.mandatory ?? false;
    const blocked = this.#isBlocked();
    const given = secondDecision({ ...view, blocked }, { issuer, authentication, approves, mandatory });
    session.stage = "ended";
    const reached =
      issuer === "answered" && (authentication === "passed" || (authentication === "absent" && !mandatory));
    const { lastOnline } = this.#chip.memory;
    this.#chip.remember({
      lastOnline: { ...lastOnline, issuerAuthenticationFailed: authentication === "failed" },
      ...(reached && { lastOnlineAtc: this.#chip.atc }),
    });
    const generated = this.#generate({
      given,
      signature,
      results: { ...this.#results(view), second: given, issuer },
      covered: concat(session.pdolData, session.cdol1Data, data),
    });
    return success(generated.answer);
  }

  #results(view: CardView): Omit<CardResults, "second" | "issuer"> {
    const { first, signed, authentication } = this.#session;
    const { lastOnline, lastOnlineAtc } = this.#chip.memory;
    const version = this.profile.cryptogramVersion ?? 18;
    const isNew = lastOnlineAtc === 0;
    return {
      version,
      first,
      signed,
      issuerAuthentication: authentication,
      ownVelocity: view.ownVelocity,
      lastOnline,
      isNew,
    };
  }

  #generate(input: {
    readonly given: CryptogramType;
    readonly signature: "none" | "cda";
    readonly results: CardResults;
    readonly covered: Uint8Array;
  }): Generated {
    const { given, signature, results, covered } = input;
    this.#cryptograms[given] += 1;
    // An AAC is never signed (Book 2, 6.6).
    const key = signature === "cda" && given !== "AAC" ? this.files.key : undefined;
    const signed = key ? "cda" : results.signed;
    this.#session.signed = signed;
    const issuerData = issuerApplicationData({ ...results, signed });
    const generated = generate({
      profile: this.profile,
      masterKey: this.#masterKey(),
      given,
      atc: this.#chip.atc,
      aip: this.files.aip,
      issuerData,
      values: this.#session.values,
      ...(key && { signing: { key, covered } }),
    });
    return generated;
  }

  #externalAuthenticate({ data }: CommandApdu): ResponseApdu {
    if (this.profile.issuerAuthentication?.by !== "external") return refusal(STATUS.instructionNotSupported);
    // One for each transaction (Book 3, 6.5.4).
    const inTurn = this.#session.stage === "online" && this.#session.authentication === "absent";
    if (!inTurn) return refusal(STATUS.conditionsNotSatisfied);
    if (!data || data.length < ISSUER_DATA_BYTES_MIN || data.length > ISSUER_DATA_BYTES_MAX) {
      return refusal(STATUS.wrongLength);
    }
    this.#authenticateIssuer(data);
    return this.#session.authentication === "passed" ? success() : refusal(CARD_STATUS.authenticationFailed);
  }

  #authenticateIssuer(data: Uint8Array): void {
    const session = this.#session;
    const { method = 1 } = this.profile.issuerAuthentication ?? {};
    const arqc = session.firstCryptogram ?? NO_DATA;
    const answer = checkIssuerAnswer({ method, key: this.#cryptogramKey(), arqc, data });
    session.authentication = answer ? "passed" : "failed";
    session.approves = answer?.approves;
    if (answer?.block === "card") this.#chip.remember({ cardBlocked: true });
    if (answer?.block === "application") this.#chip.setBlocked(this.profile.aid, "blocked");
  }

  #script(command: CommandApdu): ResponseApdu {
    if (this.profile.scripts !== "accepted") return refusal(STATUS.instructionNotSupported);
    const session = this.#session;
    const wentOnline = session.stage === "online" || (session.stage === "ended" && session.first === "ARQC");
    if (!wentOnline || !session.firstCryptogram) return refusal(STATUS.conditionsNotSatisfied);
    const before = session.scripts ? this.#chip.memory.lastOnline : { scripts: 0, scriptFailed: false };
    session.scripts ??= new ScriptSession({
      masterKey: this.#masterKey(this.profile.scriptMasterKey),
      cryptogram: session.firstCryptogram,
      aid: this.profile.aid,
      chip: this.#chip,
    });
    const answer = session.scripts.run(command);
    const obeyed = answer.status === STATUS.ok;
    const { scriptsObeyed, lastOnline } = this.#chip.memory;
    this.#chip.remember({
      scriptsObeyed: scriptsObeyed + (obeyed ? 1 : 0),
      lastOnline: {
        ...lastOnline,
        scripts: before.scripts + (obeyed ? 1 : 0),
        scriptFailed: before.scriptFailed || !obeyed,
      },
    });
    return answer;
  }

  #getData({ p1, p2 }: CommandApdu): ResponseApdu {
    const tag = p1 * 0x100 + p2;
    const value = this.profile.counters === "kept-back" ? undefined : this.#dataObject(tag);
    return value ? success(encodeTlv([{ tag, value }])) : refusal(STATUS.referencedDataNotFound);
  }

  #dataObject(tag: Tag): Uint8Array | undefined {
    switch (tag) {
      case 0x9f36:
        return twoBytes(this.#chip.atc);
      case 0x9f13:
        return twoBytes(this.#chip.memory.lastOnlineAtc);
      case 0x9f17:
        return Uint8Array.of(PIN_TRIES_LEFT);
      case OWN_LIMITS.lower:
      case OWN_LIMITS.upper: {
        const limit = this.#ownLimit(tag);
        return limit === undefined ? undefined : Uint8Array.of(limit);
      }
      default:
        return undefined;
    }
  }

  #ownLimit(tag: Tag): number | undefined {
    const written = this.#chip.memory.data[tag.toString(16)];
    if (written !== undefined) return fromHex(written)[0];
    return tag === OWN_LIMITS.lower ? this.profile.ownVelocity?.lower : this.profile.ownVelocity?.upper;
  }

  #ownVelocity(): CardView["ownVelocity"] {
    const inARow = this.#chip.atc - this.#chip.memory.lastOnlineAtc;
    if (inARow > (this.#ownLimit(OWN_LIMITS.upper) ?? Number.POSITIVE_INFINITY)) return "above-upper";
    return inARow > (this.#ownLimit(OWN_LIMITS.lower) ?? Number.POSITIVE_INFINITY) ? "above-lower" : "within";
  }

  #learn(dol: readonly DolEntry[], data: Uint8Array): void {
    for (const [tag, value] of splitDol(dol, data)) this.#session.values.set(tag, value);
  }

  #masterKey(issuerMasterKey: Uint8Array = this.profile.issuerMasterKey): Uint8Array {
    const { pan, sequenceNumber } = this.profile;
    return deriveMasterKey({ issuerMasterKey, pan, sequenceNumber, option: "A" });
  }

  #cryptogramKey(): Uint8Array {
    return cryptogramKey(this.profile.cryptogramVersion ?? 18, this.#masterKey(), this.#chip.atc);
  }
}

interface GenerateAc {
  readonly view: CardView;
  readonly data: Uint8Array;
  readonly signature: "none" | "cda";
}

const NO_DATA: Uint8Array = new Uint8Array(0);
/** Bit 5 of P1 (Book 3, 6.5.5.2). */
const CDA_REQUESTED = 0x10;
/** Authorisation response codes Y3 and Z3 (Book 4, A6). */
const UNABLE_TO_GO_ONLINE = ["Y3", "Z3"].map((code) => new Uint8Array(Buffer.from(code, "ascii")));
/** A well-formed answer to another command. */
const OUT_OF_TURN = fromHex("770F 9F270100 9F26080000000000000000");

/** The values in the command template (Book 3, 6.5.8.3). */
function commandTemplate(data: Uint8Array): Uint8Array | undefined {
  try {
    const [template, ...more] = decodeTlv(data);
    return template?.tag === 0x83 && "value" in template && more.length === 0 ? template.value : undefined;
  } catch (error) {
    if (isFault(error)) return undefined;
    throw error;
  }
}

function amountOf(values: ReadonlyMap<Tag, Uint8Array>): bigint | undefined {
  try {
    return decodeNumeric(values.get(0x9f02) ?? NO_DATA);
  } catch (error) {
    if (isFault(error)) return undefined;
    throw error;
  }
}

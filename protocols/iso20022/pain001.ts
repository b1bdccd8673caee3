/** Writes credit transfers for a bank: ISO 20022 pain.001.001.09, within what EPC132-08 allows for euro payments. */
import { Fault } from "../../base/fault.ts";
import { type Currency, toDecimal } from "../../base/money.ts";
import { ACCOUNT_NAME_MAX, type BankAccount, isBic, isIban } from "./bank-account.ts";
import { element, textElement, type XmlElement, xmlDocument } from "./xml.ts";

export interface CreditTransfer {
  /** At most 35 characters; goes with the money to whom it is paid. */
  readonly endToEndId: string;
  readonly minor: bigint;
  readonly creditor: BankAccount;
  /** At most 140 characters. */
  readonly remittance: string;
}

export interface CreditTransferInitiation {
  /** At most 35 characters; a bank refuses a second message under the same one. */
  readonly messageId: string;
  /** ISO 8601 UTC. */
  readonly createdAt: string;
  /** YYYY-MM-DD. */
  readonly executionDate: string;
  readonly debtor: BankAccount;
  readonly currency: Currency;
  readonly transfers: readonly CreditTransfer[];
}

const NAMESPACE = "urn:iso:std:iso:20022:tech:xsd:pain.001.001.09";
const ID_MAX = 35;
const REMITTANCE_MAX = 140;

/** Throws Fault `codec.invalid` or `codec.too-long` for what the message has no place for. */
export function pain001Text(initiation: CreditTransferInitiation): string {
  const { messageId, createdAt, debtor, transfers, currency } = initiation;
  if (transfers.length === 0) throw new Fault("codec.invalid", "a message pays at least once");
  const sum = transfers.reduce((total, { minor }) => total + minor, 0n);
  const counted = [
    textElement("NbOfTxs", String(transfers.length)),
    textElement("CtrlSum", toDecimal({ minor: sum, currency })),
  ];
  const header = element(
    "GrpHdr",
    bounded("MsgId", messageId, ID_MAX),
    textElement("CreDtTm", createdAt),
    ...counted,
    element("InitgPty", bounded("Nm", debtor.name, ACCOUNT_NAME_MAX)),
  );
  const root = element("CstmrCdtTrfInitn", header, instruction(initiation, counted));
  return xmlDocument({ name: "Document", attributes: { xmlns: NAMESPACE }, content: [root] });
}

function instruction(initiation: CreditTransferInitiation, counted: readonly XmlElement[]): XmlElement {
  const { messageId, executionDate, debtor, currency, transfers } = initiation;
  const isEuro = currency === "EUR";
  return element(
    "PmtInf",
    bounded("PmtInfId", messageId, ID_MAX),
    textElement("PmtMtd", "TRF"),
    textElement("BtchBookg", "true"),
    ...counted,
    ...(isEuro ? [element("PmtTpInf", element("SvcLvl", textElement("Cd", "SEPA")))] : []),
    element("ReqdExctnDt", textElement("Dt", executionDate)),
    party("Dbtr", debtor),
    account("DbtrAcct", debtor),
    agent("DbtrAgt", debtor),
    textElement("ChrgBr", isEuro ? "SLEV" : "SHAR"),
    ...transfers.map((transfer) => transaction(transfer, currency)),
  );
}

function transaction({ endToEndId, minor, creditor, remittance }: CreditTransfer, currency: Currency): XmlElement {
  if (minor <= 0n) throw new Fault("codec.invalid", `${endToEndId}: nothing to pay`);
  const amount = { name: "InstdAmt", attributes: { Ccy: currency }, content: toDecimal({ minor, currency }) };
  return element(
    "CdtTrfTxInf",
    element("PmtId", bounded("EndToEndId", endToEndId, ID_MAX)),
    element("Amt", amount),
    agent("CdtrAgt", creditor),
    party("Cdtr", creditor),
    account("CdtrAcct", creditor),
    element("RmtInf", bounded("Ustrd", remittance, REMITTANCE_MAX)),
  );
}

const party = (name: string, { name: who }: BankAccount): XmlElement =>
  element(name, bounded("Nm", who, ACCOUNT_NAME_MAX));

function account(name: string, { iban }: BankAccount): XmlElement {
  if (!isIban(iban)) throw new Fault("codec.invalid", `${name}: "${iban}" is no IBAN`);
  return element(name, element("Id", textElement("IBAN", iban)));
}

function agent(name: string, { bic }: BankAccount): XmlElement {
  if (!isBic(bic)) throw new Fault("codec.invalid", `${name}: "${bic}" is no BIC`);
  return element(name, element("FinInstnId", textElement("BICFI", bic)));
}

function bounded(name: string, text: string, max: number): XmlElement {
  if (text === "") throw new Fault("codec.invalid", `${name}: it is empty`);
  if (text.length > max) throw new Fault("codec.too-long", `${name}: more than ${max} characters`);
  return textElement(name, text);
}

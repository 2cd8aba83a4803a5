import type { EraBinding } from '@bitcloak/attestation/binding';
import { verifyEventLog } from '@bitcloak/attestation/eventLog';
import { measurementsOf, type Measurements } from '@bitcloak/attestation/policy';
import { parseQuote } from '@bitcloak/attestation/quote';
import type { Trust } from '@bitcloak/attestation/trust';
import {
  CHECKS,
  verifyEvidence,
  type CheckName,
  type Evidence,
  type EvidenceFacts,
  type EvidenceReport,
} from '@bitcloak/attestation/verify';
import type { Manifest } from '@bitcloak/chain/manifest';
import { RegistryClient, type Era } from '@bitcloak/chain/registry';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { askInfo, askOf, type Ask } from '@bitcloak/trading/ask';
import {
  askAttestation,
  bindingOf,
  checkNamedKeys,
  checkOperator,
  checkShown,
  freshNonce,
  machineClock,
  namesKeys,
  type ShownEnclave,
} from '@bitcloak/trading/enclaveCheck';
import { operatorUrl, REQUEST_MS_MAX } from '@bitcloak/trading/http';
import { OperatorRefusal } from '@bitcloak/trading/refusals';
import type { OperatorInfo } from '@bitcloak/trading/wire';
import { expectedOperator } from '@bitcloak/wallet/tradingAccount';
import type { Context } from '../context.ts';
import {
  checksText,
  eraJson,
  factsJson,
  factsText,
  registryJson,
  rootJson,
  rootText,
  type CheckLine,
  type RegistryState,
} from '../enclaveFormat.ts';
import { formatOperatorId } from '../format.ts';
import { readAccount, readOperatorTrust, readOperatorUrl, type OperatorOptions } from '../operator.ts';
import { fields, type Result } from '../output.ts';
import { parseUrl } from '../parse.ts';
import { formatTime } from '../time.ts';

export type EnclaveOptions = Pick<OperatorOptions, 'operatorNumber' | 'trust'>;

/** What is looked at. */
type Subject = {
  readonly manifest: Manifest;
  readonly url: string;
  /** Of the operator, in the registry. */
  readonly number: number;
  readonly operatorId: bigint;
  readonly ask: Ask;
  readonly registry: RegistryClient;
  readonly trust: Trust;
};

/** Makes the checks that a client makes before it speaks to an enclave, and tells each, whatever became of those before it. */
export async function verify(context: Context, urlText: string | undefined, options: EnclaveOptions): Promise<Result> {
  const manifest = await context.manifest();
  const { number, operatorId } = readAccount(manifest, options);
  const url = urlText === undefined ? readOperatorUrl(manifest, {}) : parseUrl(urlText, 'url');
  const trust = readOperatorTrust(manifest, options);
  const ask = askOf(operatorUrl(url), (address, request) => fetch(address, request), REQUEST_MS_MAX);
  const registry = new RegistryClient(manifest.registry, await context.endpoint());
  const list = new Checklist();
  const { keys, state, facts, measured } = await look(list, {
    manifest,
    url,
    number,
    operatorId,
    ask,
    registry,
    trust,
  });
  const { lines, error } = list;
  const speaks = lines.every((line) => line.state === 'passed');
  const head = [
    ['enclave', url],
    ['operator', `${number} of ${manifest.name}, ${formatOperatorId(operatorId)}`],
    ['trusted root', rootText(trust.anchor)],
  ] as const;
  return {
    json: {
      url,
      operator: { number, id: formatOperatorId(operatorId) },
      root: rootJson(trust.anchor),
      trusted: speaks,
      registry: state === undefined ? null : registryJson(state),
      keys: keys === undefined ? null : eraJson(keys),
      checks: lines,
      measurements: measured ?? null,
      evidence: facts === undefined ? null : factsJson(facts),
      ...(error === undefined ? {} : { error: { code: error.code, message: error.message } }),
    },
    text: [
      fields(head),
      checksText(lines),
      ...(measured === undefined ? [] : [factsText(facts, measured)]),
      conclusion(speaks, error),
    ].join('\n\n'),
    ...(error === undefined ? {} : { error }),
  };
}

function conclusion(speaks: boolean, error: BitcloakError | undefined): string {
  if (speaks) return 'This is a trusted enclave, and the registry holds its keys: clients speak to it.';
  if (error !== undefined) return 'Clients do not speak to this enclave.';
  return 'What there is to check holds. Clients speak to this enclave once the rest holds too.';
}

type Found = {
  /** What the evidence was held against. */
  readonly keys?: EraBinding | undefined;
  readonly state?: RegistryState | undefined;
  readonly facts?: EvidenceFacts | undefined;
  readonly measured?: Measurements | undefined;
};

async function look(list: Checklist, subject: Subject): Promise<Found> {
  const { manifest, number: operator, trust } = subject;
  const nonce = freshNonce();
  const said = await answerOf(askInfo(subject.ask));
  if (said instanceof BitcloakError && said.code === 'OPERATOR_UNREACHABLE') throw said;
  const attested = await answerOf(askAttestation(subject.ask, nonce));
  if (isForeign(said) && isForeign(attested)) {
    const message = `${subject.url}: that is no enclave; something else answers there`;
    throw new BitcloakError('ENCLAVE_MISSING', message);
  }
  const info = lookAtInfo(list, subject, said);
  const shown = lookAtAttestation(list, attested);
  const number = info?.era ?? shown?.era.number;
  const registered = number === undefined ? undefined : await readRegistry(subject, number);
  if (registered === undefined) list.leave('registry', 'not reached');
  else lookAtRegistry(list, registered, info);
  if (shown === undefined) {
    for (const name of ['keys', ...Object.keys(CHECKS)]) list.leave(name, 'not reached');
    return { state: registered?.state };
  }
  // What the chain has counts. Where it has nothing yet, the enclave has to mean this operator and name the keys that it shows evidence for.
  const binding = bindingOf(expectedOperator(manifest, operator), registered?.era ?? shown.era);
  const whose = registered?.era === undefined ? 'enclave names' : 'registry holds';
  list.check('keys', `the evidence is about the keys that the ${whose}`, () => {
    checkShown(shown.era, binding);
    if (info !== undefined && !namesKeys(info, binding)) {
      throw mismatch('the enclave names other keys than it shows evidence for');
    }
  });
  const report = await verifyEvidence(shown.evidence, { ...trust, clock: machineClock(), binding, nonce });
  list.add(report);
  const facts = report.accepted ? report.facts : undefined;
  return { keys: binding, state: registered?.state, facts, measured: measuredOf(shown.evidence, report) };
}

/** Whoever runs an enclave whose measurements nobody allows yet has to learn them. Undefined where no right machine stands behind the quote. */
function measuredOf({ quote, eventLog }: Evidence, { checks }: EvidenceReport): Measurements | undefined {
  const last: CheckName = 'event-log';
  if (checks.some(({ name, passed }) => name === last && !passed)) return undefined;
  const { report } = parseQuote(quote);
  try {
    return measurementsOf(report, eventLog === undefined ? undefined : verifyEventLog(eventLog, report));
  } catch (error) {
    if (error instanceof BitcloakError) return undefined;
    throw error;
  }
}

type Answer<T> = T | BitcloakError;

async function answerOf<T>(asked: Promise<T>): Promise<Answer<T>> {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof BitcloakError) return error;
    throw error;
  }
}

/** Whether nothing of an answer is in the form that an enclave gives it, not even as a refusal: those have its codes. */
function isForeign(answer: Answer<unknown>): boolean {
  return (
    answer instanceof BitcloakError && ['OPERATOR_REFUSED', 'REPLY_FORGED', 'EVIDENCE_MALFORMED'].includes(answer.code)
  );
}

function lookAtAttestation(list: Checklist, attested: Answer<ShownEnclave>): ShownEnclave | undefined {
  if (attested instanceof BitcloakError) {
    list.fail('attestation', attested);
    return undefined;
  }
  list.pass('attestation', 'it shows evidence for a nonce that was drawn just now');
  return attested;
}

/** An enclave that is not registered yet need not say anything of itself, beside its evidence. */
function lookAtInfo(list: Checklist, subject: Subject, info: Answer<OperatorInfo>): OperatorInfo | undefined {
  const { manifest, number, operatorId } = subject;
  if (info instanceof OperatorRefusal) {
    list.leave('operator', `it does not say yet what it is: ${info.message}`);
    return undefined;
  }
  if (info instanceof BitcloakError) throw info;
  list.check('operator', `it says that it is operator ${number} of this chain, pool and registry`, () => {
    checkOperator(info, expectedOperator(manifest, number));
    if (info.operatorId !== operatorId) throw mismatch('operator id: it is that of another operator');
  });
  return info;
}

type Registered = { readonly era: Era | undefined; readonly state: RegistryState };

/** @param number the era that the enclave says it is of. */
async function readRegistry({ manifest, number: operator, registry }: Subject, number: bigint): Promise<Registered> {
  const era = await registry.registeredEra(operator, number, manifest.startBlock);
  if (era === undefined) {
    const state = number > (await registry.era(operator)) ? 'unregistered' : 'inactive';
    return { era, state: { state, era: number, activeUntil: 0n } };
  }
  const activeUntil = await registry.activeUntil(operator, era.signer);
  const state = (await registry.isActive(operator, era.signer)) ? 'active' : 'inactive';
  return { era, state: { state, era: number, activeUntil } };
}

function lookAtRegistry(list: Checklist, { era, state }: Registered, info: OperatorInfo | undefined): void {
  const { era: number, activeUntil } = state;
  if (state.state === 'unregistered') {
    list.leave(
      'registry',
      `it does not hold era ${number} yet, and clients speak to nobody whose keys it does not hold`,
    );
    return;
  }
  const isRight = () => {
    if (era === undefined) throw mismatch(`era ${number}: the registry holds no keys of it`);
    if (state.state !== 'active') {
      const why = activeUntil === 0n ? 'they were revoked' : `they were active until ${formatTime(activeUntil)}`;
      throw mismatch(`era ${number}: the registry holds no active keys of it, ${why}`);
    }
    if (info !== undefined) checkNamedKeys(info, era);
  };
  list.check('registry', `it holds keys of era ${number}, active until ${formatTime(activeUntil)}`, isRight);
}

function mismatch(message: string): BitcloakError {
  return new BitcloakError('OPERATOR_MISMATCH', message);
}

/** Goes on after what fails, and keeps the first failure. */
class Checklist {
  readonly lines: CheckLine[] = [];
  error: BitcloakError | undefined;

  /** @param words what holds where `work` does not throw. */
  check(name: string, words: string, work: () => void): void {
    try {
      work();
      this.pass(name, words);
    } catch (error) {
      this.fail(name, error);
    }
  }

  pass(name: string, words: string): void {
    this.lines.push({ name, state: 'passed', words });
  }

  fail(name: string, error: unknown): void {
    if (!(error instanceof BitcloakError)) throw error;
    this.error ??= error;
    this.lines.push({ name, state: 'failed', words: error.message });
  }

  leave(name: string, words: string): void {
    this.lines.push({ name, state: 'open', words });
  }

  /** The checks of evidence, of which those behind the first failure were not made. */
  add(report: EvidenceReport): void {
    const failed = report.checks.findIndex(({ passed }) => !passed);
    for (const [index, { name, passed, words }] of report.checks.entries()) {
      this.lines.push({ name, state: passed ? 'passed' : index === failed ? 'failed' : 'open', words });
    }
    if (!report.accepted) this.error ??= report.error;
  }
}

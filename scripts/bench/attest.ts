import { eraReportData, type EraBinding } from '@bitcloak/attestation/binding';
import { hexOf } from '@bitcloak/attestation/bytes';
import { CollateralVerifier } from '@bitcloak/attestation/collateralVerifier';
import { DEVELOPMENT_NAMES, DevelopmentAuthority } from '@bitcloak/attestation/development/authority';
import { configIdOf, developmentEvents, rtmrsAfter } from '@bitcloak/attestation/development/eventLog';
import { issueCrl } from '@bitcloak/attestation/development/x509';
import { factsOfReport, verifyEvidence, type Evidence, type Expectations } from '@bitcloak/attestation/verify';
import { table } from '@bitcloak/cli/output';
import type { Options, Report, Say } from './benchmark.ts';
import { grouped, medianCost, rounded, startCost, type Cost } from './measure.ts';
import { seededBytes } from './random.ts';

const SEED = 'bitcloak attest';
const CLOCK = Date.UTC(2026, 10, 1) / 1000;
const DAY = 86_400;
/** As many as Intel's list for platforms has. */
const REVOKED = 44;
const AIM_PER_SECOND = 50;

/** Evidence of as many platforms as there are quotes: no certificate of a PCK comes again within a round. */
function makeEvidence(quotes: number): { evidence: Evidence[]; expectations: Expectations } {
  const bytes = seededBytes(SEED);
  const authority = new DevelopmentAuthority(bytes(32), CLOCK);
  const pckCrl = issueCrl({
    issuer: DEVELOPMENT_NAMES.platform,
    issuerKey: authority.keys.platform,
    thisUpdate: CLOCK,
    nextUpdate: CLOCK + 30 * DAY,
    revoked: Array.from({ length: REVOKED }, () => `5${hexOf(bytes(20)).slice(1)}`),
  });
  const collateral = { ...authority.collateral(CLOCK), pckCrl: hexOf(pckCrl) };
  const [composeHash, nonce, mrTd] = [hexOf(bytes(32)), bytes(32), bytes(48)];
  const binding: EraBinding = {
    chainId: 31337n,
    registry: 1n,
    operator: 1n,
    number: 1n,
    signer: 1n,
    encryptionKey: bytes(32),
    apiKey: bytes(32),
  };
  const events = developmentEvents({
    appId: hexOf(bytes(20)),
    composeHash,
    instanceId: hexOf(bytes(20)),
    osImageHash: hexOf(bytes(32)),
    keyProvider: '{"name":"kms","id":""}',
  });
  const rtmrs = rtmrsAfter(events);
  const { platform, root } = authority.certificates;
  const evidence = Array.from({ length: quotes }, (_, index) => ({
    quote: authority.quote({
      reportData: eraReportData(binding, nonce),
      mrTd,
      mrConfigId: configIdOf(composeHash),
      rtmrs,
      chain: [authority.pck((index + 0x1000).toString(16)), platform, root],
    }),
    eventLog: JSON.stringify(events),
    collateral,
  }));
  const [rtmr0, rtmr1, rtmr2] = [hexOf(rtmrs[0]), hexOf(rtmrs[1]), hexOf(rtmrs[2])];
  const expectations: Expectations = {
    anchor: authority.anchor,
    clock: CLOCK + 60,
    tcb: {
      accepted: ['UpToDate'],
      graced: [],
      graceSeconds: 0,
      evaluationNumberMin: 1,
      collateralSecondsMax: 30 * DAY,
      advisoriesRefused: [],
    },
    measurements: { allowed: [{ mrTd: hexOf(mrTd), rtmr0, rtmr1, rtmr2, composeHash }] },
    binding,
    nonce,
  };
  return { evidence, expectations };
}

type Way = { readonly name: string; readonly verifier: (anchor: Expectations['anchor']) => () => CollateralVerifier };

/** The same verifications with less and less that is new to the verifier. */
const WAYS: readonly Way[] = [
  { name: 'everything each time', verifier: (anchor) => () => new CollateralVerifier(anchor) },
  {
    name: 'known collateral',
    verifier: (anchor) => {
      const kept = new CollateralVerifier(anchor);
      return () => kept;
    },
  },
];

async function verifyAll(evidence: readonly Evidence[], expectations: Expectations, next: () => CollateralVerifier) {
  const cost = startCost();
  for (const entry of evidence) factsOfReport(await verifyEvidence(entry, expectations, next()));
  return cost();
}

export async function run(options: Options, say: Say): Promise<Report> {
  const [quotes, rounds] = [options.count('quotes'), options.count('rounds')];
  say('signing quotes');
  const { evidence, expectations } = makeEvidence(quotes);
  const [first] = evidence;
  if (first === undefined) throw new RangeError('there is no evidence');
  const costs = new Map<string, Cost[]>();
  const add = (name: string, cost: Cost) => costs.set(name, [...(costs.get(name) ?? []), cost]);
  for (let round = 0; round <= rounds; round++) {
    say(round === 0 ? 'warming up' : `round ${round} of ${rounds}`);
    for (const { name, verifier } of WAYS) {
      const cost = await verifyAll(evidence, expectations, verifier(expectations.anchor));
      if (round > 0) add(name, cost);
    }
    const kept = new CollateralVerifier(expectations.anchor);
    const same = evidence.map(() => first);
    const cost = await verifyAll(same, expectations, () => kept);
    if (round > 0) add('known collateral and platform', cost);
  }
  const ways = [...costs].map(([name, list]) => {
    const { wallMs, cpuMs } = medianCost(list);
    return {
      way: name,
      verificationsPerSecond: rounded((quotes / wallMs) * 1000),
      verificationsPerSecondOfComputing: rounded((quotes / cpuMs) * 1000),
      millisecondsEach: rounded(wallMs / quotes),
    };
  });
  const text = `${table(
    [
      { title: 'verifications' },
      ...['a second', 'a second of computing', 'ms each'].map((title) => ({ title, align: 'right' as const })),
    ],
    ways.map((entry) => [
      entry.way,
      grouped(entry.verificationsPerSecond),
      grouped(entry.verificationsPerSecondOfComputing),
      entry.millisecondsEach.toFixed(2),
    ]),
  )}

All checks of ${quotes} pieces of evidence, one after the other; aim ${AIM_PER_SECOND} a second with everything each time. Computing counts the threads that
check signatures too.`;
  return {
    parameters: { quotes, rounds, revoked: REVOKED, seed: SEED, aimPerSecond: AIM_PER_SECOND },
    results: { ways },
    text,
  };
}

// The operators of a run, with the keys of their enclaves' eras.
import { developmentEvidence, type Era } from '@bitcloak/chain/registry';
import type { Call } from '@bitcloak/chain/pool';
import { ERA_SECONDS_MAX } from '@bitcloak/protocol/parameters';
import { toBeHex, Wallet } from 'ethers';
import type { Attack } from './transferAttacks.ts';
import type { EraSigner, Operator } from './poolParts.ts';
import type { PoolRun } from './poolRun.ts';

const ERA_SECONDS_LEAST = 172_800n;

/** A key that is registered nowhere. */
export function strangeWallet(run: PoolRun): Wallet {
  return new Wallet(toBeHex(run.dice.between(1n, 2n ** 250n), 32));
}

export const isActive = ({ expiry, isRevoked }: EraSigner, time: bigint): boolean => !isRevoked && time < expiry;

/** Those that sign for the operator in the next block. */
export function activeSigners(run: PoolRun, { signers }: Operator): EraSigner[] {
  return signers.filter((signer) => isActive(signer, run.nextTime));
}

function nextEra(run: PoolRun, { signers }: Operator, wallet: Wallet): Era {
  return {
    signer: BigInt(wallet.address),
    encryptionKey: run.bytes(32),
    apiKey: run.bytes(32),
    number: BigInt(signers.length + 1),
    expiry: run.nextTime + run.dice.between(ERA_SECONDS_LEAST, ERA_SECONDS_MAX),
  };
}

async function eraCall(run: PoolRun, { number }: Operator, era: Era, witness: Wallet): Promise<Call> {
  const nonce = await run.registry.nonce();
  const evidence = developmentEvidence(run.chainId, run.registry.address, number, era, nonce, witness);
  return run.registry.registerEraCall(number, era, evidence);
}

export async function registerEra(run: PoolRun, operator: Operator): Promise<void> {
  const wallet = strangeWallet(run);
  const era = nextEra(run, operator, wallet);
  run.describe(`era ${era.number} of operator ${operator.number}`);
  run.count('registering an era');
  await run.accept(await eraCall(run, operator, era, wallet), operator.admin);
  operator.signers.push({ wallet, expiry: era.expiry, isRevoked: false });
}

/** A signer that is active in the next block: one of a new era where there is none. */
export async function activeSigner(run: PoolRun, operator: Operator): Promise<EraSigner> {
  if (activeSigners(run, operator).length === 0) await registerEra(run, operator);
  return run.dice.pick(activeSigners(run, operator));
}

/** Revokes a signer or begins another era. */
export async function changeSigners(run: PoolRun): Promise<void> {
  const operator = run.dice.pick(run.operators);
  const signer = run.dice.pickIfAny(activeSigners(run, operator));
  if (signer === undefined || run.dice.chance(1, 2)) return registerEra(run, operator);
  run.describe(`revoking a signer of operator ${operator.number}`);
  run.count('revoking a signer');
  await run.accept(run.registry.revokeSignerCall(operator.number, BigInt(signer.wallet.address)), operator.admin);
  signer.isRevoked = true;
}

// --- what the registry refuses ----------------------------------------------------------------------------------------

function badEra(expected: string, change: (era: Era, run: PoolRun, operator: Operator) => Partial<Era>): Attack {
  return async (run) => {
    const operator = run.dice.pick(run.operators);
    const wallet = strangeWallet(run);
    const honest = nextEra(run, operator, wallet);
    const era = { ...honest, ...change(honest, run, operator) };
    return { expected, call: await eraCall(run, operator, era, wallet), from: operator.admin };
  };
}

const otherAccount = (run: PoolRun, { admin }: Operator) =>
  run.dice.pick([
    ...run.actors.map(({ account }) => account),
    ...run.operators.map((other) => other.admin).filter((other) => other !== admin),
  ]);

export const BAD_ERAS: Readonly<Record<string, Attack>> = {
  'out of turn': badEra('EraNotNext', ({ number }, run) => ({ number: number + run.dice.pick([1n, -1n]) })),
  'of no time': badEra('EraExpiry', (_, run) => ({ expiry: run.nextTime })),
  'that is too long': badEra('EraExpiry', (_, run) => ({ expiry: run.nextTime + ERA_SECONDS_MAX + 1n })),
  'without a signer': badEra('SignerMissing', () => ({ signer: 0n })),
  'with evidence of another signer': badEra('EvidenceRefused', (_, run) => {
    return { signer: BigInt(strangeWallet(run).address) };
  }),
  'with a signer that was used': async (run) => {
    const operator = run.dice.pickIfAny(run.operators.filter(({ signers }) => signers.length > 0));
    if (operator === undefined) return undefined;
    const { wallet } = run.dice.pick(operator.signers);
    const call = await eraCall(run, operator, nextEra(run, operator, wallet), wallet);
    return { expected: 'SignerUsed', call, from: operator.admin };
  },
  'that the admin does not register': async (run) => {
    const operator = run.dice.pick(run.operators);
    const wallet = strangeWallet(run);
    const call = await eraCall(run, operator, nextEra(run, operator, wallet), wallet);
    return { expected: 'NotAdmin', call, from: otherAccount(run, operator) };
  },
  'that the admin does not end': (run) => {
    const operator = run.dice.pickIfAny(run.operators.filter((own) => activeSigners(run, own).length > 0));
    if (operator === undefined) return undefined;
    const { wallet } = run.dice.pick(activeSigners(run, operator));
    const call = run.registry.revokeSignerCall(operator.number, BigInt(wallet.address));
    return { expected: 'NotAdmin', call, from: otherAccount(run, operator) };
  },
};

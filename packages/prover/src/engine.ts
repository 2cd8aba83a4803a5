import { availableParallelism } from 'node:os';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { findAddon, type Addon } from './addon.ts';
import { toBytes } from './elements.ts';
import { throwStatus } from './nativeStatus.ts';
import { SNARKJS_ENGINE } from './snarkjsEngine.ts';
import type { VerifyingKey } from './verifyingKey.ts';

/** `native`: the fastest of the addon. */
export const PROVER_CHOICES = ['native', 'avx2', 'portable', 'snarkjs'] as const;
export type ProverChoice = (typeof PROVER_CHOICES)[number];

/** a.x, a.y, b.x.c0, b.x.c1, b.y.c0, b.y.c1, c.x, c.y, 32 little-endian bytes each. */
export type ProofBytes = Uint8Array;

/** What proves from a key: the same statement and blinding give the same proof in each engine. */
export type ProvingKey = {
  /** @param witness elements of 32 little-endian bytes. */
  prove(witness: Uint8Array): Promise<ProofBytes>;
};

export type Engine = {
  /** Such as `native avx2, 2 threads`. */
  readonly name: string;
  /** @param zkey its hash is checked before; throws `KEY_REFUSED` where it is malformed all the same. */
  load(zkey: Uint8Array): Promise<ProvingKey>;
  /** Of proofs that this engine made. @param signals 32 little-endian bytes each. */
  verify(key: VerifyingKey, proof: ProofBytes, signals: Uint8Array): Promise<boolean>;
};

export type EngineOptions = {
  /** BITCLOAK_PROVER, and where that is not set the fastest that is there, unless given. */
  readonly choice?: ProverChoice | undefined;
  /** Of one proof; all cores unless given. snarkjs takes all in any case. */
  readonly threads?: number | undefined;
};

/** Throws `PROVER_UNAVAILABLE` where the engine that was asked for is not there. */
export function chooseEngine({ choice = choiceOfEnvironment(), threads }: EngineOptions = {}): Engine {
  const addon = findAddon();
  if (choice === 'snarkjs' || (choice === undefined && addon === undefined)) {
    return SNARKJS_ENGINE;
  }
  const [fastest] = addon?.backends ?? [];
  const backend = choice === undefined || choice === 'native' ? fastest : choice;
  if (addon === undefined || backend === undefined || !addon.backends.includes(backend)) {
    const there = [...(addon?.backends ?? []), 'snarkjs'].join(', ');
    throw new BitcloakError('PROVER_UNAVAILABLE', `prover ${choice ?? 'native'} is not there: there are ${there}`);
  }
  return nativeEngine(addon, backend, threads ?? availableParallelism());
}

function choiceOfEnvironment(): ProverChoice | undefined {
  const value = process.env['BITCLOAK_PROVER'];
  if (value === undefined || value === '') return undefined;
  const choice = PROVER_CHOICES.find((name) => name === value);
  if (choice !== undefined) return choice;
  const message = `BITCLOAK_PROVER: expected one of ${PROVER_CHOICES.join(', ')}, got ${value}`;
  throw new BitcloakError('PROVER_UNAVAILABLE', message);
}

function nativeEngine(addon: Addon, backend: string, threads: number): Engine {
  return {
    name: `native ${backend}, ${threads} ${threads === 1 ? 'thread' : 'threads'}`,
    load: async (zkey) => {
      const key = await addon.loadKey(backend, zkey).catch(throwStatus);
      return { prove: (witness) => addon.prove(key, witness, threads).catch(throwStatus) };
    },
    verify: async (key, proof, signals) => addon.verify(toBytes(elementsOf(key)), proof, signals),
  };
}

/** In the order of `Addon.verify`. */
function elementsOf(key: VerifyingKey): bigint[] {
  const { vk_alpha_1: alpha, vk_beta_2: beta, vk_gamma_2: gamma, vk_delta_2: delta, IC: ic } = key;
  // The third coordinate is 1: the key was checked.
  return [alpha, beta, gamma, delta, ...ic].flatMap((point) => point.slice(0, 2).flat().map(BigInt));
}

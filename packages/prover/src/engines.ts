import { availableParallelism } from 'node:os';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { findAddon, type Addon } from './addon.ts';
import type { Engine } from './engine.ts';
import { statusThrown, throwStatus } from './nativeStatus.ts';
import { SNARKJS_ENGINE } from './snarkjsEngine.ts';
import { verifyingKeyBytes } from './verifyingKey.ts';
import { findWasm, NodePort } from './nodeWasm.ts';
import { wasmEngine, type WasmVariant } from './wasmEngine.ts';

/** `native`: the fastest of the addon; `wasm`: the fastest of the WebAssembly. */
export const PROVER_CHOICES = [
  'native',
  'ifma',
  'avx2',
  'portable',
  'wasm',
  'wasm-relaxed',
  'wasm-plain',
  'snarkjs',
] as const;
export type ProverChoice = (typeof PROVER_CHOICES)[number];

export type EngineOptions = {
  /** BITCLOAK_PROVER, and where that is not set the fastest that is there, unless given. */
  readonly choice?: ProverChoice | undefined;
  /** Of one proof; all cores unless given. snarkjs takes all in any case. */
  readonly threads?: number | undefined;
};

/** What is there, the fastest first. */
export function availableEngines(
  threads = availableParallelism(),
  addon = findAddon(),
): Partial<Record<ProverChoice, () => Engine>> {
  const natives = (addon?.backends ?? []).map((backend) => [
    backend,
    () => nativeEngine(addon as Addon, backend, threads),
  ]);
  const variants: readonly WasmVariant[] = ['relaxed', 'plain'];
  const wasms = variants.flatMap((variant) => {
    const module = findWasm(variant);
    return module === undefined
      ? []
      : [[`wasm-${variant}`, () => wasmEngine(variant, module, threads, () => new NodePort())]];
  });
  return Object.fromEntries([...natives, ...wasms, ['snarkjs', () => SNARKJS_ENGINE]]) as ReturnType<
    typeof availableEngines
  >;
}

/** Throws `PROVER_UNAVAILABLE` where the engine that was asked for is not there. */
export function chooseEngine({ choice = choiceOfEnvironment(), threads }: EngineOptions = {}): Engine {
  const engines = availableEngines(threads);
  const names = Object.keys(engines) as ProverChoice[];
  const kinds: Partial<Record<ProverChoice, readonly ProverChoice[]>> = {
    native: ['ifma', 'avx2', 'portable'],
    wasm: ['wasm-relaxed', 'wasm-plain'],
  };
  const wanted = choice === undefined ? names : (kinds[choice] ?? [choice]);
  const make = names.flatMap((name) => (wanted.includes(name) ? (engines[name] ?? []) : []))[0];
  if (make !== undefined) return make();
  throw new BitcloakError('PROVER_UNAVAILABLE', `prover ${String(choice)} is not there: there are ${names.join(', ')}`);
}

function choiceOfEnvironment(): ProverChoice | undefined {
  const value = process.env['BITCLOAK_PROVER'];
  if (value === undefined || value === '') return undefined;
  const choice = PROVER_CHOICES.find((name) => name === value);
  if (choice !== undefined) return choice;
  const message = `BITCLOAK_PROVER: expected one of ${PROVER_CHOICES.join(', ')}, got ${value}`;
  throw new BitcloakError('PROVER_UNAVAILABLE', message);
}

/** The addon takes no more for a proof, which has about as many pieces. */
const NATIVE_THREADS_MAX = 256;

function nativeEngine(addon: Addon, backend: string, threadsWanted: number): Engine {
  const threads = Math.min(threadsWanted, NATIVE_THREADS_MAX);
  const refusal = addon.refused === undefined ? '' : `; ${addon.refused} computed wrongly here and is not used`;
  return {
    name: `native ${backend}, ${threads} ${threads === 1 ? 'thread' : 'threads'}${refusal}`,
    load: async (zkey) => {
      const key = await addon.loadKey(backend, zkey).catch(throwStatus);
      return { prove: (witness, blinding) => addon.prove(key, witness, threads, blinding).catch(throwStatus) };
    },
    loadProgram: (file) => {
      const program = statusThrown(() => addon.loadProgram(file));
      return (inputs) => statusThrown(() => addon.computeWitness(program, inputs));
    },
    verify: async (key, proof, signals) => addon.verify(verifyingKeyBytes(key), proof, signals),
  };
}

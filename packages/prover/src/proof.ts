import type { Circuit } from '@bitcloak/protocol/parameters';
import type { CircuitInput } from './witness.ts';

/** A proof as the pool takes it: a, b, c in the order of the EVM's pairing (b's coordinates with the imaginary part first). */
export type Proof = { readonly words: readonly bigint[]; readonly signals: readonly bigint[] };

/** Proves a circuit's statement. Implementations verify what they return. */
export interface Prover {
  prove(circuit: Circuit, input: CircuitInput): Promise<Proof>;
}

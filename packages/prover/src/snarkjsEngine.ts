import * as snarkjs from 'snarkjs';
import { fromBytes, toBytes } from './elements.ts';
import type { Engine, ProofBytes } from './engine.ts';
import { toWtns } from './witness.ts';

/** What is left where nothing faster is there. */
export const SNARKJS_ENGINE: Engine = {
  name: 'snarkjs',
  load: async (zkey) => ({
    prove: async (witness) => {
      const { proof } = await snarkjs.groth16.prove(zkey, toWtns(witness));
      const { pi_a: a, pi_b: b, pi_c: c } = proof;
      return toBytes([a[0], a[1], b[0], b[1], c[0], c[1]].flat().map(BigInt));
    },
  }),
  verify: (key, proof, signals) => snarkjs.groth16.verify(key, fromBytes(signals).map(String), snarkjsProof(proof)),
};

/** A proof as snarkjs writes it. */
export function snarkjsProof(proof: ProofBytes): snarkjs.Groth16Proof {
  const words = fromBytes(proof).map(String);
  const [ax = '', ay = '', bx0 = '', bx1 = '', by0 = '', by1 = '', cx = '', cy = ''] = words;
  const b: snarkjs.G2Point = [
    [bx0, bx1],
    [by0, by1],
    ['1', '0'],
  ];
  return { pi_a: [ax, ay, '1'], pi_b: b, pi_c: [cx, cy, '1'], protocol: 'groth16', curve: 'bn128' };
}

/** Ends the threads that snarkjs keeps for its curve; without it a process that proved with it does not exit. */
export async function terminateSnarkjs(): Promise<void> {
  const holder = globalThis as { curve_bn128?: { terminate(): Promise<void> } | null };
  await holder.curve_bn128?.terminate();
}

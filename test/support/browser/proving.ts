import { BrowserProver, type PageWorker } from '@bitcloak/prover/browserProver';
import type { Proof } from '@bitcloak/prover/proof';
import type { CircuitInput } from '@bitcloak/prover/witness';
import { BitcloakError } from '@bitcloak/protocol/errors';
import clearing from '../../../circuits/pins/clearing.json' with { type: 'json' };
import fill from '../../../circuits/pins/fill.json' with { type: 'json' };
import insertion from '../../../circuits/pins/insertion.json' with { type: 'json' };
import transfer from '../../../circuits/pins/transfer.json' with { type: 'json' };

/* A depositor who proves in a page. */

declare const Worker: new (url: string) => PageWorker;

export type PageProof = {
  readonly engine: string;
  readonly proofs: readonly Proof[];
  /** Of the last one, with everything loaded. */
  readonly milliseconds: number;
};

/** Proves a transfer, several times with the same prover, with what is served below `base`. A refusal is its code. */
export async function proveTransfer(base: string, input: CircuitInput, times: number): Promise<PageProof | string> {
  let engine = '';
  const prover = new BrowserProver({
    pins: { transfer, insertion, fill, clearing },
    base,
    openWorker: () => new Worker('/worker.js'),
    onEngine: (name) => (engine = name),
  });
  try {
    const proofs: Proof[] = [];
    let started = 0;
    while (proofs.length < times) {
      started = performance.now();
      proofs.push(await prover.prove('transfer', input));
    }
    return { engine, proofs, milliseconds: performance.now() - started };
  } catch (error) {
    if (error instanceof BitcloakError) return error.code;
    throw error;
  } finally {
    await prover.close();
  }
}

// Proves what it is sent, one statement after the other, for processProver.ts.
import { BitcloakError } from '@bitcloak/protocol/errors';
import type { Circuit } from '@bitcloak/protocol/parameters';
import type { Proof } from './proof.ts';
import { LocalProver, terminateProver, type LocalProverOptions } from './prover.ts';
import type { CircuitInput } from './witness.ts';

export type ProofRequest = { readonly circuit: Circuit; readonly input: CircuitInput };

export type ProofAnswer =
  | { readonly kind: 'proved'; readonly proof: Proof }
  /** `code`: of our own errors alone. */
  | { readonly kind: 'failed'; readonly code: string | undefined; readonly message: string };

const options = JSON.parse(process.argv[2] ?? '{}') as LocalProverOptions;
const prover = new LocalProver(options);

async function answer({ circuit, input }: ProofRequest): Promise<ProofAnswer> {
  try {
    return { kind: 'proved', proof: await prover.prove(circuit, input) };
  } catch (error) {
    const code = error instanceof BitcloakError ? error.code : undefined;
    return { kind: 'failed', code, message: error instanceof Error ? error.message : 'unknown failure' };
  }
}

process.on('message', (request: ProofRequest) => {
  void answer(request).then((result) => process.send?.(result));
});
// Whoever wanted proofs is gone, or wants no more.
process.on('disconnect', () => {
  void terminateProver().finally(() => process.exit());
});

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Attestor, type AttestorOptions } from '@bitcloak/attestor/attestor';
import { KeptStatements } from '@bitcloak/attestor/keptStatements';

const KEPT_BYTES = 10_000_000;

type Options = Omit<AttestorOptions, 'kept' | 'isInUse'> & { readonly isInUse?: AttestorOptions['isInUse'] } & {
  /** Of its own unless given. */
  readonly directory?: string;
  readonly keptBytes?: number;
};

/** Attestors with directories, which end with the tests. */
export class TestAttestors {
  readonly #root = mkdtempSync(join(tmpdir(), 'bitcloak-kept-'));
  readonly #open = new Map<Attestor, KeptStatements>();

  directory(): string {
    return mkdtempSync(join(this.#root, 'attestor-'));
  }

  open({
    directory = this.directory(),
    keptBytes = KEPT_BYTES,
    ...options
  }: Options & { signer: { address: string } }) {
    const { chainId, verifier, signer } = options;
    const place = { chainId, verifier, attestor: signer.address };
    const kept = KeptStatements.open({ directory, ...place, bytesMax: keptBytes });
    const attestor = new Attestor({ isInUse: async () => true, ...options, kept });
    this.#open.set(attestor, kept);
    return attestor;
  }

  /** As when its process ends. */
  close(attestor: Attestor): void {
    this.#open.get(attestor)?.close();
    this.#open.delete(attestor);
  }

  /** Ends all, and removes what they kept. */
  end(): void {
    for (const kept of this.#open.values()) kept.close();
    rmSync(this.#root, { recursive: true });
  }
}

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Attestor, type AttestorOptions } from '@bitcloak/attestor/attestor';
import { KeptStatements } from '@bitcloak/attestor/keptStatements';
import type { Era, RegistryClient } from '@bitcloak/chain/registry';
import { Wallet, type SigningKey } from 'ethers';

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

/** Eras of one operator as its enclave would make them, the next in the registry each time, and the keys that they are signed with. */
export class TestEras {
  readonly #registry: RegistryClient;
  readonly #operator: number;
  readonly #bytes: (count: number) => Uint8Array;
  readonly #signers = new Map<bigint, SigningKey>();

  constructor(registry: RegistryClient, operator: number, bytes: (count: number) => Uint8Array) {
    this.#registry = registry;
    this.#operator = operator;
    this.#bytes = bytes;
  }

  /** @param expiry in unix seconds. */
  async next(expiry: bigint): Promise<Era> {
    const { signingKey, address } = new Wallet(`0x${Buffer.from(this.#bytes(32)).toString('hex')}`);
    this.#signers.set(BigInt(address), signingKey);
    return {
      signer: BigInt(address),
      encryptionKey: this.#bytes(32),
      apiKey: this.#bytes(32),
      number: (await this.#registry.era(this.#operator)) + 1n,
      expiry,
    };
  }

  /** The key of an era's signer; undefined where the era is not one of these. */
  signerOf({ signer }: Era): SigningKey | undefined {
    return this.#signers.get(signer);
  }
}

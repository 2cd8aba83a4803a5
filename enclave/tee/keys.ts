import { hkdfSync } from 'node:crypto';
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { HpkeKey } from '@bitcloak/crypto/hpkeKey';
import { AgreementKey } from '@bitcloak/crypto/x25519';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { DEVELOPMENT_CHAIN_IDS } from '@bitcloak/protocol/parameters';
import { N, SigningKey, toBeHex } from 'ethers';
import type { TeeProvider } from './provider.ts';

/** The secrets of one era of an operator's enclave. The registry holds their public halves. */
export type EraKeys = {
  /** What deposits are told to. */
  readonly encryptionKey: AgreementKey;
  /** What sessions are opened with. */
  readonly apiKey: HpkeKey;
  /** Signs settlements. */
  readonly signer: SigningKey;
};

/** Where an enclave has its secrets from. */
export interface KeyProvider {
  /** 32 bytes. Journals outlive eras. */
  readonly journalKey: Uint8Array;
  /** @param number 1 for the first. */
  era(number: bigint): EraKeys;
}

const DOMAIN = 'bitcloak enclave keys v1';
const SEED_BYTES = 32;

/** All keys of an operator's enclave, from one secret. */
export class DerivedKeys implements KeyProvider {
  readonly journalKey: Uint8Array;
  readonly #derive: (purpose: string, length: number) => Uint8Array;

  /** @param seed 32 bytes. */
  constructor(seed: Uint8Array, operatorId: bigint) {
    this.#derive = (purpose, length) => {
      return new Uint8Array(hkdfSync('sha256', seed, operatorId.toString(), `${DOMAIN}\n${purpose}`, length));
    };
    this.journalKey = this.#derive('journal', 32);
  }

  era(number: bigint): EraKeys {
    const derive = (purpose: string, length: number) => this.#derive(`era ${number}\n${purpose}`, length);
    const wide = BigInt(`0x${Buffer.from(derive('signer', 64)).toString('hex')}`);
    return {
      encryptionKey: new AgreementKey(derive('encryption', 32)),
      apiKey: new HpkeKey(derive('api', 32)),
      signer: new SigningKey(toBeHex(1n + (wide % (N - 1n)), 32)),
    };
  }
}

/** Keys that the machine gives to this enclave and to nobody else. Throws `TEE_FAILED`. */
export async function teeKeys(provider: TeeProvider, operatorId: bigint): Promise<DerivedKeys> {
  return new DerivedKeys(await provider.key(`bitcloak/operator/${operatorId}`), operatorId);
}

/**
 * Keys from a file of 32 bytes. Whoever runs the machine can read it, and then every order and balance: so it serves on development chains only. Throws
 * `DEVELOPMENT_ONLY` on others, and `USAGE` for a file that others can read, or that is no seed.
 */
export function seedFileKeys(path: string, chainId: bigint, operatorId: bigint): DerivedKeys {
  if (!DEVELOPMENT_CHAIN_IDS.some((known) => known === chainId)) {
    const message = `keys from a file are for chains ${DEVELOPMENT_CHAIN_IDS.join(' and ')}, not for ${chainId}`;
    throw new BitcloakError('DEVELOPMENT_ONLY', message);
  }
  return new DerivedKeys(readSeed(path), operatorId);
}

function readSeed(path: string): Uint8Array {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch (error) {
    throw new BitcloakError('USAGE', `the seed ${path} cannot be read`, { cause: error });
  }
  try {
    const { mode } = fstatSync(file);
    if ((mode & 0o077) !== 0)
      throw new BitcloakError('USAGE', `the seed ${path} must be its owner's alone (mode 0600)`);
    const seed = readFileSync(file);
    if (seed.length === SEED_BYTES) return seed;
    throw new BitcloakError('USAGE', `the seed ${path}: expected ${SEED_BYTES} bytes, got ${seed.length}`);
  } finally {
    closeSync(file);
  }
}

import {
  AbiCoder,
  Contract,
  getAddress,
  hexlify,
  TypedDataEncoder,
  verifyTypedData,
  type Provider,
  type TypedDataDomain,
} from 'ethers';
import { ATTESTORS_ABI } from './generated/abi.ts';
import { formatAccount } from './manifest.ts';
import { callError } from './pool.ts';
import type { Era, Nonce } from './registry.ts';

/*
 * What attestors sign for the contract AttestorQuoteVerifier, and how their signatures become evidence for the registry.
 */

const TYPES = {
  Attestation: [
    { name: 'registry', type: 'address' },
    { name: 'operator', type: 'uint256' },
    { name: 'number', type: 'uint64' },
    { name: 'signer', type: 'address' },
    { name: 'encryptionKey', type: 'bytes32' },
    { name: 'apiKey', type: 'bytes32' },
    { name: 'nonce', type: 'bytes32' },
    { name: 'measurement', type: 'bytes32' },
    { name: 'validUntil', type: 'uint40' },
  ],
};

export type Attestation = {
  readonly chainId: bigint;
  /** The verifier's address. */
  readonly verifier: bigint;
  readonly registry: bigint;
  readonly operator: bigint;
  readonly era: Omit<Era, 'expiry'>;
  readonly nonce: Nonce['hash'];
  /** `measurementDigest` of the enclave's, 32 bytes in hex with 0x. */
  readonly measurement: string;
  /** Unix seconds. */
  readonly validUntil: bigint;
};

/** Signs for an attestor; an ethers wallet is one. */
export type AttestorSigner = {
  signTypedData(domain: TypedDataDomain, types: typeof TYPES, value: Record<string, unknown>): Promise<string>;
};

function typedData({ chainId, verifier, registry, operator, era, nonce, measurement, validUntil }: Attestation) {
  const domain = { name: 'Bitcloak attestors', version: '1', chainId, verifyingContract: formatAccount(verifier) };
  const value = {
    registry: formatAccount(registry),
    operator,
    number: era.number,
    signer: formatAccount(era.signer),
    encryptionKey: hexlify(era.encryptionKey),
    apiKey: hexlify(era.apiKey),
    nonce,
    measurement,
    validUntil,
  };
  return [domain, TYPES, value] as const;
}

/** The digest that names a statement, where an attestor withdraws it. */
export function statementOf(attestation: Attestation): string {
  return TypedDataEncoder.hash(...typedData(attestation));
}

export function attest(signer: AttestorSigner, attestation: Attestation): Promise<string> {
  return signer.signTypedData(...typedData(attestation));
}

/** The address of the attestor who signed. Throws what ethers throws for what is no signature. */
export function attestorOf(attestation: Attestation, signature: string): string {
  return verifyTypedData(...typedData(attestation), signature);
}

/** Evidence for the registry, from the signatures of attestors in any order. */
export function attestorEvidence(attestation: Attestation, signatures: readonly string[]): string {
  const sorted = signatures
    .map((signature) => ({ signature, attestor: BigInt(getAddress(attestorOf(attestation, signature))) }))
    .sort((left, right) => (left.attestor < right.attestor ? -1 : 1));
  return AbiCoder.defaultAbiCoder().encode(
    ['bytes32', 'uint40', 'bytes[]'],
    [attestation.measurement, attestation.validUntil, sorted.map(({ signature }) => signature)],
  );
}

/** A typed client of an AttestorQuoteVerifier. */
export class AttestorsClient {
  readonly address: bigint;
  readonly #contract: Contract;

  constructor(address: bigint, provider: Provider) {
    this.address = address;
    this.#contract = new Contract(formatAccount(address), ATTESTORS_ABI, provider);
  }

  /** So many attestors have to agree. */
  async threshold(): Promise<number> {
    return Number(await this.#read('THRESHOLD'));
  }

  async isAttestor(address: string): Promise<boolean> {
    return (await this.#read('isAttestor', address)) as boolean;
  }

  async #read(method: string, ...values: unknown[]): Promise<unknown> {
    try {
      return (await this.#contract.getFunction(method).staticCall(...values)) as unknown;
    } catch (error) {
      throw callError(error);
    }
  }
}

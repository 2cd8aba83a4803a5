import { BitcloakError } from '@bitcloak/protocol/errors';
import {
  AbiCoder,
  Contract,
  getAddress,
  hexlify,
  Interface,
  TypedDataEncoder,
  verifyTypedData,
  type Provider,
  type TypedDataDomain,
} from 'ethers';
import { ATTESTORS_ABI } from './generated/abi.ts';
import { formatAccount } from './manifest.ts';
import { callError, type Call } from './pool.ts';
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

const WITHDRAWAL_TYPES = { Withdrawal: [{ name: 'statement', type: 'bytes32' }] };

const EVIDENCE_TYPES = ['bytes32', 'uint40', 'bytes[]'];
const attestorsInterface = new Interface(ATTESTORS_ABI);

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
  signTypedData(
    domain: TypedDataDomain,
    types: Record<string, { name: string; type: string }[]>,
    value: Record<string, unknown>,
  ): Promise<string>;
};

/** Where what attestors sign counts. */
export type AttestorsPlace = Pick<Attestation, 'chainId' | 'verifier'>;

const domainOf = ({ chainId, verifier }: AttestorsPlace) => ({
  name: 'Bitcloak attestors',
  version: '1',
  chainId,
  verifyingContract: formatAccount(verifier),
});

function typedData(attestation: Attestation) {
  const { registry, operator, era, nonce, measurement, validUntil } = attestation;
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
  return [domainOf(attestation), TYPES, value] as const;
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

/** Signs that an attestor does not stand by a statement any more, which is for good. @param statement its digest. */
export function withdraw(signer: AttestorSigner, place: AttestorsPlace, statement: string): Promise<string> {
  return signer.signTypedData(domainOf(place), WITHDRAWAL_TYPES, { statement });
}

/** The address of the attestor who withdraws a statement. Throws what ethers throws for what is no signature. */
export function withdrawerOf(place: AttestorsPlace, statement: string, signature: string): string {
  return verifyTypedData(domainOf(place), WITHDRAWAL_TYPES, { statement }, signature);
}

/** Evidence for the registry, from the signatures of attestors in any order. */
export function attestorEvidence(attestation: Attestation, signatures: readonly string[]): string {
  const sorted = signatures
    .map((signature) => ({ signature, attestor: BigInt(getAddress(attestorOf(attestation, signature))) }))
    .sort((left, right) => (left.attestor < right.attestor ? -1 : 1));
  const { measurement, validUntil } = attestation;
  const inOrder = sorted.map(({ signature }) => signature);
  return AbiCoder.defaultAbiCoder().encode(EVIDENCE_TYPES, [measurement, validUntil, inOrder]);
}

/** What stands in evidence of attestors. Throws `EVIDENCE_MALFORMED` for other evidence. */
export function readAttestorEvidence(
  evidence: string,
): Pick<Attestation, 'measurement' | 'validUntil'> & { readonly signatures: readonly string[] } {
  try {
    const [measurement, validUntil, signatures] = AbiCoder.defaultAbiCoder().decode(EVIDENCE_TYPES, evidence);
    return {
      measurement: measurement as string,
      validUntil: validUntil as bigint,
      signatures: [...(signatures as Iterable<string>)],
    };
  } catch (error) {
    throw new BitcloakError('EVIDENCE_MALFORMED', 'evidence: expected a statement of attestors', { cause: error });
  }
}

/** A typed client of an AttestorQuoteVerifier. */
export class AttestorsClient {
  readonly address: bigint;
  readonly #contract: Contract;

  constructor(address: bigint, provider: Provider) {
    this.address = address;
    this.#contract = new Contract(formatAccount(address), attestorsInterface, provider);
  }

  /** So many attestors have to agree. */
  async threshold(): Promise<number> {
    return Number(await this.#read('THRESHOLD'));
  }

  async isAttestor(address: string): Promise<boolean> {
    return (await this.#read('isAttestor', address)) as boolean;
  }

  /** Whether an attestor does not stand by a statement any more, as far as the contract was told. @param statement its digest. */
  async isWithdrawn(address: string, statement: string): Promise<boolean> {
    return (await this.#read('isWithdrawn', address, statement)) as boolean;
  }

  /** Tells the contract what attestors have signed that they withdraw. Open to anyone. */
  withdrawSignedCall(statement: string, signatures: readonly string[]): Call {
    const data = attestorsInterface.encodeFunctionData('withdrawSigned', [statement, signatures]);
    return { to: formatAccount(this.address), data, value: 0n };
  }

  async #read(method: string, ...values: unknown[]): Promise<unknown> {
    try {
      return (await this.#contract.getFunction(method).staticCall(...values)) as unknown;
    } catch (error) {
      throw callError(error);
    }
  }
}

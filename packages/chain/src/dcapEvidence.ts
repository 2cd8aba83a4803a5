import { AbiCoder, hexlify } from 'ethers';

/** What MRCONFIGID is made of, where dstack started the machine. The contract DcapQuoteVerifier cannot look into an event log, which has all of it. */
export type DstackConfig = {
  /** SHA-256 of the compose file. */
  readonly composeHash: Uint8Array;
  /** 20 bytes each. */
  readonly appId: Uint8Array;
  readonly instanceId: Uint8Array;
  /** Public key of the authority of the key service. */
  readonly keyProviderId: Uint8Array;
};

const EVIDENCE_TYPES = ['bytes', 'tuple(bytes32, bytes20, bytes20, bytes)'];

/** Evidence in the form that the contract DcapQuoteVerifier takes, in hex. */
export function dcapEvidence(quote: Uint8Array, config: DstackConfig): string {
  const { composeHash, appId, instanceId, keyProviderId } = config;
  const fields = [composeHash, appId, instanceId, keyProviderId].map((bytes) => hexlify(bytes));
  return AbiCoder.defaultAbiCoder().encode(EVIDENCE_TYPES, [quote, fields]);
}

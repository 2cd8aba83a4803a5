import type { EraBinding } from './binding.ts';
import { bytesOfHex, hexOf, malformed } from './bytes.ts';
import { COLLATERAL_FIELD_CHARACTERS_MAX, readCollateral, type Collateral } from './collateral.ts';
import { hasKeys } from './json.ts';
import type { Evidence } from './verify.ts';

/* Evidence and keys as JSON, between enclaves, attestors and those who verify. Everything that is not of its form throws `EVIDENCE_MALFORMED`. */

export type WireEvidence = {
  /** Lowercase hex, as all bytes here. */
  readonly quote: string;
  readonly eventLog?: string;
  readonly collateral: Collateral;
};

export type WireEra = {
  /** Decimal. */
  readonly chainId: string;
  /** 20 bytes with 0x, as all addresses. */
  readonly registry: string;
  readonly operator: string;
  readonly number: string;
  readonly signer: string;
  /** 32 bytes each. */
  readonly encryptionKey: string;
  readonly apiKey: string;
};

const ERA_FIELDS = ['chainId', 'registry', 'operator', 'number', 'signer', 'encryptionKey', 'apiKey'] as const;

export function encodeEvidence({ quote, eventLog, collateral }: Evidence): WireEvidence {
  return { quote: hexOf(quote), ...(eventLog === undefined ? {} : { eventLog }), collateral };
}

export function decodeEvidence(json: unknown): Evidence {
  const hasLog = hasKeys(json, ['quote', 'eventLog', 'collateral']);
  if (!hasLog && !hasKeys(json, ['quote', 'collateral'])) {
    throw malformed('evidence: expected quote, collateral, and perhaps eventLog');
  }
  const { quote, eventLog, collateral } = json as Record<string, unknown>;
  if (typeof quote !== 'string') throw malformed('quote: expected lowercase hex');
  if (hasLog && (typeof eventLog !== 'string' || eventLog.length > COLLATERAL_FIELD_CHARACTERS_MAX)) {
    throw malformed(`eventLog: expected a text of at most ${COLLATERAL_FIELD_CHARACTERS_MAX} characters`);
  }
  return {
    quote: bytesOfHex(quote, 'quote'),
    ...(typeof eventLog === 'string' ? { eventLog } : {}),
    collateral: readCollateral(collateral),
  };
}

export function encodeEra(era: EraBinding): WireEra {
  return {
    chainId: era.chainId.toString(),
    registry: addressText(era.registry),
    operator: era.operator.toString(),
    number: era.number.toString(),
    signer: addressText(era.signer),
    encryptionKey: hexOf(era.encryptionKey),
    apiKey: hexOf(era.apiKey),
  };
}

export function decodeEra(json: unknown): EraBinding {
  if (!hasKeys(json, ERA_FIELDS)) throw malformed(`era: expected ${ERA_FIELDS.join(', ')}`);
  const text = (field: (typeof ERA_FIELDS)[number], pattern: RegExp, expected: string): string => {
    const value = json[field];
    if (typeof value === 'string' && pattern.test(value)) return value;
    throw malformed(`era.${field}: expected ${expected}`);
  };
  const decimal = (field: (typeof ERA_FIELDS)[number]) =>
    BigInt(text(field, /^(0|[1-9][0-9]{0,18})$/, 'a whole number in decimal'));
  const address = (field: 'registry' | 'signer') =>
    BigInt(text(field, /^0x[0-9a-f]{40}$/, '20 bytes of lowercase hex'));
  const key = (field: 'encryptionKey' | 'apiKey') => bytesOfHex(text(field, /^/, 'hex'), `era.${field}`, 32);
  return {
    chainId: decimal('chainId'),
    registry: address('registry'),
    operator: decimal('operator'),
    number: decimal('number'),
    signer: address('signer'),
    encryptionKey: key('encryptionKey'),
    apiKey: key('apiKey'),
  };
}

function addressText(address: bigint): string {
  return `0x${address.toString(16).padStart(40, '0')}`;
}

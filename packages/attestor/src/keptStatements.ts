import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { bytesOfHex, hexOf } from '@bitcloak/attestation/bytes';
import { hasKeys } from '@bitcloak/attestation/json';
import { decodeEra, encodeEra } from '@bitcloak/attestation/wire';
import { statementOf, type Attestation, type AttestorsPlace } from '@bitcloak/chain/attestors';
import { BitcloakError, type ErrorCode } from '@bitcloak/protocol/errors';
import { takeLock, writeFileWhole } from '@bitcloak/wallet/files';
import { getAddress, sha256 } from 'ethers';

/** That a statement holds no more. */
export type Withdrawal = {
  /** EIP-712, as the contract takes it. */
  readonly signature: string;
  /** Why the evidence does not verify any more. */
  readonly code: ErrorCode;
  /** Unix seconds. */
  readonly time: number;
};

/** What an attestor signed, and the evidence that it signed it for; without collateral, of which there is always newer. */
export type KeptStatement = {
  readonly attestation: Attestation;
  readonly quote: Uint8Array;
  readonly eventLog: string | undefined;
  /** TCB evaluation data number of the collateral that it was signed by. */
  readonly evaluationNumber: number;
  /** Unix seconds. */
  readonly signedAt: number;
  readonly withdrawal?: Withdrawal;
};

export type KeptOptions = AttestorsPlace & {
  readonly directory: string;
  /** Address of the attestor whose statements they are. */
  readonly attestor: string;
  /** Of all files together. */
  readonly bytesMax: number;
};

/** What is known of each without reading its file. */
type Entry = Pick<KeptStatement, 'withdrawal'> & { readonly bytes: number; readonly validUntil: number };

/** The format that files are written in. */
const VERSION = 1;
const DIGEST_CHARACTERS = 64;
const LOCK = 'lock';
const FIELDS = ['version', 'attestor', 'verifier', 'era', 'nonce', 'measurement', 'validUntil'] as const;
const SHOWN = ['quote', 'eventLog', 'evaluationNumber', 'signedAt', 'withdrawal'] as const;

/**
 * The statements of one attestor, each in a file of its own that has the statement's digest for its name. A file is there whole, and stays, when a method returns.
 * Each begins with the hash of what follows: a quote of which a bit has turned on the disk does not verify, and would be withdrawn for that.
 */
export class KeptStatements {
  readonly #options: KeptOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #release: () => void;
  #bytes = 0;

  private constructor(options: KeptOptions, release: () => void) {
    this.#options = options;
    this.#release = release;
  }

  /**
   * Opens a directory, which is made where it is not there. Throws `STATEMENTS_BUSY` where another process uses it, `STATEMENTS_CORRUPT` for damaged files, and
   * `USAGE` where the statements in it are another attestor's.
   */
  static open(options: KeptOptions): KeptStatements {
    const { directory } = options;
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const kept = new KeptStatements(options, lock(directory));
    try {
      for (const name of readdirSync(directory)) {
        // Of a process that was killed while it wrote: nobody was told of what is in it.
        if (/^[0-9a-f]{64}\.\d+\.new$/.test(name)) rmSync(join(directory, name));
        else if (/^[0-9a-f]{64}$/.test(name)) kept.#read(`0x${name}`);
      }
    } catch (error) {
      kept.close();
      throw error;
    }
    return kept;
  }

  get count(): number {
    return this.#entries.size;
  }

  get withdrawnCount(): number {
    return [...this.#entries.values()].filter(({ withdrawal }) => withdrawal !== undefined).length;
  }

  /** Digests of all statements. */
  statements(): string[] {
    return [...this.#entries.keys()];
  }

  has(statement: string): boolean {
    return this.#entries.has(statement);
  }

  /** Unix seconds. */
  validUntil(statement: string): number | undefined {
    return this.#entries.get(statement)?.validUntil;
  }

  withdrawal(statement: string): Withdrawal | undefined {
    return this.#entries.get(statement)?.withdrawal;
  }

  /** Undefined where it is not kept. Throws `STATEMENTS_CORRUPT`. */
  get(statement: string): KeptStatement | undefined {
    return this.#entries.has(statement) ? this.#read(statement) : undefined;
  }

  /** Throws `RATE_LIMITED` where there is no room: what was promised before is not forgotten for it. */
  add(kept: KeptStatement): void {
    const statement = statementOf(kept.attestation);
    const text = encode(kept, this.#options.attestor);
    if (this.#bytes + text.length > this.#options.bytesMax) {
      throw new BitcloakError('RATE_LIMITED', 'this attestor stands by as many statements as it can; try again later');
    }
    this.#write(statement, text, kept);
  }

  /** Puts down that a statement is withdrawn. It never comes back. */
  withdraw(statement: string, withdrawal: Withdrawal): void {
    const kept = this.get(statement);
    if (kept === undefined || kept.withdrawal !== undefined) return;
    const withdrawn = { ...kept, withdrawal };
    this.#write(statement, encode(withdrawn, this.#options.attestor), withdrawn);
  }

  forget(statement: string): void {
    rmSync(this.#pathOf(statement), { force: true });
    this.#bytes -= this.#entries.get(statement)?.bytes ?? 0;
    this.#entries.delete(statement);
  }

  close(): void {
    this.#release();
  }

  #pathOf(statement: string): string {
    return join(this.#options.directory, statement.slice(2));
  }

  #write(statement: string, text: string, kept: KeptStatement): void {
    writeFileWhole(this.#pathOf(statement), new TextEncoder().encode(text));
    this.#enter(statement, text.length, kept);
  }

  #read(statement: string): KeptStatement {
    const text = readFileSync(this.#pathOf(statement), 'utf8');
    let kept: KeptStatement;
    let attestor: string;
    try {
      ({ kept, attestor } = decode(text));
      if (statementOf(kept.attestation) !== statement) throw new RangeError('another statement');
    } catch (error) {
      const message = `the file ${statement.slice(2)} of what this attestor signed is damaged`;
      throw new BitcloakError('STATEMENTS_CORRUPT', message, { cause: error });
    }
    const { chainId, verifier } = kept.attestation;
    const options = this.#options;
    if (attestor !== options.attestor || chainId !== options.chainId || verifier !== options.verifier) {
      throw new BitcloakError('USAGE', `directory: it has statements of the attestor ${attestor}, another one`);
    }
    this.#enter(statement, text.length, kept);
    return kept;
  }

  #enter(statement: string, bytes: number, { attestation, withdrawal }: KeptStatement): void {
    this.#bytes += bytes - (this.#entries.get(statement)?.bytes ?? 0);
    const validUntil = Number(attestation.validUntil);
    this.#entries.set(statement, { bytes, validUntil, ...(withdrawal === undefined ? {} : { withdrawal }) });
  }
}

function lock(directory: string): () => void {
  try {
    return takeLock(join(directory, LOCK));
  } catch (error) {
    if (!(error instanceof BitcloakError)) throw error;
    throw new BitcloakError('STATEMENTS_BUSY', `another process uses ${directory}`, { cause: error });
  }
}

const digestOf = (json: string) => sha256(new TextEncoder().encode(json)).slice(2);

/** ASCII, so that characters are bytes. */
function encode({ attestation, quote, eventLog, ...rest }: KeptStatement, attestor: string): string {
  const { chainId, registry, operator, era, verifier, nonce, measurement, validUntil } = attestation;
  const json = JSON.stringify({
    version: VERSION,
    attestor,
    verifier: verifier.toString(),
    era: encodeEra({ chainId, registry, operator, ...era }),
    nonce,
    measurement,
    validUntil: Number(validUntil),
    quote: hexOf(quote),
    eventLog: eventLog ?? null,
    evaluationNumber: rest.evaluationNumber,
    signedAt: rest.signedAt,
    withdrawal: rest.withdrawal ?? null,
  }).replaceAll(/[\u0080-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
  return `${digestOf(json)}${json}`;
}

/** Throws whatever for what was not written like that: the digest has been right before anything is believed. */
function decode(text: string): { kept: KeptStatement; attestor: string } {
  const json = text.slice(DIGEST_CHARACTERS);
  if (digestOf(json) !== text.slice(0, DIGEST_CHARACTERS)) throw new RangeError('another digest');
  const value: unknown = JSON.parse(json);
  if (!hasKeys(value, [...FIELDS, ...SHOWN]) || value.version !== VERSION) throw new RangeError('another form');
  const { chainId, registry, operator, ...era } = decodeEra(value.era);
  const attestation: Attestation = {
    chainId,
    registry,
    operator,
    era,
    verifier: BigInt(String(value.verifier)),
    nonce: String(value.nonce),
    measurement: String(value.measurement),
    validUntil: BigInt(Number(value.validUntil)),
  };
  const withdrawal = value.withdrawal as Withdrawal | null;
  const kept: KeptStatement = {
    attestation,
    quote: bytesOfHex(String(value.quote), 'quote'),
    eventLog: (value.eventLog as string | null) ?? undefined,
    evaluationNumber: Number(value.evaluationNumber),
    signedAt: Number(value.signedAt),
    ...(withdrawal === null ? {} : { withdrawal }),
  };
  return { kept, attestor: getAddress(String(value.attestor)) };
}

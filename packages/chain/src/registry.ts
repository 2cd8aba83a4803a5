import { BitcloakError } from '@bitcloak/protocol/errors';
import {
  AbiCoder,
  Contract,
  getBytes,
  hexlify,
  Interface,
  keccak256,
  toBeHex,
  type Log,
  type LogDescription,
  type Provider,
  type Signer,
  type SigningKey,
  type Wallet,
} from 'ethers';
import { REGISTRY_ABI } from './generated/abi.ts';
import { formatAccount } from './manifest.ts';
import { callError, type Call } from './pool.ts';

/** Blocks that are asked for at once, until an endpoint finds that too many. */
const RANGE_BLOCKS = 100_000;

const registryInterface = new Interface(REGISTRY_ABI);
const RENEWAL_DOMAIN = 'bitcloak.renewal';
const coder = AbiCoder.defaultAbiCoder();
const topicOf = (event: string) => registryInterface.getEvent(event)?.topicHash ?? '';
const ERA_TOPIC = topicOf('EraRegistered');
const EVIDENCE_TOPIC = topicOf('EvidenceAccepted');
const VERIFIER_TOPIC = topicOf('QuoteVerifierSet');

/** The public keys of one era of an operator's enclave. */
export type Era = {
  /** The address that settlements are signed by. */
  readonly signer: bigint;
  /** X25519, 32 bytes. */
  readonly encryptionKey: Uint8Array;
  /** HPKE over X25519, 32 bytes. */
  readonly apiKey: Uint8Array;
  /** 1 for the first. */
  readonly number: bigint;
  /** Unix seconds. */
  readonly expiry: bigint;
};

const eraArgument = ({ signer, encryptionKey, apiKey, number, expiry }: Era) => [
  formatAccount(signer),
  hexlify(encryptionKey),
  hexlify(apiKey),
  number,
  expiry,
];

/** A recent block, whose hash evidence names so that it cannot be older. */
export type Nonce = { readonly block: number; readonly hash: string };

/** Evidence for an era's keys, as the registry takes it. */
export type RegistryEvidence = { readonly nonceBlock: number; readonly evidence: string };

/** Evidence that the registry has accepted. */
export type AcceptedEvidence = {
  /** Of the era. */
  readonly number: bigint;
  readonly nonce: Nonce['hash'];
  readonly evidence: string;
  /** In which it was accepted. */
  readonly block: number;
};

/** An era, and the block in which it was registered. */
export type Registration = { readonly era: Era; readonly block: number };

/** Parsed where it is one of the registry's, whatever an endpoint was asked for. */
type RegistryLog = { readonly parsed: LogDescription | null; readonly block: number };

type BlockRange = { readonly startBlock: number; readonly toBlock?: number };

/** What the development verifier takes for evidence: the era's signer says that it exists. */
export function developmentEvidence(
  chainId: bigint,
  registry: bigint,
  operator: number,
  era: Era,
  nonce: Nonce,
  signer: Wallet,
): RegistryEvidence {
  const types = ['uint256', 'address', 'uint256', 'tuple(address,bytes32,bytes32,uint64,uint40)', 'bytes32'];
  const values = [chainId, formatAccount(registry), operator, eraArgument(era), nonce.hash];
  const evidence = signer.signingKey.sign(keccak256(coder.encode(types, values))).serialized;
  return { nonceBlock: nonce.block, evidence };
}

/** A typed client of the registry. */
export class RegistryClient {
  readonly address: bigint;
  readonly #contract: Contract;

  constructor(address: bigint, runner: Provider | Signer) {
    this.address = address;
    this.#contract = new Contract(formatAccount(address), registryInterface, runner);
  }

  async isActive(operator: number, signer: bigint): Promise<boolean> {
    return (await this.#read('isActive', operator, formatAccount(signer))) as boolean;
  }

  /** What evidence that is made now has to name. The newest block's own hash is not known to a call that an endpoint tries in that block. */
  async nonce(): Promise<Nonce> {
    const provider = this.#provider();
    try {
      const newest = await provider.getBlock('latest');
      if (newest !== null && newest.number > 0) return { block: newest.number - 1, hash: newest.parentHash };
    } catch (error) {
      throw callError(error);
    }
    throw new BitcloakError('ENDPOINT_INCONSISTENT', 'the endpoint has no two blocks');
  }

  /** Unix seconds from which a signer is active no more; 0 where it never was. */
  async activeUntil(operator: number | bigint, signer: bigint): Promise<bigint> {
    return (await this.#read('activeUntil', operator, formatAccount(signer))) as bigint;
  }

  async isRevoked(operator: number, signer: bigint): Promise<boolean> {
    return (await this.#read('isRevoked', operator, formatAccount(signer))) as boolean;
  }

  /** Number of the operator's newest era; 0 before the first. */
  async era(operator: number): Promise<bigint> {
    return (await this.#read('era', operator)) as bigint;
  }

  /** The contract that judges evidence. */
  async quoteVerifier(): Promise<bigint> {
    return BigInt((await this.#read('quoteVerifier')) as string);
  }

  /** The keys of an era of an operator, where they are active now. @param startBlock one before which there was no operator. */
  async activeEra(operator: number, number: bigint, startBlock: number): Promise<Era | undefined> {
    const era = await this.registeredEra(operator, number, startBlock);
    return era !== undefined && (await this.isActive(operator, era.signer)) ? era : undefined;
  }

  /**
   * The keys of an era of an operator, whatever became of them. Looks backwards for their registration.
   *
   * @param number the era's.
   * @param startBlock one before which there was no operator.
   */
  async registeredEra(operator: number, number: bigint, startBlock: number): Promise<Era | undefined> {
    // An operator names the era that its clients look for: of one that there is not they would read the whole chain, each time.
    if (number === 0n || number > (await this.era(operator))) return undefined;
    return this.#newest([ERA_TOPIC, toBeHex(operator, 32)], { startBlock }, ({ parsed }) => {
      const era = decodeEra(parsed);
      return era?.number === number ? era : undefined;
    });
  }

  /** The evidence that was accepted last for an era's keys. @param startBlock one before which there was no operator. */
  async acceptedEvidence(operator: number, number: bigint, startBlock: number): Promise<AcceptedEvidence | undefined> {
    if (number === 0n || number > (await this.era(operator))) return undefined;
    return this.#newest([EVIDENCE_TOPIC, toBeHex(operator, 32)], { startBlock }, (log) => {
      const accepted = decodeAcceptance(log);
      return accepted?.number === number ? accepted : undefined;
    });
  }

  /** All evidence of an operator that was accepted in these blocks. */
  async acceptancesIn(operator: bigint, fromBlock: number, toBlock: number): Promise<AcceptedEvidence[]> {
    const topics = [EVIDENCE_TOPIC, toBeHex(operator, 32)];
    try {
      const logs = await this.#provider().getLogs({ address: formatAccount(this.address), topics, fromBlock, toBlock });
      return logs.flatMap((log) => decodeAcceptance(read(log)) ?? []);
    } catch (error) {
      throw callError(error);
    }
  }

  /** The contract that judged evidence in a block. @param startBlock one before which nobody looks: who was named before it is so still. */
  async quoteVerifierAt(toBlock: number, startBlock: number): Promise<bigint> {
    const named = await this.#newest([VERIFIER_TOPIC], { startBlock, toBlock }, ({ parsed }) => {
      return parsed?.name === 'QuoteVerifierSet' ? BigInt(String(parsed.args['quoteVerifier'])) : undefined;
    });
    return named ?? (await this.quoteVerifier());
  }

  /** All registrations of eras of an operator, the first era first. Throws `ENDPOINT_INCONSISTENT` where one is missing. */
  async registrations(operator: number, startBlock: number): Promise<Registration[]> {
    const count = await this.era(operator);
    const found: Registration[] = [];
    if (count === 0n) return found;
    for await (const { parsed, block } of this.#logsBackwards([ERA_TOPIC, toBeHex(operator, 32)], { startBlock })) {
      const era = decodeEra(parsed);
      if (era !== undefined) found.unshift({ era, block });
      if (era?.number === 1n) break;
    }
    const isWhole = found.every(({ era }, index) => era.number === BigInt(index + 1)) && BigInt(found.length) >= count;
    if (isWhole) return found;
    throw new BitcloakError('ENDPOINT_INCONSISTENT', `the endpoint does not know all ${count} registrations of eras`);
  }

  /** The newest log that can be read as what is looked for. */
  async #newest<T>(
    topics: readonly string[],
    range: BlockRange,
    decode: (log: RegistryLog) => T | undefined,
  ): Promise<T | undefined> {
    for await (const log of this.#logsBackwards(topics, range)) {
      const found = decode(log);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** Logs of the registry, the newest first. */
  async *#logsBackwards(topics: readonly string[], { startBlock, toBlock }: BlockRange): AsyncGenerator<RegistryLog> {
    const provider = this.#provider();
    const filter = { address: formatAccount(this.address), topics: [...topics] };
    let range = RANGE_BLOCKS;
    try {
      for (let to = toBlock ?? (await provider.getBlockNumber()); to >= startBlock;) {
        const fromBlock = Math.max(startBlock, to - range + 1);
        const logs = await provider.getLogs({ ...filter, fromBlock, toBlock: to }).catch((error: unknown) => {
          if (range === 1) throw error;
        });
        if (logs === undefined) {
          range = Math.ceil(range / 8);
          continue;
        }
        yield* logs.toReversed().map(read);
        to = fromBlock - 1;
      }
    } catch (error) {
      throw callError(error);
    }
  }

  #provider(): Provider {
    const provider = this.#contract.runner?.provider;
    if (provider == null) throw new BitcloakError('USAGE', 'a client of the registry needs a provider');
    return provider;
  }

  /** The number that a registration of an operator was given. Throws `ENDPOINT_INCONSISTENT` for another receipt. */
  operatorOf({ logs }: { readonly logs: readonly Log[] }): number {
    for (const log of logs) {
      const parsed = BigInt(log.address) === this.address ? registryInterface.parseLog(log) : null;
      if (parsed?.name === 'OperatorRegistered') return Number(parsed.args['operator']);
    }
    throw new BitcloakError('ENDPOINT_INCONSISTENT', 'the receipt shows no registration of an operator');
  }

  registerOperatorCall(): Call {
    return this.#call('registerOperator', []);
  }

  registerEraCall(operator: number, era: Era, { nonceBlock, evidence }: RegistryEvidence): Call {
    return this.#call('registerEra', [operator, eraArgument(era), nonceBlock, evidence]);
  }

  /** @param chainId of the registry's chain. @param signer the era's, whose consent a renewal needs. */
  renewEvidenceCall(
    chainId: bigint,
    operator: number,
    era: Era,
    { nonceBlock, evidence }: RegistryEvidence,
    signer: SigningKey,
  ): Call {
    const types = ['string', 'uint256', 'address', 'uint256', 'uint64', 'uint256', 'bytes32'];
    const place = [RENEWAL_DOMAIN, chainId, formatAccount(this.address), operator, era.number];
    const digest = keccak256(coder.encode(types, [...place, nonceBlock, keccak256(evidence)]));
    const consent = signer.sign(digest).serialized;
    return this.#call('renewEvidence', [operator, eraArgument(era), nonceBlock, evidence, consent]);
  }

  /** @param nonce the hash that the evidence names, and `evidence` as it was accepted last. */
  invalidateEvidenceCall(operator: number, era: Era, nonce: string, evidence: string): Call {
    return this.#call('invalidateEvidence', [operator, eraArgument(era), nonce, evidence]);
  }

  revokeSignerCall(operator: number, signer: bigint): Call {
    return this.#call('revokeSigner', [operator, formatAccount(signer)]);
  }

  #call(method: string, values: readonly unknown[]): Call {
    return { to: formatAccount(this.address), data: registryInterface.encodeFunctionData(method, values), value: 0n };
  }

  async #read(method: string, ...values: unknown[]): Promise<unknown> {
    try {
      return (await this.#contract.getFunction(method).staticCall(...values)) as unknown;
    } catch (error) {
      throw callError(error);
    }
  }
}

const read = (log: Log): RegistryLog => ({ parsed: registryInterface.parseLog(log), block: log.blockNumber });

/** Undefined for a log that is no registration of an era. */
function decodeEra(parsed: RegistryLog['parsed']): Era | undefined {
  if (parsed?.name !== 'EraRegistered') return undefined;
  const { signer, encryptionKey, apiKey, number, expiry } = parsed.args.toObject() as Record<string, string | bigint>;
  return {
    signer: BigInt(signer ?? 0),
    encryptionKey: getBytes(String(encryptionKey)),
    apiKey: getBytes(String(apiKey)),
    number: BigInt(number ?? 0),
    expiry: BigInt(expiry ?? 0),
  };
}

/** Undefined for a log that accepts no evidence. */
function decodeAcceptance({ parsed, block }: RegistryLog): AcceptedEvidence | undefined {
  if (parsed?.name !== 'EvidenceAccepted') return undefined;
  const { number, nonce, evidence } = parsed.args.toObject() as Record<string, string | bigint>;
  return { number: BigInt(number ?? 0), nonce: String(nonce), evidence: String(evidence), block };
}

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { readTrust } from '@bitcloak/attestation/trust';
import { eraRegistration } from '@bitcloak/attestor/eraRegistration';
import type { Manifest } from '@bitcloak/chain/manifest';
import { PoolClient, sendCall } from '@bitcloak/chain/pool';
import { RegistryClient } from '@bitcloak/chain/registry';
import { operatorIdOf } from '@bitcloak/chain/settlement';
import { Keyring } from '@bitcloak/notes/keys';
import { stealthOf } from '@bitcloak/notes/note';
import { OutputMaker } from '@bitcloak/notes/outputs';
import { NATIVE_ASSET } from '@bitcloak/protocol/parameters';
import { askOf } from '@bitcloak/trading/ask';
import { askAttestation } from '@bitcloak/trading/enclaveCheck';
import { operatorUrl, REQUEST_MS_MAX } from '@bitcloak/trading/http';
import { startEnclave, type EnclaveReport, type RunningEnclave } from '../../../enclave/enclave.ts';
import { teeKeys } from '../../../enclave/tee/keys.ts';
import { DevnetAttestation } from '../../../scripts/devnet/attestation.ts';
import { openChain, type Chain } from '../chain.ts';
import { deployNetwork, idleEnclave } from '../network.ts';
import { addressOf } from '../relayer.ts';
import type { TraderSettings } from './trading.ts';

const OPERATOR = 1;
const CHAIN_ID = 31337n;
const ADMIN_SIGNER = 3;
const GAS_SIGNER = 5;
const DEPOSITOR_SIGNER = 6;
const DAY_SECONDS = 86_400n;
const WAIT_MS_MAX = 20_000;
/** An asset that nobody needs to have, since nobody buys. */
const QUOTE = 0xd00dn;

export const PAIR = 'ETH-TEST';

type Parts = {
  readonly chain: Chain;
  readonly enclave: RunningEnclave;
  readonly manifest: Manifest;
  readonly operatorId: bigint;
  /** What deposits are told to. */
  readonly encryptionKey: Uint8Array;
  readonly attestation: DevnetAttestation;
  readonly directory: string;
};

const TERMS = {
  ...{ market: 1, pair: PAIR, base: NATIVE_ASSET, quote: QUOTE, lotBase: 10n, tickQuote: 1n },
  ...{ makerFee: 10, takerFee: 20 },
};
const LIMITS = { ticksMax: 1_000, lotsMin: 1, lotsMax: 1_000, referenceSecondsMax: 60, referenceMoveMax: 500 };

/** An enclave that attestors vouch for and the registry holds the keys of, on a chain of its own. */
export class AttestedDesk {
  readonly #parts: Parts;

  private constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** @param bytes where its secrets come from. */
  static async open(bytes: (length: number) => Uint8Array): Promise<AttestedDesk> {
    const chain = await openChain();
    const attestation = await DevnetAttestation.open();
    const manifest = await deployNetwork(chain, { attestors: attestation.settings });
    const registry = new RegistryClient(manifest.registry, chain.signer(ADMIN_SIGNER));
    await sendCall(chain.signer(ADMIN_SIGNER), registry.registerOperatorCall());
    await attestation.serve(manifest, chain.provider);
    const operatorId = operatorIdOf(CHAIN_ID, manifest.pool, manifest.registry, OPERATOR);
    const keys = await teeKeys(attestation.machine, operatorId);
    const directory = mkdtempSync(join(tmpdir(), 'bitcloak-desk-'));
    const reports: EnclaveReport[] = [];
    const starting = startEnclave({
      ...idleEnclave(chain, manifest, GAS_SIGNER, join(directory, 'data')),
      markets: [{ terms: TERMS, rules: LIMITS }],
      keys,
      attestation: {
        evidence: attestation.evidence(),
        attestors: attestation.urls,
        evidenceSeconds: Number(2n * DAY_SECONDS),
      },
      treasury: addressOf(new Keyring(bytes(64))),
      report: (report) => reports.push(report),
    });
    const url = await waitingAt(reports);
    const ask = askOf(operatorUrl(url), fetch, REQUEST_MS_MAX);
    const { call } = await eraRegistration({
      chainId: CHAIN_ID,
      registry,
      provider: chain.provider,
      operator: OPERATOR,
      attestors: attestation.urls,
      trust: readTrust(attestation.trust),
      ask: (nonce, era) => askAttestation(ask, nonce, era),
      expiry: (await chain.now()) + 20n * DAY_SECONDS,
      evidenceSeconds: 2n * DAY_SECONDS,
    });
    await sendCall(chain.signer(ADMIN_SIGNER), call);
    const enclave = await starting;
    const encryptionKey = keys.era(1n).encryptionKey.publicKey;
    return new AttestedDesk({ chain, enclave, manifest, operatorId, encryptionKey, attestation, directory });
  }

  get enclave(): RunningEnclave {
    return this.#parts.enclave;
  }

  /** Answers a call of JSON-RPC, or several, as an endpoint of the chain does. */
  async answer(json: unknown): Promise<unknown> {
    if (Array.isArray(json)) return Promise.all(json.map((each) => this.answer(each)));
    const { id, method, params } = json as { id: number; method: string; params: unknown[] };
    return { jsonrpc: '2.0', id, result: (await this.#parts.chain.provider.send(method, params)) as unknown };
  }

  /** What a trader with this seed is told by the people of the network. @param endpoint of the chain, as the trader reaches it. */
  settings(seed: Uint8Array, endpoint: string): TraderSettings {
    const { enclave, manifest, operatorId, attestation } = this.#parts;
    const { chainId, pool, registry } = manifest;
    return {
      url: enclave.url,
      endpoint,
      chainId,
      pool,
      registry,
      operator: OPERATOR,
      operatorId,
      trust: attestation.trust,
      seed,
      tokens: [
        { symbol: 'ETH', asset: NATIVE_ASSET, decimals: 1 },
        { symbol: 'TEST', asset: QUOTE, decimals: 0 },
      ],
    };
  }

  /** Deposits a note of the native currency into the trading account of a seed, which the enclave is told of. */
  async fund(seed: Uint8Array, value: bigint): Promise<void> {
    const { chain, enclave, manifest, operatorId, encryptionKey } = this.#parts;
    const keyring = new Keyring(seed);
    const { keys } = keyring.tradingAccount(operatorId, 0);
    const lock = { operatorId, expiry: (await chain.now()) + 2n * DAY_SECONDS };
    const maker = new OutputMaker(NATIVE_ASSET);
    const told = { keys, index: 0, lock, operatorKey: encryptionKey };
    const note = maker.locked(value, told, keyring.viewing.agreement.publicKey);
    const client = new PoolClient(manifest.pool, chain.signer(DEPOSITOR_SIGNER));
    await client.send(client.depositCall(NATIVE_ASSET, value, stealthOf(note), maker.ciphertext()));
    await enclave.operator.watch();
  }

  async close(): Promise<void> {
    const { chain, enclave, attestation, directory } = this.#parts;
    await enclave.close();
    await attestation.close();
    await chain.close();
    rmSync(directory, { recursive: true, force: true });
  }
}

/** The URL at which an enclave waits to be registered. */
async function waitingAt(reports: readonly EnclaveReport[]): Promise<string> {
  const deadline = Date.now() + WAIT_MS_MAX;
  while (Date.now() < deadline) {
    const waiting = reports.find(({ kind }) => kind === 'waiting');
    if (waiting?.kind === 'waiting') return waiting.url;
    await sleep(20);
  }
  throw new Error('the enclave does not wait to be registered');
}

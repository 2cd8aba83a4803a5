import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readTrust } from '@bitcloak/attestation/trust';
import { eraRegistration } from '@bitcloak/attestor/eraRegistration';
import type { Endpoint } from '@bitcloak/chain/endpoint';
import type { Manifest, Token } from '@bitcloak/chain/manifest';
import { sendCall } from '@bitcloak/chain/pool';
import { RegistryClient } from '@bitcloak/chain/registry';
import { operatorIdOf } from '@bitcloak/chain/settlement';
import { Keyring } from '@bitcloak/notes/keys';
import { newMnemonic, seedOf } from '@bitcloak/notes/mnemonic';
import { ERA_SECONDS_MAX, LOCK_SECONDS_MAX } from '@bitcloak/protocol/parameters';
import { ProcessProver } from '@bitcloak/prover/processProver';
import { askOf } from '@bitcloak/trading/ask';
import { askAttestation } from '@bitcloak/trading/enclaveCheck';
import { operatorUrl, REQUEST_MS_MAX } from '@bitcloak/trading/http';
import type { HDNodeWallet } from 'ethers';
import { startEnclave, type EnclaveReport, type EnclaveSettings, type MarketSettings } from '../../enclave/enclave.ts';
import type { ExchangeRules } from '../../enclave/exchange/commands.ts';
import type { Operator } from '../../enclave/operator/operator.ts';
import { teeKeys, type EraKeys } from '../../enclave/tee/keys.ts';
import { EVIDENCE_SECONDS, type DevnetAttestation } from './attestation.ts';

export type DevnetEnclaveOptions = {
  readonly manifest: Manifest;
  readonly endpoint: Endpoint;
  /** Registers the operator and pays the gas of its settlements. */
  readonly account: HDNodeWallet;
  readonly attestation: DevnetAttestation;
  /** 0 for any free one. */
  readonly port: number;
  readonly onReport?: (report: EnclaveReport) => void;
  /** What shall be otherwise than a devnet has it. */
  readonly changes?: Partial<Pick<EnclaveSettings, 'cadence' | 'pollMs' | 'snapshotCommands'>> & {
    readonly limits?: EnclaveSettings['api']['limits'];
    readonly rules?: Partial<ExchangeRules>;
  };
};

export type DevnetEnclave = {
  readonly number: number;
  readonly url: string;
  readonly era: EraKeys;
  readonly operator: Operator;
  close(): Promise<void>;
};

const OPERATOR = 1;
const ERA = 1n;

/** Registers the first operator of the devnet's registry, starts its enclave, and has its keys registered by the evidence that it shows for them. */
export async function startDevnetEnclave(options: DevnetEnclaveOptions): Promise<DevnetEnclave> {
  const { manifest, endpoint, account, attestation, port, changes: { limits, rules, ...changes } = {} } = options;
  const registry = new RegistryClient(manifest.registry, endpoint);
  await sendCall(account, registry.registerOperatorCall());
  const operatorId = operatorIdOf(manifest.chainId, manifest.pool, manifest.registry, OPERATOR);
  const keys = await teeKeys(attestation.machine, operatorId);
  const directory = mkdtempSync(join(tmpdir(), 'bitcloak-enclave-'));
  // One process at a time: each uses all cores already for most of a proof.
  const prover = new ProcessProver();
  const { spending, viewing } = new Keyring(seedOf(newMnemonic()));
  const waiting = Promise.withResolvers<string>();
  try {
    const starting = startEnclave({
      chain: { manifest, provider: endpoint, signer: account },
      operator: OPERATOR,
      keys,
      attestation: {
        evidence: attestation.evidence(),
        attestors: attestation.urls,
        evidenceSeconds: EVIDENCE_SECONDS,
      },
      directory,
      markets: [market(manifest)],
      rules: {
        settleSeconds: 3_600,
        roundSeconds: 50,
        fills: 2,
        orderSecondsMax: 7 * 86_400,
        lockSecondsMax: Number(LOCK_SECONDS_MAX),
        withdrawalFees: [],
        noteMins: [],
        ordersMax: 32,
        ...rules,
      },
      cadence: { kind: 'count', matches: 4, secondsMax: 4 },
      confirmations: 0,
      // Whoever tries things out moves this chain's time.
      clockSkewSecondsMax: undefined,
      prover,
      treasury: { owner: spending.keys.owner, viewingKey: viewing.agreement.publicKey },
      // Everybody has one address here, and quotes take no time.
      api: { host: '127.0.0.1', port, limits: { attestationsPerMinute: 1_000, ...limits } },
      pollMs: 500,
      ...changes,
      report: (report) => {
        if (report.kind === 'waiting') waiting.resolve(report.url);
        options.onReport?.(report);
      },
    });
    const [enclave] = await Promise.all([starting, waiting.promise.then((url) => register(options, url))]);
    return {
      number: OPERATOR,
      url: enclave.url,
      era: keys.era(ERA),
      operator: enclave.operator,
      async close() {
        await enclave.close();
        await prover.close();
        rmSync(directory, { recursive: true, force: true });
      },
    };
  } catch (error) {
    await prover.close();
    rmSync(directory, { recursive: true, force: true });
    throw error;
  }
}

/** What the operator's administrator does, with a wallet of his own. */
async function register(
  { manifest, endpoint, account, attestation }: DevnetEnclaveOptions,
  url: string,
): Promise<void> {
  const time = BigInt((await endpoint.getBlock('latest'))?.timestamp ?? 0);
  const ask = askOf(operatorUrl(url), fetch, REQUEST_MS_MAX);
  const { call } = await eraRegistration({
    chainId: manifest.chainId,
    registry: new RegistryClient(manifest.registry, endpoint),
    provider: endpoint,
    operator: OPERATOR,
    attestors: attestation.urls,
    trust: readTrust(attestation.trust),
    ask: (nonce, era) => askAttestation(ask, nonce, era),
    expiry: time + ERA_SECONDS_MAX - 60n,
    evidenceSeconds: BigInt(EVIDENCE_SECONDS),
  });
  await sendCall(account, call);
}

/** A lot is a thousandth of a coin, a tick a cent for a whole coin. */
function market({ tokens }: Manifest): MarketSettings {
  const [coin, dollar] = tokens as [Token, Token];
  return {
    terms: {
      market: 1,
      pair: `${coin.symbol}-${dollar.symbol}`,
      base: coin.asset,
      quote: dollar.asset,
      lotBase: 10n ** BigInt(coin.decimals - 3),
      tickQuote: 10n ** BigInt(dollar.decimals - 5),
      makerFee: 5,
      takerFee: 10,
    },
    rules: {
      ticksMax: 100_000_000,
      lotsMin: 1,
      lotsMax: 1_000_000_000,
      referenceSecondsMax: 60,
      referenceMoveMax: 500,
    },
  };
}

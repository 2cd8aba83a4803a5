import { rmSync } from 'node:fs';
import type { Endpoint } from '@bitcloak/chain/endpoint';
import { openEndpoint } from '@bitcloak/chain/endpoint';
import { formatManifest, type Manifest } from '@bitcloak/chain/manifest';
import { PoolClient } from '@bitcloak/chain/pool';
import { Keyring } from '@bitcloak/notes/keys';
import { seedOf } from '@bitcloak/notes/mnemonic';
import type { Prover } from '@bitcloak/prover/proof';
import { NATIVE_ASSET } from '@bitcloak/protocol/parameters';
import { buildRelayer } from '@bitcloak/relayer/app';
import { writeFileWhole } from '@bitcloak/wallet/files';
import { runKeeper, type KeeperReport } from '@bitcloak/wallet/keeper';
import { HDNodeWallet, parseEther } from 'ethers';
import hre from 'hardhat';
import type { EnclaveReport } from '../../enclave/enclave.ts';
import { deployContract, deployPool } from '../deploy/contracts.ts';
import { DevnetAttestation } from './attestation.ts';
import { startDevnetEnclave, type DevnetEnclaveOptions } from './enclave.ts';

// Published with every Ethereum tool: whoever reads this has the keys too, so it is good for development chains only.
const DEVELOPMENT_MNEMONIC = 'test test test test test test test test test test test junk';
const ACCOUNT = { deployer: 0, guardian: 1, governor: 2, keeper: 3, relayer: 4, operator: 5 } as const;

export type DevnetOptions = {
  /** 0 for any free port. */
  readonly port: number;
  readonly relayerPort: number;
  readonly prover: Prover;
  readonly bucketAgeSeconds: bigint;
  /** Milliseconds between blocks, beside those that transactions make; 0 for none. */
  readonly blockMs: number;
  readonly keeper: boolean;
  readonly onKeeper?: (report: KeeperReport) => void;
  /** Port of an operator's enclave, 0 for any free one; none unless given. */
  readonly enclavePort?: number;
  readonly enclaveChanges?: DevnetEnclaveOptions['changes'];
  readonly onEnclave?: (report: EnclaveReport) => void;
};

export type Devnet = {
  readonly manifest: Manifest;
  readonly endpoint: Endpoint;
  readonly timelock: string;
  /** Registers the operator and pays the gas of its settlements. */
  readonly operatorAccount: HDNodeWallet;
  /** The simulated machine, and the attestors that the registry believes. */
  readonly attestation: DevnetAttestation;
  /** Ends the operator's enclave alone, where there is one. */
  stopEnclave(): Promise<void>;
  close(): Promise<void>;
};

function account(index: number): HDNodeWallet {
  return HDNodeWallet.fromPhrase(DEVELOPMENT_MNEMONIC, undefined, `m/44'/60'/0'/0/${index}`);
}

/** Starts a chain, deploys the pool and a test token, and runs a relayer, a keeper, attestors and an operator's enclave. Listens on 127.0.0.1 only: its accounts are everybody's. */
export async function startDevnet(options: DevnetOptions): Promise<Devnet> {
  const mining = { auto: true, interval: options.blockMs };
  const server = await hre.network.createServer(
    { network: 'default', override: { mining } },
    '127.0.0.1',
    options.port,
  );
  const { address, port } = await server.listen();
  const endpoint = await openEndpoint(`http://${address}:${port}`);
  const signer = (index: number) => account(index).connect(endpoint);

  const deployer = signer(ACCOUNT.deployer);
  const attestation = await DevnetAttestation.open();
  const { pool, registry, timelock, startBlock } = await deployPool(deployer, {
    guardian: account(ACCOUNT.guardian).address,
    governor: account(ACCOUNT.governor).address,
    attestors: attestation.settings,
    bucketAgeSeconds: options.bucketAgeSeconds,
  });
  const token = BigInt(await (await deployContract(deployer, 'DevelopmentToken')).getAddress());
  const genesisHash = (await endpoint.getBlock(0))?.hash ?? '';
  const { chainId } = await endpoint.getNetwork();

  const relayer = await buildRelayer({
    pool: new PoolClient(BigInt(pool), endpoint),
    endpoint,
    account: account(ACCOUNT.relayer),
    keyring: new Keyring(seedOf(DEVELOPMENT_MNEMONIC)),
    chainId,
    fees: new Map([
      [NATIVE_ASSET, { withdrawal: parseEther('0.001'), transfer: parseEther('0.001') }],
      [token, { withdrawal: 1_000_000n, transfer: 1_000_000n }],
    ]),
    gasMax: 1_000_000n,
    ratePerMinute: 120,
    pollMs: 250,
  });
  const relayerUrl = await relayer.listen({ host: '127.0.0.1', port: options.relayerPort });

  const deployed: Manifest = {
    name: 'devnet',
    endpoint: endpoint.url,
    chainId,
    genesisHash,
    pool: BigInt(pool),
    registry: BigInt(registry),
    startBlock,
    tokens: [
      { symbol: 'ETH', asset: NATIVE_ASSET, decimals: 18 },
      { symbol: 'DUSD', asset: token, decimals: 6 },
    ],
    relayer: relayerUrl,
  };
  await attestation.serve(deployed, endpoint);
  const stop = new AbortController();
  const keeper = options.keeper
    ? runKeeper({
        pool: deployed.pool,
        endpoint,
        signer: signer(ACCOUNT.keeper),
        startBlock,
        prover: options.prover,
        closeAfterSeconds: options.bucketAgeSeconds,
        pollMs: 500,
        once: false,
        signal: stop.signal,
        report: options.onKeeper ?? (() => undefined),
      })
    : Promise.resolve();

  const { enclavePort, onEnclave } = options;
  const enclave =
    enclavePort === undefined
      ? undefined
      : await startDevnetEnclave({
          manifest: deployed,
          endpoint,
          account: signer(ACCOUNT.operator),
          attestation,
          port: enclavePort,
          ...(options.enclaveChanges === undefined ? {} : { changes: options.enclaveChanges }),
          ...(onEnclave === undefined ? {} : { onReport: onEnclave }),
        });

  return {
    manifest:
      enclave === undefined
        ? deployed
        : { ...deployed, operator: { number: enclave.number, url: enclave.url, trust: attestation.trust } },
    endpoint,
    timelock,
    operatorAccount: signer(ACCOUNT.operator),
    attestation,
    async stopEnclave() {
      await enclave?.close();
    },
    async close() {
      stop.abort();
      await enclave?.close();
      await attestation.close();
      await keeper;
      await relayer.close();
      endpoint.destroy();
      await server.close();
    },
  };
}

export function writeManifest(path: string, manifest: Manifest): void {
  writeFileWhole(path, Buffer.from(formatManifest(manifest)));
}

/** A manifest whose chain is gone would only mislead. */
export function removeManifest(path: string): void {
  rmSync(path, { force: true });
}

import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hexOf } from '@bitcloak/attestation/bytes';
import type { CollateralOptions } from '@bitcloak/attestation/development/authority';
import { measurementDigest } from '@bitcloak/attestation/policy';
import { readTrust } from '@bitcloak/attestation/trust';
import { buildAttestor } from '@bitcloak/attestor/app';
import { Attestor } from '@bitcloak/attestor/attestor';
import { KeptStatements } from '@bitcloak/attestor/keptStatements';
import type { Manifest } from '@bitcloak/chain/manifest';
import { RegistryClient } from '@bitcloak/chain/registry';
import { Wallet, type Provider } from 'ethers';
import type { FastifyInstance } from 'fastify';
import { DstackProvider } from '../../enclave/tee/dstack.ts';
import { EvidenceMaker } from '../../enclave/tee/evidence.ts';
import { TeeSimulator } from '../../enclave/tee/simulator.ts';
import type { AttestorSettings } from '../deploy/contracts.ts';

const DAY_SECONDS = 86_400;
const ATTESTORS = 3;
const THRESHOLD = 2;
/** An attestor signs for so long; a chain whose time is moved further needs evidence that is made later. */
export const EVIDENCE_SECONDS = 28 * DAY_SECONDS;

const KEPT_BYTES = 256 * 1024 * 1024;

const now = () => Math.floor(Date.now() / 1000);
const name = (text: string, characters: number) => createHash('sha256').update(text).digest('hex').slice(0, characters);

/** What an enclave's machine and the world around it are where there is no TDX: a simulated machine, and attestors that are told to trust it. */
export class DevnetAttestation {
  readonly #directory: string;
  readonly #simulator: TeeSimulator;
  readonly #attestors = Array.from({ length: ATTESTORS }, () => new Wallet(`0x${hexOf(randomBytes(32))}`));
  readonly #services: FastifyInstance[] = [];
  readonly #serving: Attestor[] = [];
  readonly #urls: string[] = [];
  /** What collateral says of the machine, where it is not that all is well. */
  #news: CollateralOptions = {};

  private constructor(directory: string, simulator: TeeSimulator) {
    this.#directory = directory;
    this.#simulator = simulator;
  }

  static async open(): Promise<DevnetAttestation> {
    const directory = mkdtempSync(join(tmpdir(), 'bitcloak-tee-'));
    const boot = {
      appId: name('app', 40),
      composeHash: name('compose file', 64),
      instanceId: name('instance', 40),
      osImageHash: name('image', 64),
      keyProvider: '{"name":"development","id":"00"}',
    };
    const path = join(directory, 'dstack.sock');
    return new DevnetAttestation(
      directory,
      await TeeSimulator.listen({ path, seed: randomBytes(32), boot, clock: now() }),
    );
  }

  /** The machine, as the enclave sees it. */
  get machine(): DstackProvider {
    return new DstackProvider(join(this.#directory, 'dstack.sock'));
  }

  /** Whom the registry believes. */
  get settings(): AttestorSettings {
    return {
      attestors: this.#attestors.map(({ address }) => address),
      threshold: THRESHOLD,
      measurements: [`0x${measurementDigest(this.#simulator.measurements)}`],
    };
  }

  /** The JSON of what wallets and attestors trust. */
  get trust(): Record<string, unknown> {
    const { anchor } = this.#simulator.authority;
    return {
      anchor: { name: anchor.name, publicKey: hexOf(anchor.publicKey) },
      tcb: {
        accepted: ['UpToDate'],
        graced: ['OutOfDate'],
        graceSeconds: 30 * DAY_SECONDS,
        evaluationNumberMin: 1,
        collateralSecondsMax: 30 * DAY_SECONDS,
        advisoriesRefused: [],
      },
      measurements: [this.#simulator.measurements],
    };
  }

  /** Starts the attestors. */
  async serve({ chainId, registry }: Manifest, provider: Provider): Promise<void> {
    const verifier = await new RegistryClient(registry, provider).quoteVerifier();
    const settings = { chainId, registry, verifier, trust: readTrust(this.trust), clock: now };
    for (const signer of this.#attestors) {
      const place = { chainId, verifier, attestor: signer.address };
      const directory = join(this.#directory, signer.address);
      const kept = KeptStatements.open({ directory, ...place, bytesMax: KEPT_BYTES });
      const attestor = new Attestor({
        ...settings,
        signer,
        kept,
        collaterals: async () => this.#simulator.authority.collateral(now(), this.#news),
        isInUse: async () => true,
        validSecondsMax: 30 * DAY_SECONDS,
      });
      this.#serving.push(attestor);
      const service = await buildAttestor({ attestor, ratePerMinute: 60 });
      this.#services.push(service);
      this.#urls.push(await service.listen({ host: '127.0.0.1', port: 0 }));
    }
  }

  /** Has all attestors look again at what they signed. @param news what collateral says of the machine from now on. */
  async lookAgain(news: CollateralOptions): Promise<void> {
    this.#news = news;
    for (const attestor of this.#serving) await attestor.recheck();
  }

  /** Base URLs of the attestors. */
  get urls(): readonly string[] {
    return this.#urls;
  }

  /** Makes the enclave's evidence. */
  evidence(): EvidenceMaker {
    return new EvidenceMaker(this.machine, async () => this.#simulator.authority.collateral(now()));
  }

  async close(): Promise<void> {
    for (const service of this.#services) await service.close();
    await this.#simulator.close();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

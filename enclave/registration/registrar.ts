import type { EraBinding } from '@bitcloak/attestation/binding';
import { bytesOfHex } from '@bitcloak/attestation/bytes';
import type { Evidence } from '@bitcloak/attestation/verify';
import { registryEvidence } from '@bitcloak/attestor/registryEvidence';
import type { Call } from '@bitcloak/chain/pool';
import type { RegistryClient } from '@bitcloak/chain/registry';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { computeAddress, type Provider } from 'ethers';
import type { EvidenceMaker } from '../tee/evidence.ts';
import type { KeyProvider } from '../tee/keys.ts';

/** How an enclave shows what it is. */
export type AttestationSettings = {
  readonly evidence: EvidenceMaker;
  /** Base URLs of attestors; with none the registry has to take the quote itself. */
  readonly attestors: readonly string[];
  /** Seconds for which evidence is asked to hold. It is renewed when half of them are over. */
  readonly evidenceSeconds: number;
};

export type RegistrarOptions = {
  readonly chainId: bigint;
  readonly registry: RegistryClient;
  readonly provider: Provider;
  readonly startBlock: number;
  readonly operator: number;
  readonly keys: KeyProvider;
  /** Without it nothing can be shown, and nothing is renewed. */
  readonly attestation: AttestationSettings | undefined;
};

/** An enclave's standing in the registry. */
export class Registrar {
  readonly #options: RegistrarOptions;

  constructor(options: RegistrarOptions) {
    this.#options = options;
  }

  /** Number of the operator's newest era, whoever has its keys; 0 before the first. */
  newestEra(): Promise<bigint> {
    const { registry, operator } = this.#options;
    return registry.era(operator);
  }

  /** Number of the operator's newest era, where it has the enclave's keys and is active; undefined otherwise. */
  async activeEra(): Promise<bigint | undefined> {
    const { registry, operator } = this.#options;
    const era = await this.newestEra();
    return era !== 0n && (await registry.isActive(operator, this.signerOf(era))) ? era : undefined;
  }

  /** The operator's eras that have this enclave's keys, in ascending order. Throws what the endpoint throws. */
  async ownEras(): Promise<{ number: bigint; block: number }[]> {
    const { registry, operator, startBlock } = this.#options;
    const registrations = await registry.registrations(operator, startBlock);
    return registrations.flatMap(({ era: { number, signer }, block }) => {
      return signer === this.signerOf(number) ? [{ number, block }] : [];
    });
  }

  /** Unix seconds from which an era's signer is active no more; 0 where it never was, or was revoked. */
  activeUntil(era: bigint): Promise<bigint> {
    const { registry, operator } = this.#options;
    return registry.activeUntil(operator, this.signerOf(era));
  }

  /** Address that an era's settlements are signed by. */
  signerOf(era: bigint): bigint {
    return BigInt(computeAddress(this.#options.keys.era(era).signer.publicKey));
  }

  /**
   * Evidence for the keys of the operator's newest era, or of the one after it, for whoever asks with a nonce of his own. Throws `TEE_FAILED` where the machine
   * attests nothing, `ERA_INACTIVE` for other eras, `ENCLAVE_BUSY`, `COLLATERAL_UNREACHABLE`.
   *
   * @param number of the era; the newest one unless given, where it was ever active with this enclave's keys, else the next.
   * @param nonce 32 bytes.
   * @param asker the address or network that asks.
   */
  async attest(
    number: bigint | undefined,
    nonce: Uint8Array,
    asker: string,
  ): Promise<{ era: EraBinding; evidence: Evidence }> {
    const { attestation } = this.#options;
    if (attestation === undefined) throw new BitcloakError('TEE_FAILED', 'nothing attests keys that are from a file');
    return attestation.evidence.evidence(() => this.#bindingAsked(number), nonce, asker);
  }

  /**
   * What renews the evidence of an era with this enclave's keys; undefined while more than half of its time is left, or it could not be any longer. Throws
   * `TEE_FAILED`, `COLLATERAL_UNREACHABLE`, `ATTESTOR_FAILED`, and what the endpoint throws.
   */
  async renewal(number: bigint): Promise<Call | undefined> {
    const { attestation, chainId, registry, provider, operator, startBlock, keys } = this.#options;
    if (attestation === undefined || number === 0n) return undefined;
    const time = BigInt((await provider.getBlock('latest'))?.timestamp ?? 0);
    const activeUntil = await this.activeUntil(number);
    if (activeUntil > time + BigInt(attestation.evidenceSeconds) / 2n) return undefined;
    if (await registry.isRevoked(operator, this.signerOf(number))) return undefined;
    const registered = await registry.registeredEra(operator, number, startBlock);
    if (registered?.signer !== this.signerOf(number)) return undefined;
    if (registered.expiry <= time || registered.expiry <= activeUntil) return undefined;
    const nonce = await registry.nonce();
    const era = this.#bindingOf(number);
    const { evidence: made } = await attestation.evidence.evidence(
      () => era,
      bytesOfHex(nonce.hash.slice(2), 'nonce', 32),
    );
    const validUntil = time + BigInt(attestation.evidenceSeconds);
    const { attestors } = attestation;
    const evidence = await registryEvidence({ registry, provider, attestors, evidence: made, era, nonce, validUntil });
    return registry.renewEvidenceCall(chainId, operator, registered, evidence, keys.era(number).signer);
  }

  async #bindingAsked(number: bigint | undefined): Promise<EraBinding> {
    const newest = await this.newestEra();
    const isOwn = newest !== 0n && (await this.activeUntil(newest)) !== 0n;
    const asked = number ?? (isOwn ? newest : newest + 1n);
    if (asked !== newest + 1n && (asked !== newest || newest === 0n)) {
      throw new BitcloakError('ERA_INACTIVE', `era: expected ${newest}, the newest, or ${newest + 1n}, the next`);
    }
    return this.#bindingOf(asked);
  }

  #bindingOf(number: bigint): EraBinding {
    const { chainId, registry, operator, keys } = this.#options;
    const { encryptionKey, apiKey } = keys.era(number);
    return {
      chainId,
      registry: registry.address,
      operator: BigInt(operator),
      number,
      signer: this.signerOf(number),
      encryptionKey: encryptionKey.publicKey,
      apiKey: apiKey.publicKey,
    };
  }
}

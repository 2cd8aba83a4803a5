import { BitcloakError } from '@bitcloak/protocol/errors';
import type { TrustAnchor } from './anchor.ts';
import { bytesOfHex, malformed, untrusted } from './bytes.ts';
import {
  CertificateStore,
  checkChain,
  CRL_CHAIN,
  QE_IDENTITY_CHAIN,
  TCB_INFO_CHAIN,
  type Certificate,
  type ChainKind,
} from './certificates.ts';
import {
  COLLATERAL_FIELDS,
  parseQeIdentity,
  parseTcbInfo,
  readCollateral,
  type Collateral,
  type QeIdentity,
  type TcbInfo,
} from './collateral.ts';
import { checkCrl, parseCrl, type Crl } from './crl.ts';
import { platformOf, type Platform } from './pck.ts';
import { isSignature } from './signature.ts';

/** Collateral as it was read. What it says counts only after `checkSignatures`. */
export type ReadCollateral = {
  readonly tcbInfo: TcbInfo;
  readonly qeIdentity: QeIdentity;
  readonly rootCrl: Crl;
  readonly pckCrl: Crl;
  readonly tcbInfoChain: readonly Certificate[];
  readonly qeIdentityChain: readonly Certificate[];
  readonly crlChain: readonly Certificate[];
  readonly signed: Readonly<Record<'tcbInfo' | 'qeIdentity', SignedText>>;
};

type SignedText = { readonly bytes: Uint8Array<ArrayBuffer>; readonly signature: Uint8Array<ArrayBuffer> };

/** Collateral that is remembered: that of some kinds of platform. */
const REMEMBERED_MAX = 16;

/**
 * Reads collateral and checks who signed it, under one anchor, and remembers by its very text what was right: many quotes share their collateral. Nothing
 * that depends on the clock or on a policy is remembered.
 */
export class CollateralVerifier {
  readonly anchor: TrustAnchor;
  readonly store = new CertificateStore();
  /** Only what was right, so that nobody can fill the memory with what is not. */
  readonly #verified = new Map<string, ReadCollateral>();
  readonly #keys = new WeakMap<ReadCollateral, string>();
  readonly #platforms = new WeakMap<Certificate, Platform>();

  constructor(anchor: TrustAnchor) {
    this.anchor = anchor;
  }

  /** Throws `EVIDENCE_MALFORMED`. */
  read(json: unknown): ReadCollateral {
    const collateral = readCollateral(json);
    // Unambiguous: no text that passes has a zero in it.
    const key = COLLATERAL_FIELDS.map((field) => collateral[field]).join('\0');
    const known = this.#verified.get(key);
    if (known !== undefined) return known;
    const read = readAll(collateral, this.store);
    this.#keys.set(read, key);
    return read;
  }

  /** What a PCK certificate says. Throws `EVIDENCE_MALFORMED`. */
  platformOf(pck: Certificate): Platform {
    const platform = this.#platforms.get(pck) ?? platformOf(pck);
    this.#platforms.set(pck, platform);
    return platform;
  }

  /** Throws `EVIDENCE_UNTRUSTED` unless everything is signed by those whose it is, up to the anchor. */
  async checkSignatures(read: ReadCollateral): Promise<void> {
    const key = this.#keys.get(read);
    if (key === undefined) throw new BitcloakError('USAGE', 'collateral that another verifier has read');
    if (this.#verified.get(key) === read) return;
    const { tcbInfoChain, qeIdentityChain, crlChain, signed } = read;
    const chains: readonly (readonly [readonly Certificate[], ChainKind])[] = [
      [tcbInfoChain, TCB_INFO_CHAIN],
      [qeIdentityChain, QE_IDENTITY_CHAIN],
      [crlChain, CRL_CHAIN],
    ];
    const [authority, root] = crlChain;
    if (authority === undefined || root === undefined) throw untrusted('PCK CRL: there is no authority');
    // All at once: signatures are checked outside the thread that waits for them.
    const outcomes = await Promise.allSettled([
      ...chains.map(([chain, kind]) => checkChain(chain, kind, this.anchor, this.store)),
      checkCrl(read.rootCrl, root, 'root CRL'),
      checkCrl(read.pckCrl, authority, 'PCK CRL'),
      checkSigned(signed.tcbInfo, tcbInfoChain[0], 'TCB info'),
      checkSigned(signed.qeIdentity, qeIdentityChain[0], 'QE identity'),
    ]);
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
    const oldest = this.#verified.size < REMEMBERED_MAX ? undefined : this.#verified.keys().next().value;
    if (oldest !== undefined) this.#verified.delete(oldest);
    this.#verified.set(key, read);
  }
}

async function checkSigned({ bytes, signature }: SignedText, signer: Certificate | undefined, field: string) {
  if (signer === undefined || !(await isSignature(signer.publicKey, bytes, signature))) {
    throw untrusted(`${field}: its signature is wrong`);
  }
}

function readAll(collateral: Collateral, store: CertificateStore): ReadCollateral {
  const signedText = (field: 'tcbInfo' | 'qeIdentity'): SignedText => {
    const text = collateral[field];
    if (!text.isWellFormed()) throw malformed(`${field}: expected unicode`);
    const signature = bytesOfHex(collateral[`${field}Signature`], `${field}Signature`, 64);
    return { bytes: new TextEncoder().encode(text), signature };
  };
  return {
    signed: { tcbInfo: signedText('tcbInfo'), qeIdentity: signedText('qeIdentity') },
    tcbInfo: parseTcbInfo(collateral.tcbInfo),
    qeIdentity: parseQeIdentity(collateral.qeIdentity),
    rootCrl: parseCrl(bytesOfHex(collateral.rootCaCrl, 'root CRL'), 'root CRL'),
    pckCrl: parseCrl(bytesOfHex(collateral.pckCrl, 'PCK CRL'), 'PCK CRL'),
    tcbInfoChain: store.parseChain(collateral.tcbInfoIssuerChain, TCB_INFO_CHAIN),
    qeIdentityChain: store.parseChain(collateral.qeIdentityIssuerChain, QE_IDENTITY_CHAIN),
    crlChain: store.parseChain(collateral.pckCrlIssuerChain, CRL_CHAIN),
  };
}

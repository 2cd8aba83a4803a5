import { BitcloakError } from '@bitcloak/protocol/errors';
import { readBytes } from './answer.ts';
import { hexOf, malformed, textOf } from './bytes.ts';
import { PCK_CHAIN, CertificateStore } from './certificates.ts';
import { COLLATERAL_FIELD_CHARACTERS_MAX, readCollateral, type Collateral } from './collateral.ts';
import { TAG } from './der.ts';
import { platformOf } from './pck.ts';
import { bytesOfBase64 } from './pem.ts';
import { parseQuote } from './quote.ts';

export type Fetch = (url: string, options: RequestInit) => Promise<Response>;

export type CollateralSource = {
  /** Under which `/tdx/certification/v4` and `/sgx/certification/v4` are. */
  readonly base: string;
  /** Where the root's CRL is. A PCCS has it among its own routes, which is where it is looked for without this. */
  readonly rootCrl?: string;
  /**
   * `early` is what holds from the day of a TCB recovery on, `standard` what holds about a year later. The grace of a policy counts from that day, so with
   * `standard` it is over when a recovery is first seen.
   */
  readonly update?: 'early' | 'standard';
  readonly fetch?: Fetch;
  /** For each of the four answers. */
  readonly msMax?: number;
};

/** Intel's own service. */
export const INTEL_PCS = {
  base: 'https://api.trustedservices.intel.com',
  rootCrl: 'https://certificates.trustedservices.intel.com/IntelSGXRootCA.der',
} as const satisfies CollateralSource;

const MS_MAX = 15_000;
/** A CRL as long as a field of collateral may be. */
const ANSWER_BYTES_MAX = COLLATERAL_FIELD_CHARACTERS_MAX / 2;
const HEADER_CHARACTERS_MAX = 16 * 1024;

/** `,"signature":"…"}` with 128 digits. */
const SIGNATURE_TAIL_CHARACTERS = 144;

/** Both forms that services write the header in. */
const TCB_INFO_CHAIN_HEADERS = ['TCB-Info-Issuer-Chain', 'SGX-TCB-Info-Issuer-Chain'];
const QE_IDENTITY_CHAIN_HEADERS = ['SGX-Enclave-Identity-Issuer-Chain'];
const CRL_CHAIN_HEADERS = ['SGX-PCK-CRL-Issuer-Chain'];

type Answer = { readonly url: string; readonly headers: Headers; readonly bytes: Uint8Array };

/**
 * Fetches what verifying a quote takes. Nothing is believed: whatever comes is verified with the quote. Throws `COLLATERAL_UNREACHABLE` where something does
 * not come, and `EVIDENCE_MALFORMED` for a quote that does not tell its platform.
 */
export async function fetchCollateral(quote: Uint8Array, source: CollateralSource): Promise<Collateral> {
  const { fmspc, authority } = platformOfQuote(quote);
  const { update = 'early' } = source;
  const base = source.base.endsWith('/') ? source.base.slice(0, -1) : source.base;
  const [tdx, sgx] = [`${base}/tdx/certification/v4`, `${base}/sgx/certification/v4`];
  const [tcb, qe, pckCrl, rootCrl] = await Promise.all([
    get(`${tdx}/tcb?fmspc=${fmspc}&update=${update}`, source),
    get(`${tdx}/qe/identity?update=${update}`, source),
    get(`${sgx}/pckcrl?ca=${authority}&encoding=der`, source),
    get(source.rootCrl ?? `${sgx}/rootcacrl`, source),
  ]);
  const [tcbInfo, qeIdentity] = [signedPart(tcb, 'tcbInfo'), signedPart(qe, 'enclaveIdentity')];
  return readCollateral({
    tcbInfo: tcbInfo.text,
    tcbInfoSignature: tcbInfo.signature,
    tcbInfoIssuerChain: chainOf(tcb, TCB_INFO_CHAIN_HEADERS),
    qeIdentity: qeIdentity.text,
    qeIdentitySignature: qeIdentity.signature,
    qeIdentityIssuerChain: chainOf(qe, QE_IDENTITY_CHAIN_HEADERS),
    rootCaCrl: crlOf(rootCrl),
    pckCrl: crlOf(pckCrl),
    pckCrlIssuerChain: chainOf(pckCrl, CRL_CHAIN_HEADERS),
  } satisfies Collateral);
}

/** What has to be known to ask: nothing of it is verified yet. Throws `EVIDENCE_MALFORMED`. */
export function platformOfQuote(quote: Uint8Array): { fmspc: string; authority: 'platform' | 'processor' } {
  const { pckChain } = parseQuote(quote);
  const bytes = pckChain.at(-1) === 0 ? pckChain.subarray(0, -1) : pckChain;
  const [pck, authority] = new CertificateStore().parseChain(textOf(bytes, 'PCK chain'), PCK_CHAIN);
  if (pck === undefined || authority === undefined) throw malformed('PCK chain: there is no certificate');
  const isPlatform = authority.commonName.includes('Platform');
  return { fmspc: platformOf(pck).fmspc, authority: isPlatform ? 'platform' : 'processor' };
}

function unreachable(url: string, why: string, cause?: unknown): BitcloakError {
  const { host, pathname } = new URL(url);
  const options = cause === undefined ? {} : { cause };
  return new BitcloakError('COLLATERAL_UNREACHABLE', `no collateral from ${host}${pathname}: ${why}`, options);
}

async function get(
  url: string,
  { fetch: fetcher = globalThis.fetch, msMax = MS_MAX }: CollateralSource,
): Promise<Answer> {
  if (!URL.canParse(url)) throw new BitcloakError('USAGE', 'collateral: expected a URL such as https://localhost:8081');
  try {
    const response = await fetcher(url, { redirect: 'error', signal: AbortSignal.timeout(msMax) });
    if (response.status !== 200) throw unreachable(url, `status ${response.status}`);
    return { url, headers: response.headers, bytes: await readBytes(response, ANSWER_BYTES_MAX) };
  } catch (error) {
    if (error instanceof BitcloakError) throw error;
    if (error instanceof RangeError) throw unreachable(url, `more than ${ANSWER_BYTES_MAX} bytes`);
    const { cause, name } = error as { cause?: { code?: unknown }; name?: string };
    throw unreachable(url, typeof cause?.code === 'string' ? cause.code : (name ?? 'unknown failure'), error);
  }
}

/** PEM, from a header that is URL-encoded. */
function chainOf({ url, headers }: Answer, names: readonly string[]): string {
  const value = names.map((name) => headers.get(name)).find((found) => found !== null);
  if (value === undefined) throw unreachable(url, `the header ${names.join(' or ')} is missing`);
  if (value.length > HEADER_CHARACTERS_MAX) throw unreachable(url, 'a header is too long');
  try {
    return decodeURIComponent(value);
  } catch (error) {
    throw unreachable(url, 'a header is not URL-encoded', error);
  }
}

/**
 * The signed part of `{"name":…,"signature":"…"}`, byte for byte: parsed and written again it could be another text, and its signature is over these bytes.
 */
function signedPart({ url, bytes }: Answer, name: string): { text: string; signature: string } {
  const text = textOf(bytes, url).trimEnd();
  const head = `{"${name}":`;
  const tail = /^,"signature":"([0-9a-fA-F]{128})"\}$/.exec(text.slice(-SIGNATURE_TAIL_CHARACTERS));
  if (!text.startsWith(head) || tail?.[1] === undefined) throw unreachable(url, `the answer is no signed ${name}`);
  return { text: text.slice(head.length, -SIGNATURE_TAIL_CHARACTERS), signature: tail[1].toLowerCase() };
}

/** Hex of a CRL that comes as DER, as hex of it or as PEM: services differ. */
function crlOf({ url, bytes }: Answer): string {
  const text = bytes[1] !== undefined && bytes[1] >= 0x80 ? '' : new TextDecoder().decode(bytes).trim();
  if (/^([0-9a-fA-F]{2})+$/.test(text)) return text.toLowerCase();
  const pem = /^-----BEGIN X509 CRL-----\r?\n([A-Za-z0-9+/=\r\n]+)-----END X509 CRL-----$/.exec(text)?.[1];
  if (pem !== undefined) return hexOf(bytesOfBase64(pem.replaceAll(/[\r\n]/g, ''), url));
  if (bytes[0] === TAG.sequence) return hexOf(bytes);
  throw unreachable(url, 'the answer is no CRL');
}

import { AsnArray, AsnProp, AsnPropTypes, AsnType, AsnTypeTypes } from '@peculiar/asn1-schema';
import type { Certificate } from './certificates.ts';
import { hexOf, malformed } from './bytes.ts';
import { parseDer, primitiveOf, TAG } from './der.ts';

/** Intel's extension of a PCK certificate: what it says of the processor. */
export const OID_SGX_EXTENSIONS = '1.2.840.113741.1.13.1';
const PART = { ppid: 1, tcb: 2, pceId: 3, fmspc: 4 } as const;
const TCB_COMPONENTS = 16;
/** Numbers of the parts of the TCB: 1 to 16 are the components. */
const PCE_SVN = 17;
const CPU_SVN = 18;

/** One entry of the extension: an identifier and any value, as DER. */
export class SgxEntry {
  id = '';
  value = new ArrayBuffer(0);
}
AsnProp({ type: AsnPropTypes.ObjectIdentifier })(SgxEntry.prototype, 'id');
AsnProp({ type: AsnPropTypes.Any })(SgxEntry.prototype, 'value');

export class SgxEntries extends AsnArray<SgxEntry> {}
AsnType({ type: AsnTypeTypes.Sequence, itemType: SgxEntry })(SgxEntries);

export type Platform = {
  /** Hex, 6 bytes: the family, model and stepping that collateral is for. */
  readonly fmspc: string;
  /** Hex, 2 bytes. */
  readonly pceId: string;
  /** Hex, 16 bytes: tells one processor from all others. */
  readonly ppid: string;
  /** Hex, 16 bytes: the components as the processor itself packs them. */
  readonly cpuSvn: string;
  /** 16 security versions. */
  readonly components: readonly number[];
  readonly pceSvn: number;
};

/** What a PCK certificate says of its platform. Throws `EVIDENCE_MALFORMED`. */
export function platformOf(pck: Certificate): Platform {
  const extension = pck.extensions.get(OID_SGX_EXTENSIONS);
  if (extension === undefined) throw malformed('PCK: expected the SGX extension');
  const parts = entriesOf(extension, OID_SGX_EXTENSIONS, 'SGX extension');
  const tcb = entriesOf(partOf(parts, PART.tcb), `${OID_SGX_EXTENSIONS}.${PART.tcb}`, 'TCB of the PCK');
  const components = Array.from({ length: TCB_COMPONENTS }, (_, index) => svnOf(partOf(tcb, index + 1), 0xff));
  return {
    fmspc: octets(partOf(parts, PART.fmspc), 6, 'FMSPC'),
    pceId: octets(partOf(parts, PART.pceId), 2, 'PCE id'),
    ppid: octets(partOf(parts, PART.ppid), 16, 'PPID'),
    cpuSvn: octets(partOf(tcb, CPU_SVN), 16, 'CPU SVN'),
    components,
    pceSvn: svnOf(partOf(tcb, PCE_SVN), 0xffff),
  };
}

/** Values by the last number of their identifiers. */
function entriesOf(der: Uint8Array, prefix: string, field: string): ReadonlyMap<number, Uint8Array> {
  const entries = new Map<number, Uint8Array>();
  for (const { id, value } of parseDer(der, SgxEntries, field)) {
    const number = id.startsWith(`${prefix}.`) ? id.slice(prefix.length + 1) : '';
    if (!/^[1-9]\d?$/.test(number)) throw malformed(`${field}: expected parts of ${prefix}, got ${id}`);
    if (entries.has(Number(number))) throw malformed(`${field}: ${id} stands twice`);
    entries.set(Number(number), new Uint8Array(value));
  }
  return entries;
}

function partOf(parts: ReadonlyMap<number, Uint8Array>, number: number): Uint8Array {
  const part = parts.get(number);
  if (part === undefined) throw malformed(`SGX extension: part ${number} is missing`);
  return part;
}

function octets(der: Uint8Array, length: number, field: string): string {
  const bytes = primitiveOf(der, TAG.octetString, field);
  if (bytes.length !== length) throw malformed(`${field}: expected ${length} bytes, got ${bytes.length}`);
  return hexOf(bytes);
}

function svnOf(der: Uint8Array, max: number): number {
  const bytes = primitiveOf(der, TAG.integer, 'SGX extension');
  const value = bytes.reduce((sum, byte) => sum * 256 + byte, 0);
  // A first bit that is set would be a negative number.
  if (((bytes[0] ?? 0x80) & 0x80) !== 0 || value > max) {
    throw malformed(`SGX extension: expected a security version up to ${max}`);
  }
  return value;
}

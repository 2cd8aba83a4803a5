import { bytesOfHex, hexOf, malformed } from './bytes.ts';
import { hasKeys, JsonReader } from './json.ts';
import { PART_STATUSES, TCB_STATUSES, type PartStatus, type TcbStatus } from './tcbStatus.ts';

/** What Intel signs about its platforms, as texts: nothing in them is altered before it is verified. */
export type Collateral = {
  /** JSON, byte for byte as it was signed. */
  readonly tcbInfo: string;
  /** r ‖ s in lowercase hex. */
  readonly tcbInfoSignature: string;
  /** PEM: TCB signing, root. */
  readonly tcbInfoIssuerChain: string;
  readonly qeIdentity: string;
  readonly qeIdentitySignature: string;
  readonly qeIdentityIssuerChain: string;
  /** DER in lowercase hex. */
  readonly rootCaCrl: string;
  readonly pckCrl: string;
  /** PEM: the PCK's authority, root. */
  readonly pckCrlIssuerChain: string;
};

export const COLLATERAL_FIELDS = [
  'tcbInfo',
  'tcbInfoSignature',
  'tcbInfoIssuerChain',
  'qeIdentity',
  'qeIdentitySignature',
  'qeIdentityIssuerChain',
  'rootCaCrl',
  'pckCrl',
  'pckCrlIssuerChain',
] as const satisfies readonly (keyof Collateral)[];

/** More than Intel's for any platform: a CRL of fourteen thousand certificates, in hex. */
export const COLLATERAL_FIELD_CHARACTERS_MAX = 1536 * 1024;

/** Takes collateral from JSON: these texts, none of them empty, and nothing else. Throws `EVIDENCE_MALFORMED`. */
export function readCollateral(json: unknown): Collateral {
  if (!hasKeys(json, COLLATERAL_FIELDS)) throw malformed(`collateral: expected the texts ${COLLATERAL_FIELDS.join()}`);
  for (const field of COLLATERAL_FIELDS) {
    const text = json[field];
    if (typeof text !== 'string' || text === '' || text.length > COLLATERAL_FIELD_CHARACTERS_MAX) {
      throw malformed(`collateral.${field}: expected a text of 1 to ${COLLATERAL_FIELD_CHARACTERS_MAX} characters`);
    }
  }
  return json as Collateral;
}

/** What may have fallen behind, with the time from which it counts. Dates are unix seconds. */
export type Level<Status> = {
  readonly date: number;
  readonly status: Status;
  readonly advisories: readonly string[];
};

/** From this security version on. */
export type SvnLevel = Level<PartStatus> & { readonly isvSvn: number };

export type TcbLevel = Level<TcbStatus> & {
  /** 16 security versions each. */
  readonly sgxComponents: readonly number[];
  readonly tdxComponents: readonly number[];
  readonly pceSvn: number;
};

export type TdxModule = {
  readonly mrSigner: Uint8Array;
  readonly attributes: Uint8Array;
  readonly attributesMask: Uint8Array;
};

export type TdxModuleIdentity = TdxModule & {
  /** `TDX_` and the module's major version in two digits of hex. */
  readonly id: string;
  /** Newest first. */
  readonly levels: readonly SvnLevel[];
};

/** Unix seconds. */
export type Issue = { readonly issued: number; readonly nextUpdate: number; readonly evaluationNumber: number };

export type TcbInfo = Issue & {
  readonly fmspc: string;
  readonly pceId: string;
  readonly module: TdxModule;
  readonly moduleIdentities: readonly TdxModuleIdentity[];
  /** Newest first. */
  readonly levels: readonly TcbLevel[];
};

export type QeIdentity = Issue & {
  readonly miscSelect: Uint8Array;
  readonly miscSelectMask: Uint8Array;
  readonly attributes: Uint8Array;
  readonly attributesMask: Uint8Array;
  readonly mrSigner: Uint8Array;
  readonly isvProdId: number;
  /** Newest first. */
  readonly levels: readonly SvnLevel[];
};

/** Reads a TCB info of version 3 for TDX. Fields that are not known are Intel's to add; none of the known may be missing. Throws `EVIDENCE_MALFORMED`. */
export function parseTcbInfo(text: string): TcbInfo {
  const json = JsonReader.parse(text, 'TCB info');
  json.expect('id', 'TDX');
  json.expect('version', 3);
  json.expect('tcbType', 0);
  return {
    ...issueOf(json),
    fmspc: hexOf(hex(json, 'fmspc', 6)),
    pceId: hexOf(hex(json, 'pceId', 2)),
    module: moduleOf(json.object('tdxModule')),
    // A platform whose modules are all of version 0 has no list of identities.
    moduleIdentities: json.has('tdxModuleIdentities')
      ? json.list('tdxModuleIdentities').map((identity) => ({
          ...moduleOf(identity),
          id: identity.text('id').toUpperCase(),
          levels: svnLevels(identity),
        }))
      : [],
    levels: filled(json.list('tcbLevels'), 'tcbLevels').map((level) => {
      const tcb = level.object('tcb');
      return {
        ...levelOf(level, TCB_STATUSES),
        sgxComponents: components(tcb, 'sgxtcbcomponents'),
        tdxComponents: components(tcb, 'tdxtcbcomponents'),
        pceSvn: tcb.integer('pcesvn', 0xffff),
      };
    }),
  };
}

/** Reads the identity of version 2 of the quoting enclave of TDX. Throws `EVIDENCE_MALFORMED`. */
export function parseQeIdentity(text: string): QeIdentity {
  const json = JsonReader.parse(text, 'QE identity');
  json.expect('id', 'TD_QE');
  json.expect('version', 2);
  return {
    ...issueOf(json),
    miscSelect: hex(json, 'miscselect', 4),
    miscSelectMask: hex(json, 'miscselectMask', 4),
    attributes: hex(json, 'attributes', 16),
    attributesMask: hex(json, 'attributesMask', 16),
    mrSigner: hex(json, 'mrsigner', 32),
    isvProdId: json.integer('isvprodid', 0xffff),
    levels: svnLevels(json),
  };
}

function issueOf(json: JsonReader): Issue {
  const [issued, nextUpdate] = [json.time('issueDate'), json.time('nextUpdate')];
  return { issued, nextUpdate, evaluationNumber: json.integer('tcbEvaluationDataNumber', 0xffff) };
}

function moduleOf(json: JsonReader): TdxModule {
  return {
    mrSigner: hex(json, 'mrsigner', 48),
    attributes: hex(json, 'attributes', 8),
    attributesMask: hex(json, 'attributesMask', 8),
  };
}

function levelOf<Status extends string>(json: JsonReader, statuses: readonly Status[]): Level<Status> {
  const status = json.text('tcbStatus');
  const known = statuses.find((entry) => entry === status);
  if (known === undefined) throw malformed(`tcbStatus: expected one of ${statuses.join()}`);
  const advisories = json.has('advisoryIDs') ? json.texts('advisoryIDs') : [];
  return { date: json.time('tcbDate'), status: known, advisories };
}

function svnLevels(json: JsonReader): SvnLevel[] {
  const levels = filled(json.list('tcbLevels'), 'tcbLevels').map((level) => ({
    ...levelOf(level, PART_STATUSES),
    isvSvn: level.object('tcb').integer('isvsvn', 0xffff),
  }));
  // The first that fits is taken: in another order an old one could stand before a new one.
  const isSorted = levels.every(({ isvSvn }, index) => index === 0 || isvSvn < (levels[index - 1]?.isvSvn ?? 0));
  if (!isSorted) throw malformed('tcbLevels: expected falling security versions');
  return levels;
}

function components(json: JsonReader, field: string): number[] {
  const list = json.list(field).map((component) => component.integer('svn', 0xff));
  if (list.length !== 16) throw malformed(`${field}: expected 16 components, got ${list.length}`);
  return list;
}

function filled<T>(list: readonly T[], field: string): readonly T[] {
  if (list.length === 0) throw malformed(`${field}: expected at least one`);
  return list;
}

/** Intel writes hex in uppercase; a signature covers which. */
function hex(json: JsonReader, field: string, length: number): Uint8Array {
  return bytesOfHex(json.text(field).toLowerCase(), field, length);
}

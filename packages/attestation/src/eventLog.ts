import { sha384 } from '@noble/hashes/sha2.js';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { bytesOfHex, concat, hexOf, isEqual, malformed, textOf } from './bytes.ts';
import { JsonReader, parseJson } from './json.ts';
import type { TdReport } from './quote.ts';

/** More than the logs of machines with many devices. */
export const EVENT_LOG_CHARACTERS_MAX = 1024 * 1024;

/** dstack's own events, which only RTMR3 has. */
export const RUNTIME_EVENT_TYPE = 0x08000001;
const RUNTIME_RTMR = 3;

/** The event after which the machine is the application's, which can add any events then. */
export const BOOT_MARKER = 'system-ready';

/** What the system says about itself while it boots, each once. */
const BOOT_EVENTS_ONCE: readonly string[] = [
  'system-preparing',
  'rootfs-hash',
  'app-id',
  'compose-hash',
  'ca-cert-hash',
  'gpu-policy-hash',
  'gpu-attestation',
  'instance-id',
  'boot-mr-done',
  'os-image-hash',
  'mr-kms',
  'key-provider',
  'storage-fs',
  BOOT_MARKER,
];

/** And as often as there are any. */
const BOOT_EVENTS: readonly string[] = [...BOOT_EVENTS_ONCE, 'init-script-hash'];

/** What an event log proves once its replay is the quote's. Hex, but for the key provider's text. */
export type EventLogFacts = {
  /** 20 bytes. */
  readonly appId: string;
  /** 32 bytes. */
  readonly composeHash: string;
  /** 20 bytes; undefined for an application that wants none. */
  readonly instanceId: string | undefined;
  readonly keyProvider: string | undefined;
  /** 32 bytes. */
  readonly osImageHash: string | undefined;
};

export type LogEvent = {
  /** Number of the RTMR that was extended. */
  readonly rtmr: number;
  readonly type: number;
  /** 48 bytes. */
  readonly digest: Uint8Array;
  /** Name and payload are bound to the digest only in events of dstack's own type. */
  readonly name: string;
  readonly payload: Uint8Array;
};

/**
 * Reads dstack's event log, JSON. An event of RTMR3 has the digest that its name and payload have: an empty one is computed, as dstack from 0.6 on leaves
 * it out, and any other has to be that one. Throws `EVIDENCE_MALFORMED`, and `MEASUREMENT_REFUSED` for a digest that is not its event's.
 */
export function parseEventLog(text: string): LogEvent[] {
  if (text.length > EVENT_LOG_CHARACTERS_MAX) {
    throw malformed(`event log: expected at most ${EVENT_LOG_CHARACTERS_MAX} characters`);
  }
  const list = parseJson(text, 'event log');
  if (!Array.isArray(list)) throw malformed('event log: expected a list');
  return list.map((entry: unknown, index) => parseEvent(new JsonReader(entry, `event ${index}`), `event ${index}`));
}

function parseEvent(json: JsonReader, field: string): LogEvent {
  const [rtmr, type] = [json.integer('imr', RUNTIME_RTMR), json.integer('event_type', 0xffffffff)];
  const [name, payload] = [json.text('event'), bytesOfHex(json.text('event_payload'), `${field}'s payload`)];
  const written = json.text('digest');
  if ((rtmr === RUNTIME_RTMR) !== (type === RUNTIME_EVENT_TYPE)) {
    throw malformed(`${field}: expected events of dstack in RTMR3 and nowhere else`);
  }
  if (rtmr !== RUNTIME_RTMR) return { rtmr, type, name, payload, digest: bytesOfHex(written, `${field}'s digest`, 48) };

  // With a colon in a name, one digest could be read as two different events.
  if (name === '' || name.includes(':') || !name.isWellFormed())
    throw malformed(`${field}: expected a name without colons`);
  const version = json.has('version') ? json.integer('version', 2) : 1;
  const preimage = version === 2 ? preimageAsJson(name, payload) : preimageAsBytes(name, payload);
  if (json.has('preimage') && json.text('preimage') !== hexOf(preimage)) {
    throw malformed(`${field}: its preimage is not made of its name and payload`);
  }
  const digest = sha384(preimage);
  if (written !== '' && !isEqual(bytesOfHex(written, `${field}'s digest`, 48), digest)) {
    throw new BitcloakError('MEASUREMENT_REFUSED', `${field}: its digest is not that of its name and payload`);
  }
  return { rtmr, type, name, payload, digest };
}

/** What dstack hashes for an event: its type in 4 bytes little endian, name and payload, with colons between. */
export function preimageAsBytes(name: string, payload: Uint8Array): Uint8Array {
  const type = new Uint8Array(4);
  new DataView(type.buffer).setUint32(0, RUNTIME_EVENT_TYPE, true);
  return concat(type, new TextEncoder().encode(`:${name}:`), payload);
}

/** Its second form: canonical JSON. */
export function preimageAsJson(name: string, payload: Uint8Array): Uint8Array {
  return new TextEncoder().encode(JSON.stringify({ name, payload: hexOf(payload), type: RUNTIME_EVENT_TYPE }));
}

/** The four RTMRs that these events leave behind. */
export function replay(events: readonly LogEvent[]): [Uint8Array, Uint8Array, Uint8Array, Uint8Array] {
  const extend = (rtmr: number) =>
    events.reduce<Uint8Array>(
      (value, event) => (event.rtmr === rtmr ? sha384(concat(value, event.digest)) : value),
      new Uint8Array(48),
    );
  return [extend(0), extend(1), extend(2), extend(3)];
}

/** What a log proves of a trust domain. Throws `EVIDENCE_MALFORMED` and `MEASUREMENT_REFUSED`. */
export function verifyEventLog(text: string, report: TdReport): EventLogFacts {
  const events = parseEventLog(text);
  for (const [index, value] of replay(events).entries()) {
    const quoted = report.rtmrs[index];
    if (quoted === undefined || !isEqual(value, quoted)) {
      throw new BitcloakError('MEASUREMENT_REFUSED', `event log: its replay is not the quote's RTMR${index}`);
    }
  }
  return factsOf(events.filter(({ rtmr }) => rtmr === RUNTIME_RTMR));
}

function factsOf(events: readonly LogEvent[]): EventLogFacts {
  const refuse = (what: string) => new BitcloakError('MEASUREMENT_REFUSED', `event log: ${what}`);
  const marker = events.findIndex(({ name }) => name === BOOT_MARKER);
  if (marker < 0) throw refuse(`there is no ${BOOT_MARKER}`);
  const boot = new Map<string, Uint8Array>();
  for (const [index, { name, payload }] of events.entries()) {
    if (index > marker && BOOT_EVENTS.includes(name)) throw refuse(`${name} stands after ${BOOT_MARKER}`);
    if (index > marker || !BOOT_EVENTS_ONCE.includes(name)) continue;
    if (boot.has(name)) throw refuse(`${name} stands twice`);
    boot.set(name, payload);
  }
  const optional = (name: string, length: number) => {
    const payload = boot.get(name);
    if (payload === undefined || payload.length === 0) return undefined;
    if (payload.length !== length) throw refuse(`${name}: expected ${length} bytes, got ${payload.length}`);
    return hexOf(payload);
  };
  const required = (name: string, length: number) => {
    const value = optional(name, length);
    if (value === undefined) throw refuse(`there is no ${name}`);
    return value;
  };
  const keyProvider = boot.get('key-provider');
  return {
    appId: required('app-id', 20),
    composeHash: required('compose-hash', 32),
    instanceId: optional('instance-id', 20),
    keyProvider: keyProvider === undefined ? undefined : textOf(keyProvider, 'key-provider'),
    osImageHash: optional('os-image-hash', 32),
  };
}

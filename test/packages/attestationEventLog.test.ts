import assert from 'node:assert/strict';
import { hexOf } from '@bitcloak/attestation/bytes';
import { developmentEvents, rtmrsAfter, runtimeEvent } from '@bitcloak/attestation/development/eventLog';
import {
  parseEventLog,
  preimageAsBytes,
  preimageAsJson,
  replay,
  RUNTIME_EVENT_TYPE,
  verifyEventLog,
} from '@bitcloak/attestation/eventLog';
import { composeHashOf } from '@bitcloak/attestation/policy';
import { parseQuote, type TdReport } from '@bitcloak/attestation/quote';
import { hash } from 'node:crypto';
import { BOOT, dstackEvidence } from '../support/attestation.ts';
import { Dice } from '../support/dice.ts';

type Entry = Record<string, unknown>;

const fixture = dstackEvidence();
const { report } = parseQuote(fixture.quote);
const log = () => JSON.parse(fixture.eventLog) as Entry[];
const indexOf = (name: string) => log().findIndex(({ event }) => event === name);

function assertRefused(events: unknown, of: TdReport, code: string, words?: RegExp): void {
  assert.throws(
    () => verifyEventLog(JSON.stringify(events), of),
    (error: { code?: string; message: string }) => {
      assert.equal(error.code, code, error.message);
      if (words !== undefined) assert.match(error.message, words);
      return true;
    },
  );
}

/** A report with the registers that these events lead to. */
function reportAfter(events: ReturnType<typeof developmentEvents>): TdReport {
  return { ...report, rtmrs: rtmrsAfter(events) };
}

describe("dstack's event log", () => {
  it("leads to the quote's registers, and tells what was booted", () => {
    const facts = verifyEventLog(fixture.eventLog, report);
    assert.deepEqual(
      { ...facts, keyProvider: undefined },
      {
        appId: '86b0e55f2fa8e4fb69d890f14f54d5612707646e',
        composeHash: '86b0e55f2fa8e4fb69d890f14f54d5612707646e2573d54e0d2ddaaade77caa9',
        instanceId: '050bf89570575fe8fab4cb8f0a62a9e64efe8ead',
        osImageHash: '07a2388c7a6a1b6a646d443f1517990a4ec294471d63146cda9d56972765051d',
        keyProvider: undefined,
      },
    );
    assert.equal((JSON.parse(facts.keyProvider ?? '') as Entry)['name'], 'kms');
    // The machine's configuration tells the same compose file.
    assert.equal(composeHashOf(report, undefined), facts.composeHash);
    assert.equal(composeHashOf(report, facts), facts.composeHash);
  });

  it('has digests of RTMR3 that are computed where it leaves them out', () => {
    const written = log().filter(({ imr }) => imr === 3);
    assert.ok(written.length > 0 && written.every(({ digest }) => digest === ''));
    const full = log().map((entry) =>
      entry['imr'] === 3
        ? {
            ...entry,
            digest: hash(
              'sha384',
              Buffer.concat([
                Buffer.from([1, 0, 0, 8]),
                Buffer.from(`:${String(entry['event'])}:`),
                Buffer.from(String(entry['event_payload']), 'hex'),
              ]),
            ),
          }
        : entry,
    );
    assert.deepEqual(verifyEventLog(JSON.stringify(full), report), verifyEventLog(fixture.eventLog, report));
    const wrong = full.with(indexOf('app-id'), { ...full[indexOf('app-id')], digest: '00'.repeat(48) });
    assertRefused(wrong, report, 'MEASUREMENT_REFUSED', /digest is not that of its name/);
  });

  it('is refused when an event is dropped, doubled, or stands before the one in front of it', () => {
    for (const [index, entry] of log().entries()) {
      assertRefused(log().toSpliced(index, 1), report, 'MEASUREMENT_REFUSED', /replay/);
      assertRefused(log().toSpliced(index, 0, entry), report, 'MEASUREMENT_REFUSED', /replay/);
      const before = log().findLastIndex((other, at) => at < index && other['imr'] === entry['imr']);
      if (before < 0 || JSON.stringify(log()[before]) === JSON.stringify(entry)) continue;
      const swapped = log()
        .with(before, entry)
        .with(index, log()[before] ?? {});
      assertRefused(swapped, report, 'MEASUREMENT_REFUSED', /replay/);
    }
  });

  it('is refused when what an event measures is another', () => {
    const dice = new Dice('bitcloak event log');
    for (const [index, entry] of log().entries()) {
      const field = entry['imr'] !== 3 ? 'digest' : entry['event_payload'] === '' ? 'event' : 'event_payload';
      const text = String(entry[field]);
      const at = dice.int(text.length);
      const other = text[at] === 'a' ? 'b' : 'a';
      const changed = log().with(index, { ...entry, [field]: text.slice(0, at) + other + text.slice(at + 1) });
      assertRefused(changed, report, 'MEASUREMENT_REFUSED', /replay/);
      assertRefused(
        log().with(index, { ...entry, imr: (Number(entry['imr']) + 1) % 3 }),
        report,
        entry['imr'] === 3 ? 'EVIDENCE_MALFORMED' : 'MEASUREMENT_REFUSED',
      );
    }
  });

  it('is refused with events that were added', () => {
    const added = [
      { imr: 0, event_type: 4, digest: '11'.repeat(48), event: '', event_payload: '' },
      runtimeEvent('application', new Uint8Array(1)),
    ];
    for (const entry of added) {
      for (const index of [0, 5, log().length]) {
        assertRefused(log().toSpliced(index, 0, entry), report, 'MEASUREMENT_REFUSED', /replay/);
      }
    }
    assertRefused([], report, 'MEASUREMENT_REFUSED', /RTMR0/);
  });

  it('takes nothing from what no digest covers', () => {
    // Names and payloads of the firmware's events are for people: they may say anything, and nothing follows from it.
    const renamed = log().map((entry) =>
      entry['imr'] === 3 ? entry : { ...entry, event: 'compose-hash', event_payload: '00'.repeat(32) },
    );
    assert.deepEqual(verifyEventLog(JSON.stringify(renamed), report), verifyEventLog(fixture.eventLog, report));
  });

  for (const [what, change] of [
    ['a field is missing', ({ digest: _, ...rest }: Entry) => rest],
    ['a register does not exist', (entry: Entry) => ({ ...entry, imr: 4 })],
    ['a register is a text', (entry: Entry) => ({ ...entry, imr: '3' })],
    ['a payload is no hex', (entry: Entry) => ({ ...entry, event_payload: '0x00' })],
    ['a payload is in uppercase', (entry: Entry) => ({ ...entry, event_payload: 'AB' })],
    ['a digest is short', (entry: Entry) => ({ ...entry, digest: '00' })],
    ['an event of RTMR3 is of the firmware', (entry: Entry) => ({ ...entry, event_type: 4 })],
    ['an event of the firmware is of dstack', (entry: Entry) => ({ ...entry, imr: 0 })],
    ['a name has a colon', (entry: Entry) => ({ ...entry, event: 'app:id' })],
    ['a name is empty', (entry: Entry) => ({ ...entry, event: '' })],
    ['a name is no unicode', (entry: Entry) => ({ ...entry, event: '\ud800' })],
    ['the version is unknown', (entry: Entry) => ({ ...entry, version: 3 })],
    ['a preimage is another', (entry: Entry) => ({ ...entry, preimage: '00' })],
  ] as const) {
    it(`is malformed where ${what}`, () => {
      const index = indexOf('app-id');
      assertRefused(log().with(index, change(log()[index] ?? {})), report, 'EVIDENCE_MALFORMED');
    });
  }

  it('is malformed where it is no list of events', () => {
    for (const text of ['', '{}', 'null', '[1]', '[[]]', '[null]', `[${'['.repeat(100)}`]) {
      assert.throws(() => verifyEventLog(text, report), { code: 'EVIDENCE_MALFORMED' }, text);
    }
    assert.throws(() => verifyEventLog(`[${' '.repeat(1024 * 1024)}]`, report), { code: 'EVIDENCE_MALFORMED' });
  });

  it('keeps a digest from being read as two events', () => {
    // dstack joins name and payload by a colon, so key-provider's payload could be split at its own.
    const index = indexOf('key-provider');
    const entry = log()[index] ?? {};
    const [head = '', ...tail] = Buffer.from(String(entry['event_payload']), 'hex').toString().split(':');
    const split = { ...entry, event: `key-provider:${head}`, event_payload: hexOf(Buffer.from(tail.join(':'))) };
    assert.deepEqual(
      preimageAsBytes(split.event, Buffer.from(split.event_payload, 'hex')),
      preimageAsBytes('key-provider', Buffer.from(String(entry['event_payload']), 'hex')),
    );
    assertRefused(log().with(index, split), report, 'EVIDENCE_MALFORMED', /colons/);
  });
});

describe('events of a machine that lies', () => {
  const none = new Uint8Array(0);
  const events = () => developmentEvents(BOOT);
  const at = (name: string) => events().findIndex(({ event }) => event === name);

  it('are refused when the application claims boot facts', () => {
    for (const [name, payload] of [
      ['compose-hash', new Uint8Array(32)],
      ['app-id', new Uint8Array(20)],
      ['instance-id', new Uint8Array(20)],
      ['key-provider', none],
      ['os-image-hash', new Uint8Array(32)],
      ['init-script-hash', new Uint8Array(32)],
      ['system-ready', none],
    ] as const) {
      const lie = [...events(), runtimeEvent(name, payload)];
      assertRefused(lie, reportAfter(lie), 'MEASUREMENT_REFUSED', new RegExp(`${name} stands after system-ready`));
    }
    const fine = [...events(), runtimeEvent('application', none), runtimeEvent('application', none)];
    assert.equal(verifyEventLog(JSON.stringify(fine), reportAfter(fine)).composeHash, BOOT.composeHash);
  });

  it('are refused when the system says something twice', () => {
    for (const name of ['compose-hash', 'app-id', 'instance-id', 'key-provider', 'os-image-hash', 'boot-mr-done']) {
      const index = at(name);
      const twice = events().toSpliced(index, 0, events()[index] ?? assert.fail());
      assertRefused(twice, reportAfter(twice), 'MEASUREMENT_REFUSED', new RegExp(`${name} stands twice`));
    }
    const script = runtimeEvent('init-script-hash', new Uint8Array(32));
    const scripts = events().toSpliced(at('instance-id'), 0, script, script);
    assert.equal(verifyEventLog(JSON.stringify(scripts), reportAfter(scripts)).appId, BOOT.appId);
  });

  it('are refused without an end of the boot, an application or its compose file', () => {
    for (const name of ['system-ready', 'app-id', 'compose-hash']) {
      const without = events().toSpliced(at(name), 1);
      assertRefused(without, reportAfter(without), 'MEASUREMENT_REFUSED', new RegExp(`there is no ${name}`));
    }
    for (const name of ['app-id', 'compose-hash', 'os-image-hash', 'instance-id']) {
      const short = events().with(at(name), runtimeEvent(name, new Uint8Array(7)));
      assertRefused(short, reportAfter(short), 'MEASUREMENT_REFUSED', /got 7/);
    }
  });

  it('may lack what not every application has', () => {
    const few = events()
      .filter(({ event }) => event !== 'os-image-hash' && event !== 'key-provider')
      .map((entry) => (entry.event === 'instance-id' ? runtimeEvent('instance-id', none) : entry));
    const facts = verifyEventLog(JSON.stringify(few), reportAfter(few));
    assert.deepEqual([facts.instanceId, facts.keyProvider, facts.osImageHash], [undefined, undefined, undefined]);
  });

  it('may be hashed as canonical JSON', () => {
    const payload = Buffer.from('ab\u0001"', 'latin1');
    const text = new TextDecoder().decode(preimageAsJson('a "name"', payload));
    assert.equal(text, `{"name":"a \\"name\\"","payload":"61620122","type":${RUNTIME_EVENT_TYPE}}`);
    const second = events().map((entry) => {
      if (entry.imr !== 3) return entry;
      const preimage = preimageAsJson(entry.event, Buffer.from(entry.event_payload, 'hex'));
      return { ...entry, version: 2, digest: hash('sha384', preimage), preimage: hexOf(preimage) };
    });
    const rtmrs = replay(parseEventLog(JSON.stringify(second)));
    assert.notDeepEqual(rtmrs[3], rtmrsAfter(events())[3]);
    const facts = verifyEventLog(JSON.stringify(second), { ...report, rtmrs });
    assert.equal(facts.composeHash, BOOT.composeHash);
    assertRefused(
      second.map((entry) => ({ ...entry, version: 1 })),
      { ...report, rtmrs },
      'EVIDENCE_MALFORMED',
      /preimage/,
    );
  });
});

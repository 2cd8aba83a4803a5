import assert from 'node:assert/strict';
import { fork, type ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { inspect } from 'node:util';
import { serialize } from 'node:v8';
import { Keyring } from '@bitcloak/notes/keys';
import { seedOf } from '@bitcloak/notes/mnemonic';
import { takeLock, writeFileWhole, writeNewFileWhole } from '@bitcloak/wallet/files';
import { createKeyFile, openKeyFile, seal } from '@bitcloak/wallet/keystore';
import { StateFile } from '@bitcloak/wallet/stateFile';
import { Wallet } from '@bitcloak/wallet/wallet';
import { SeededRandom } from '../support/circuit.ts';
import { seededBytes } from '../support/random.ts';

const PHRASE = 'test test test test test test test test test test test junk';
const PASSPHRASE = 'correct horse é';
const CHILD = resolve(import.meta.dirname, '../support/fileChild.ts');

let directory: string;
const children = new Set<ChildProcess>();

function startChild(task: 'write' | 'lock', path: string): Promise<ChildProcess> {
  const child = fork(CHILD, [task, path]);
  children.add(child);
  return new Promise((done, fail) => {
    child.once('message', () => {
      done(child);
    });
    child.once('error', fail);
    child.once('exit', () => {
      children.delete(child);
    });
  });
}

function kill(child: ChildProcess): Promise<void> {
  return new Promise((done) => {
    child.once('exit', () => {
      done();
    });
    child.kill('SIGKILL');
  });
}

function ask(child: ChildProcess, message: 'take' | 'release'): Promise<string> {
  return new Promise((done) => {
    child.once('message', (answer) => {
      done(answer as string);
    });
    child.send(message);
  });
}

before(() => {
  directory = mkdtempSync(join(tmpdir(), 'bitcloak-files-'));
});

after(async () => {
  await Promise.all([...children].map(kill));
  rmSync(directory, { recursive: true, force: true });
});

describe('a file that is written whole', () => {
  const mode = (path: string) => statSync(path).mode & 0o777;

  it('is for its owner alone, in a directory for its owner alone', () => {
    const path = join(directory, 'new', 'deep', 'file');
    writeFileWhole(path, Uint8Array.of(1, 2, 3));
    assert.deepEqual([...readFileSync(path)], [1, 2, 3]);
    assert.equal(mode(path), 0o600);
    assert.equal(mode(join(directory, 'new')), 0o700);
    chmodSync(path, 0o644);
    writeFileWhole(path, Uint8Array.of(4));
    assert.equal(mode(path), 0o600);
    assert.deepEqual(readdirSync(join(directory, 'new', 'deep')), ['file'], 'nothing is left beside it');
  });

  it('is not disturbed by what a killed process of the same number left', () => {
    const path = join(directory, 'disturbed');
    const left = `${path}.${process.pid}.new`;
    writeFileSync(left, 'half a file', { mode: 0o666 });
    writeFileWhole(path, Uint8Array.of(5));
    assert.deepEqual([...readFileSync(path)], [5]);
    assert.equal(mode(path), 0o600);
    assert.equal(existsSync(left), false);
  });

  it('is the old one or the new one when its writer is killed', async () => {
    const random = new SeededRandom('kill while writing');
    for (let round = 0; round < 8; round++) {
      const path = join(directory, `killed${round}`);
      const child = await startChild('write', path);
      await sleep(Number(random.below(60n)));
      await kill(child);
      const bytes = readFileSync(path);
      const hash = createHash('sha256').update(bytes.subarray(32)).digest();
      assert.ok(bytes.length > 100_000 && hash.equals(bytes.subarray(0, 32)), `round ${round}`);
    }
  });

  it('and that must be new replaces none', () => {
    const path = join(directory, 'once');
    writeNewFileWhole(path, Uint8Array.of(1));
    assert.throws(
      () => {
        writeNewFileWhole(path, Uint8Array.of(2));
      },
      { code: 'EEXIST' },
    );
    assert.deepEqual([...readFileSync(path)], [1]);
    assert.deepEqual(
      readdirSync(directory).filter((name) => name.startsWith('once')),
      ['once'],
    );
  });
});

describe("a wallet's lock", () => {
  let path: string;

  beforeEach(() => {
    path = join(directory, 'lock');
    rmSync(path, { force: true });
  });

  const busy = { code: 'WALLET_BUSY', message: new RegExp(`^process ${process.pid} `) };

  it('is held once, and given back once', () => {
    const release = takeLock(path);
    assert.throws(() => takeLock(path), busy);
    release();
    assert.equal(existsSync(path), false);
    const releaseSecond = takeLock(path);
    // A second call would give back what is somebody else's by now.
    release();
    assert.ok(existsSync(path));
    assert.throws(() => takeLock(path), busy);
    releaseSecond();
    assert.deepEqual(
      readdirSync(directory).filter((name) => name.startsWith('lock')),
      [],
    );
  });

  it('of a living process is respected, and of a killed one taken over', async () => {
    const child = await startChild('lock', path);
    assert.equal(await ask(child, 'take'), 'held');
    assert.throws(() => takeLock(path), { code: 'WALLET_BUSY', message: new RegExp(`^process ${child.pid} `) });
    await kill(child);
    takeLock(path)();
  });

  it("that says nothing or nonsense is nobody's", () => {
    for (const content of ['', '\n', 'nonsense', '-1', '0', '99999999999999', '4194305 12\n']) {
      writeFileSync(path, content);
      takeLock(path)();
      assert.equal(existsSync(path), false, JSON.stringify(content));
    }
  });

  it('of an earlier process of the same number is taken over', function () {
    if (process.platform !== 'linux') this.skip();
    writeFileSync(path, `${process.pid} 1\n`);
    takeLock(path)();
  });

  it('left in the middle of a takeover is taken over too', () => {
    writeFileSync(path, '4194305 1\n');
    writeFileSync(`${path}.takeover`, '4194306 1\n');
    takeLock(path)();
    assert.deepEqual(
      readdirSync(directory).filter((name) => name.startsWith('lock')),
      [],
    );
  });

  it('is taken over by one process only, however many find it stale at once', async () => {
    const rivals = await Promise.all([1, 2, 3, 4].map(() => startChild('lock', path)));
    for (let round = 0; round < 150; round++) {
      writeFileSync(path, '4194305 1\n');
      const answers = await Promise.all(rivals.map((rival) => ask(rival, 'take')));
      const held = rivals.filter((_, index) => answers[index] === 'held');
      assert.equal(held.length, 1, `round ${round}: ${answers.join(', ')}`);
      assert.ok(
        answers.every((answer) => answer === 'held' || answer === 'busy'),
        answers.join(', '),
      );
      await Promise.all(held.map((rival) => ask(rival, 'release')));
      assert.equal(existsSync(path), false);
    }
    await Promise.all(rivals.map(kill));
  });
});

describe('the key file', () => {
  let path: string;
  let bytes: Buffer;

  before(async () => {
    path = join(directory, 'keys', 'wallet.json');
    await createKeyFile(path, { mnemonic: `  ${PHRASE.toUpperCase()} ` }, PASSPHRASE);
    bytes = readFileSync(path);
  });

  it('gives back its secret to the passphrase, in any form of its accents', async () => {
    const composed = await openKeyFile(path, PASSPHRASE);
    assert.deepEqual(composed.secret, { mnemonic: PHRASE });
    assert.equal(composed.dataKey.length, 32);
    const decomposed = await openKeyFile(path, PASSPHRASE.normalize('NFD'));
    assert.deepEqual(decomposed, composed);
  });

  it('shows nothing of the secret, and is for its owner alone', () => {
    const text = bytes.toString();
    for (const word of new Set(PHRASE.split(' '))) assert.ok(!text.includes(word));
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.equal(statSync(join(directory, 'keys')).mode & 0o777, 0o700);
  });

  it('is never overwritten, not even a damaged one', async () => {
    const exists = { code: 'WALLET_EXISTS' };
    await assert.rejects(createKeyFile(path, { mnemonic: PHRASE }, 'another one'), exists);
    assert.deepEqual(readFileSync(path), bytes);
    const damaged = join(directory, 'damaged.json');
    writeFileSync(damaged, '');
    await assert.rejects(createKeyFile(damaged, { mnemonic: PHRASE }, 'another one'), exists);
    await assert.rejects(openKeyFile(damaged, 'other'), { code: 'WALLET_CORRUPT' });
    assert.equal(statSync(damaged).size, 0);
  });

  it('made by two at once is that of one of them', async () => {
    const contested = join(directory, 'contested.json');
    const made = await Promise.allSettled(
      ['the first', 'the second'].map((passphrase) => createKeyFile(contested, { mnemonic: PHRASE }, passphrase)),
    );
    const failed = made.flatMap((result) => (result.status === 'rejected' ? [result.reason as { code: string }] : []));
    assert.deepEqual(
      failed.map(({ code }) => code),
      ['WALLET_EXISTS'],
    );
    const winner = made[0]?.status === 'fulfilled' ? 'the first' : 'the second';
    assert.deepEqual((await openKeyFile(contested, winner)).secret, { mnemonic: PHRASE });
  });

  it('with any bit flipped is corrupt, and stays as it is', async () => {
    const damaged = join(directory, 'flipped.json');
    const flipped = Buffer.from(bytes);
    for (let bit = 0; bit < 8 * bytes.length; bit++) {
      const at = bit >> 3;
      flipped[at] = (bytes[at] ?? 0) ^ (1 << (bit & 7));
      writeFileSync(damaged, flipped);
      await assert.rejects(openKeyFile(damaged, PASSPHRASE), { code: 'WALLET_CORRUPT' }, `bit ${bit}`);
      if (bit % 100 === 0) assert.ok(flipped.equals(readFileSync(damaged)));
      flipped[at] = bytes[at] ?? 0;
    }
    writeFileSync(damaged, flipped);
    assert.deepEqual((await openKeyFile(damaged, PASSPHRASE)).secret, { mnemonic: PHRASE });
  });

  it('cut off anywhere is corrupt', async () => {
    const damaged = join(directory, 'cut.json');
    for (let length = 0; length < bytes.length - 1; length++) {
      writeFileSync(damaged, bytes.subarray(0, length));
      await assert.rejects(openKeyFile(damaged, PASSPHRASE), { code: 'WALLET_CORRUPT' }, `${length} bytes`);
    }
  });

  it('of another form is corrupt', async () => {
    const damaged = join(directory, 'form.json');
    const file = JSON.parse(bytes.toString()) as Record<string, string>;
    const forms = [
      null,
      [],
      4,
      'text',
      {},
      { ...file, format: 'bitcloak wallet 2' },
      { ...file, salt: '' },
      { ...file, sealed: 5 },
    ];
    for (const form of forms) {
      writeFileSync(damaged, JSON.stringify(form));
      await assert.rejects(openKeyFile(damaged, PASSPHRASE), { code: 'WALLET_CORRUPT' }, JSON.stringify(form));
    }
  });

  it('tells a wrong passphrase and a forged content from a damaged one', async () => {
    for (const wrong of [PASSPHRASE.toUpperCase(), '']) {
      await assert.rejects(openKeyFile(path, wrong), (error: { code: string }) => {
        return error.code === 'PASSPHRASE_WRONG' && !inspect(error, { depth: 9 }).includes('correct horse');
      });
    }
    // The checksum is no key: whoever forges the content makes it right, and the passphrase still finds it out.
    const { format, salt, nonce, sealed } = JSON.parse(bytes.toString()) as Record<string, string>;
    const forged = { format, salt, nonce, sealed: `${sealed?.slice(0, -1)}${sealed?.endsWith('0') ? '1' : '0'}` };
    const checksum = createHash('sha256').update(Object.values(forged).join('\n')).digest('hex');
    const forgedPath = join(directory, 'forged.json');
    writeFileSync(forgedPath, JSON.stringify({ ...forged, checksum }));
    await assert.rejects(openKeyFile(forgedPath, PASSPHRASE), { code: 'PASSPHRASE_WRONG' });
  });

  it('that is not there is missing', async () => {
    await assert.rejects(openKeyFile(join(directory, 'none.json'), PASSPHRASE), { code: 'WALLET_MISSING' });
  });

  it('is made of what is right only', async () => {
    const none = join(directory, 'unmade', 'wallet.json');
    await assert.rejects(createKeyFile(none, { mnemonic: PHRASE }, ''), { code: 'PASSPHRASE_MISSING' });
    // Seven characters each, however they are written.
    for (const short of ['1234567', '🔑🔑🔑🔑🔑🔑🔑', 'e\u0301'.repeat(7)]) {
      await assert.rejects(createKeyFile(none, { mnemonic: PHRASE }, short), { code: 'PASSPHRASE_SHORT' });
    }
    await assert.rejects(createKeyFile(none, { mnemonic: 'test junk' }, PASSPHRASE), { code: 'MNEMONIC_INVALID' });
    const viewingKey = 'cloakview1';
    await assert.rejects(createKeyFile(none, { viewingKey }, PASSPHRASE), { code: 'VIEWING_KEY_INVALID' });
    assert.equal(existsSync(join(directory, 'unmade')), false);
  });
});

describe('a wallet on the disk', () => {
  it('is found again with its keys, and beside half-written files', async () => {
    const home = join(directory, 'home');
    assert.equal(Wallet.exists(home), false);
    mkdirSync(home);
    // As a kill while the file was written leaves it.
    writeFileSync(join(home, 'wallet.json.4194305.new'), '{ "format": "bitcl');
    assert.equal(Wallet.exists(home), false);
    const made = await Wallet.create(home, { mnemonic: PHRASE }, PASSPHRASE);
    const opened = await Wallet.open(home, PASSPHRASE);
    assert.deepEqual(opened.address, made.address);
    assert.equal(opened.account().address, '0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266');
    assert.equal(opened.account(1).address, '0x70997970C51812dc3A010C7d01b50e0d17dc79C8');
    const shown =
      inspect([made, opened], { depth: 9 }) + JSON.stringify([made, opened], (_, value: unknown) => String(value));
    const { nullifierKey } = new Keyring(seedOf(PHRASE)).viewing.main;
    assert.ok(!shown.includes('junk') && !shown.includes(nullifierKey.toString()));
  });

  it('made from a viewing key sees the same and has nothing that spends', async () => {
    const viewingKey = new Keyring(seedOf(PHRASE)).viewing.export();
    const watcher = await Wallet.create(join(directory, 'watcher'), { viewingKey: ` ${viewingKey}\n` }, PASSPHRASE);
    assert.ok(watcher.watchOnly);
    assert.equal(watcher.exportViewingKey(), viewingKey);
    for (const forbidden of [() => watcher.keyring(), () => watcher.account()]) {
      assert.throws(forbidden, { code: 'WALLET_WATCH_ONLY' });
    }
  });
});

describe('the state file', () => {
  const bytes = seededBytes('state');
  const key = bytes(32);
  const anchor = {
    block: 70,
    hash: '0xabc',
    snapshot: { ledger: { bucketRoots: [5n], pending: [[]] }, notes: [], history: [] },
  };
  let path: string;
  let file: StateFile;

  before(() => {
    path = join(directory, 'state', 'network.bin');
    file = new StateFile(path, key, 'network');
    assert.equal(file.read(), undefined);
    file.write(anchor);
  });

  it('gives back what was written, to the same wallet on the same network', () => {
    assert.deepEqual(file.read(), anchor);
    assert.deepEqual(new StateFile(path, key, 'network').read(), anchor);
    assert.equal(new StateFile(path, bytes(32), 'network').read(), undefined);
    assert.equal(new StateFile(path, key, 'another network').read(), undefined);
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.ok(!readFileSync(path).includes('0xabc'));
  });

  it('counts as none where it is damaged', () => {
    const whole = readFileSync(path);
    for (let bit = 0; bit < 8 * whole.length; bit += 3) {
      const flipped = Buffer.from(whole);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      writeFileSync(path, flipped);
      assert.equal(file.read(), undefined, `bit ${bit}`);
    }
    for (let length = 0; length < whole.length; length++) {
      writeFileSync(path, whole.subarray(0, length));
      assert.equal(file.read(), undefined, `${length} bytes`);
    }
    writeFileSync(path, whole);
    assert.deepEqual(file.read(), anchor);
  });

  it('counts as none where a newer Node wrote it', () => {
    const nonce = bytes(12);
    const serialized = serialize(anchor);
    serialized[1] = 0xff;
    writeFileSync(path, Buffer.concat([nonce, seal(key, nonce, serialized, 'bitcloak state 2 network')]));
    assert.equal(file.read(), undefined);
  });

  it('can be taken away', () => {
    file.write(anchor);
    file.remove();
    assert.equal(file.read(), undefined);
    file.remove();
  });
});

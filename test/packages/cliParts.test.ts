import assert from 'node:assert/strict';
import { lockJson, lockText, waitText } from '@bitcloak/cli/format';
import { lockLines } from '@bitcloak/cli/commands/holdings';
import { hintFor } from '@bitcloak/cli/hints';
import { fields, table } from '@bitcloak/cli/output';
import { parseAccount, parseOperatorId, parseOperatorKey } from '@bitcloak/cli/parse';
import { syncLine } from '@bitcloak/cli/progress';
import { formatDuration, formatTime, parseDuration, parseTime } from '@bitcloak/cli/time';
import { TokenBook } from '@bitcloak/cli/tokens';
import { beyondLines } from '@bitcloak/cli/tradeFormat';
import { SELF_TRADE_WORDS, selfTradeOf } from '@bitcloak/cli/words';
import type { Endpoint } from '@bitcloak/chain/endpoint';
import type { Manifest } from '@bitcloak/chain/manifest';
import { SELF_TRADES } from '@bitcloak/protocol/orders';
import type { NoteStatus } from '@bitcloak/wallet/types';
import { FIELD_MODULUS, NATIVE_ASSET, TIME_MAX } from '@bitcloak/protocol/parameters';

const HOUR = 3600n;
const DAY = 24n * HOUR;

describe('cli: times', () => {
  it('reads durations', () => {
    assert.equal(parseDuration('90s'), 90n);
    assert.equal(parseDuration('30m'), 1800n);
    assert.equal(parseDuration('1d12h'), DAY + 12n * HOUR);
    assert.equal(parseDuration('2w'), 14n * DAY);
    for (const text of ['', '0s', '7', '7 d', '1h1d', '-1d', '1.5h', '99999999999w', '999999999w']) {
      assert.throws(() => parseDuration(text), { code: 'USAGE' }, text);
    }
  });

  it('reads dates in UTC unless they say otherwise', () => {
    const noon = BigInt(Date.UTC(2027, 0, 31, 12)) / 1000n;
    for (const text of ['2027-01-31T12:00Z', '2027-01-31 12:00', '2027-01-31T12:00:00 UTC', '2027-01-31T14:00+02:00']) {
      assert.equal(parseTime(text), noon, text);
    }
    assert.equal(parseTime('2027-01-31'), noon - 12n * HOUR);
    assert.equal(parseTime(noon.toString()), noon);
    for (const text of [
      '',
      '12',
      '2027-02-30',
      '2027-13-01',
      '2027-01-31T24:30',
      '31.01.2027',
      (TIME_MAX + 1n).toString(),
    ]) {
      assert.throws(() => parseTime(text), { code: 'USAGE' }, text);
    }
  });

  it('writes durations in two units and times as dates', () => {
    assert.deepEqual([0n, 40n, 200n, 3600n, DAY + 59n, 6n * DAY + 23n * HOUR, 90n * DAY].map(formatDuration), [
      '0 s',
      '40 s',
      '3 min 20 s',
      '1 h',
      '1 d',
      '6 d 23 h',
      '90 d',
    ]);
    assert.equal(formatTime(1_800_000_000n), '2027-01-15 08:00:00 UTC');
    assert.match(formatTime(TIME_MAX), /UTC$/);
  });
});

describe('cli: what is shown', () => {
  it('aligns tables and fields', () => {
    const columns = [{ title: 'leaf', align: 'right' }, { title: 'status' }, { title: '' }] as const;
    assert.equal(
      table(columns, [
        ['1', 'waiting', 'x'],
        ['10000', 'spent', ''],
      ]),
      ' leaf  status\n    1  waiting  x\n10000  spent',
    );
    assert.equal(
      fields([
        ['a', '1'],
        ['long', '2'],
      ]),
      'a     1\nlong  2',
    );
  });

  it('tells how a bucket stands', () => {
    const open = { bucket: 3, leaves: 3, closed: false, bucketsBefore: 0, closableInSeconds: 40n };
    assert.equal(waitText(open), 'bucket 3, 3 of 64 leaves, closable in 40 s');
    assert.equal(waitText({ ...open, closableInSeconds: 0n }), 'bucket 3, 3 of 64 leaves, closable now');
    assert.equal(waitText({ ...open, closed: true }), 'bucket 3, closed, inserted next');
    assert.equal(waitText({ ...open, closed: true, bucketsBefore: 2 }), 'bucket 3, closed, 2 inserted before it');
  });

  it('tells what a token has in more notes than a fill spends', () => {
    const [eth, dollar] = ['ETH', 'DUSD'].map((symbol, asset) => ({ symbol, asset: BigInt(asset), decimals: 1 }));
    const note = (token: typeof eth, value: bigint, expiry: bigint) => {
      assert.ok(token);
      return { token, value, lock: { operatorId: 1n, expiry } };
    };
    const [two, other] = [[note(eth, 10n, 200n), note(eth, 30n, 200n)], note(dollar, 50n, 200n)];
    const lines = (...more: ReturnType<typeof note>[]) => beyondLines([...two, other, ...more], 90n, 100n);
    assert.deepEqual(lines(), []);
    assert.deepEqual(lines(note(eth, 99n, 190n)), [], 'what is locked for too short a time is not used anyway');
    const [line, ...others] = lines(note(eth, 20n, 191n), note(eth, 5n, 300n));
    assert.match(line ?? '', /^1\.5 ETH are in smaller notes: .*the two largest/);
    assert.deepEqual(others, []);
  });

  it('tells a lock in block time, and the full hour that ends it', () => {
    const lock = { operatorId: 42n, expiry: 1_800_000_001n };
    const id = '0x00000000…002a';
    assert.equal(
      lockText(lock, lock.expiry - DAY),
      `operator ${id} until 2027-01-15 08:00:01 UTC (1 d of block time left, reclaim from 2027-01-15 09:00:00 UTC)`,
    );
    assert.match(lockText(lock, lock.expiry), /\(expired, reclaim from 2027-01-15 09:00:00 UTC\)$/);
    assert.match(lockText(lock, lock.expiry + HOUR), /\(expired\)$/);
    assert.deepEqual(lockJson({ ...lock, expiry: 1_800_000_000n }, 1_799_999_999n), {
      operatorId: `0x${'2a'.padStart(64, '0')}`,
      expiry: 1_800_000_000,
      expiryDate: '2027-01-15T08:00:00Z',
      secondsLeft: 1,
      reclaimableFrom: 1_800_000_000,
    });
  });

  it('shows what is locked together where it ends together, and of many locks the first', () => {
    const token = { symbol: 'ETH', asset: NATIVE_ASSET, decimals: 18 };
    const note = (expiry: bigint, status: NoteStatus = 'locked') => ({
      ...{ token, asset: NATIVE_ASSET, value: 10n ** 18n, status, leaf: 0, block: 1, wait: undefined },
      lock: { operatorId: 42n, expiry },
    });
    const now = 1_800_000_000n;
    const ends = Array.from({ length: 10 }, (_, i) => now + BigInt(10 - i) * DAY);
    const lines = lockLines([...ends, now + DAY].map((end) => note(end)).concat(note(now + HOUR, 'spent')), now);
    assert.equal(lines.length, 9);
    assert.match(lines[0] ?? '', /^2 ETH in 2 notes locked to operator .*\(1 d of block time left/);
    assert.match(lines[1] ?? '', /^1 ETH locked to operator .*\(2 d of block time left/);
    assert.equal(lines[8], 'and 2 locked notes more: bitcloak wallet notes');
    assert.equal(
      lockLines(
        ends.slice(2).map((end) => note(end)),
        now,
      ).length,
      8,
    );
  });

  it('has words of its own for those of the API', () => {
    assert.deepEqual(SELF_TRADE_WORDS, ['cancel-newest', 'cancel-oldest', 'cancel-both', 'decrement']);
    assert.deepEqual(SELF_TRADE_WORDS.map(selfTradeOf), SELF_TRADES);
  });

  it('says who has a wallet that is busy, and what goes on beside it', () => {
    const hint = hintFor('WALLET_BUSY', { command: 'trade order', wallet: undefined }) ?? '';
    for (const word of ['--wallet', 'Ctrl-C', 'kill', 'trade orders, fills']) assert.ok(hint.includes(word), word);
  });

  it('shows a synchronisation with rate and time left', () => {
    const line = syncLine({ from: 1, done: 5_000, target: 20_000 }, 2_000);
    assert.equal(line, 'syncing [#####...............] 5,000 of 20,000 blocks, 2,500 blocks/s, 6 s left');
    assert.match(
      syncLine({ from: 1, done: 0, target: 20_000 }, 2_000),
      / 0 of 20,000 blocks, 0 blocks\/s, unknown left$/,
    );
    assert.match(syncLine({ from: 5, done: 4, target: 4 }, 0), / 0 of 1 blocks/);
  });
});

describe('cli: arguments', () => {
  it('takes accounts with a right checksum or in one case', () => {
    const account = '0x9858EfFD232B4033E47d90003D41EC34EcaEda94';
    for (const text of [account, account.toLowerCase(), `0x${account.slice(2).toUpperCase()}`]) {
      assert.equal(parseAccount(text), BigInt(account));
    }
    for (const text of [
      account.replace('Ef', 'eF'),
      account.slice(0, -1),
      `${account}0`,
      account.slice(2),
      `0x${'0'.repeat(40)}`,
    ]) {
      assert.throws(() => parseAccount(text), { code: 'ADDRESS_INVALID' }, text);
    }
  });

  it('takes field elements as operators, and keys of 32 bytes', () => {
    assert.equal(parseOperatorId('42'), 42n);
    assert.equal(parseOperatorId(`0x${(FIELD_MODULUS - 1n).toString(16)}`), FIELD_MODULUS - 1n);
    for (const text of ['0', '-1', FIELD_MODULUS.toString(), '0x', 'x', '1e3']) {
      assert.throws(() => parseOperatorId(text), { code: 'OPERATOR_ID_INVALID' }, text);
    }
    assert.deepEqual(parseOperatorKey(`0x${'0a'.repeat(32)}`), new Uint8Array(32).fill(10));
    assert.throws(() => parseOperatorKey('0a'.repeat(33)), { code: 'OPERATOR_ID_INVALID' });
  });
});

describe('cli: tokens', () => {
  const FOREIGN = 0x1234567890123456789012345678901234567890n;
  const manifest = {
    tokens: [
      { symbol: 'ETH', asset: NATIVE_ASSET, decimals: 18 },
      { symbol: 'TEST', asset: 5n, decimals: 6 },
      { symbol: 'test', asset: 6n, decimals: 6 },
    ],
  } as unknown as Manifest;
  const word = (value: bigint) => value.toString(16).padStart(64, '0');
  /** An endpoint on which every contract has these decimals and this symbol. */
  const endpointOf = (decimals: string, symbol: string) => async () =>
    ({
      call: async ({ data }: { data: string }) => (data.startsWith('0x313ce567') ? decimals : symbol),
    }) as unknown as Endpoint;
  const nobody = async () => assert.fail('the chain is not asked for a token of the manifest');
  const text = (said: string) => {
    const bytes = Buffer.from(said);
    const padded = Buffer.concat([bytes, Buffer.alloc((32 - (bytes.length % 32)) % 32)]);
    return `0x${word(32n)}${word(BigInt(bytes.length))}${padded.toString('hex')}`;
  };

  it('finds those of the manifest by symbol and by address, in any case that is clear', async () => {
    const tokens = new TokenBook(manifest, nobody);
    assert.equal((await tokens.resolve('eth')).asset, NATIVE_ASSET);
    assert.equal((await tokens.resolve('TEST')).asset, 5n);
    assert.equal((await tokens.resolve(`0x${word(6n).slice(24)}`)).symbol, 'test');
    await assert.rejects(tokens.resolve('Test'), { code: 'ASSET_INVALID' });
    await assert.rejects(tokens.resolve('__proto__'), { code: 'ASSET_INVALID' });
  });

  it('reads others from the chain, which cannot pass for one of the manifest', async () => {
    const tokens = new TokenBook(manifest, endpointOf(`0x${word(8n)}`, text('ETH')));
    const token = await tokens.of(FOREIGN);
    assert.equal(token.decimals, 8);
    assert.match(token.symbol, /^ETH@0x123456…7890$/);
  });

  it('takes no control characters from a contract', async () => {
    const tokens = new TokenBook(manifest, endpointOf(`0x${word(8n)}`, text('\x1b[2JETH')));
    assert.equal((await tokens.of(FOREIGN)).symbol, '0x123456…7890');
  });

  it('shows what has no sane decimals in base units, and does not take it for a payment', async () => {
    for (const decimals of ['0x', `0x${word(37n)}`, `0x${word(2n ** 255n)}`]) {
      const tokens = new TokenBook(manifest, endpointOf(decimals, '0x'));
      assert.equal((await tokens.of(FOREIGN)).decimals, 0);
      await assert.rejects(tokens.resolve(`0x${FOREIGN.toString(16)}`), { code: 'ASSET_INVALID' });
    }
  });
});

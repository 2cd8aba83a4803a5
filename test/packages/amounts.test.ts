import assert from 'node:assert/strict';
import { AMOUNT_MAX } from '@bitcloak/protocol/parameters';
import { checkAmount, formatAmount, parseAmount } from '@bitcloak/protocol/amounts';
import fc from 'fast-check';

const PROPERTY = { seed: 20261124, numRuns: 300 };
const INVALID = { code: 'AMOUNT_INVALID' };
const token = (decimals: number) => ({ symbol: 'COIN', asset: 1n, decimals });

describe('an amount', () => {
  it('is written and read back to the same base units', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 1n, max: AMOUNT_MAX }), fc.integer({ min: 0, max: 36 }), (value, decimals) => {
        const text = formatAmount(value, token(decimals));
        assert.equal(parseAmount(text, token(decimals)), value);
        assert.match(text, /^(0|[1-9]\d*)(\.\d*[1-9])?$/);
      }),
      PROPERTY,
    );
  });

  it("has the token's own decimals", () => {
    const cases: [string, number, bigint][] = [
      ['1', 0, 1n],
      ['1', 18, 10n ** 18n],
      ['1.5', 18, 15n * 10n ** 17n],
      ['0.000001', 6, 1n],
      ['007.10', 6, 7_100_000n],
      ['1329227995784915872903807060280344575', 0, AMOUNT_MAX],
      ['1329227995784915872.903807060280344575', 18, AMOUNT_MAX],
      ['0.000000000000000000000000000000000001', 36, 1n],
    ];
    for (const [text, decimals, value] of cases) assert.equal(parseAmount(text, token(decimals)), value, text);
    assert.equal(formatAmount(0n, token(6)), '0');
    assert.equal(formatAmount(1n, token(6)), '0.000001');
    assert.equal(formatAmount(10n ** 18n, token(18)), '1');
    assert.equal(formatAmount(1_230_000n, token(6)), '1.23');
    assert.equal(formatAmount(120n, token(0)), '120');
  });

  it('is refused where it is no plain positive decimal', () => {
    const wrong = ['', '.', '1.', '.5', '-1', '+1', '1e3', '1E3', '0x10', '1,5', '1_000', '1 000', ' 1', '1 ', '1\n'];
    wrong.push('NaN', 'Infinity', '١', '１', 'all', '1.5.2', '0', '0.0', '00', '9'.repeat(41), '1.'.padEnd(43, '1'));
    for (const text of wrong) assert.throws(() => parseAmount(text, token(18)), INVALID, JSON.stringify(text));
  });

  it('is refused where it is too fine or too much for the token', () => {
    assert.throws(() => parseAmount('0.0000001', token(6)), { ...INVALID, message: /at most 6 digits/ });
    assert.throws(() => parseAmount('1.0', token(0)), INVALID);
    assert.throws(() => parseAmount((AMOUNT_MAX + 1n).toString(), token(0)), { ...INVALID, message: /2\^120/ });
    assert.throws(() => parseAmount('9'.repeat(40), token(36)), INVALID);
  });

  it('is not repeated at any length in the error', () => {
    assert.throws(
      () => parseAmount('x'.repeat(10_000), token(6)),
      ({ message }: Error) => message.length < 200,
    );
  });

  it('in base units is 1 to 2^120 - 1', () => {
    for (const amount of [1n, AMOUNT_MAX]) checkAmount(amount);
    for (const amount of [-1n, 0n, AMOUNT_MAX + 1n]) {
      assert.throws(() => {
        checkAmount(amount);
      }, INVALID);
    }
  });
});

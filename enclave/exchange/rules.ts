import { BASIS_POINTS } from '@bitcloak/protocol/orders';
import {
  AMOUNT_MAX,
  LOCK_SECONDS_MAX,
  SETTLEMENT_FILLS_MAX,
  SETTLEMENT_HORIZON_SECONDS,
  TIME_MAX,
} from '@bitcloak/protocol/parameters';
import type { MarketTerms } from '@bitcloak/trading/market';
import type { ExchangeRules } from './commands.ts';

/** A batch is valid for so long. */
export const BATCH_SECONDS = Number(SETTLEMENT_HORIZON_SECONDS) / 2;

/** Nobody can order anything yet. */
export const RULES_AT_FIRST: ExchangeRules = {
  settleSeconds: BATCH_SECONDS + 1,
  roundSeconds: 1,
  fills: SETTLEMENT_FILLS_MAX,
  orderSecondsMax: 0,
  lockSecondsMax: 0,
  withdrawalFees: [],
  noteMins: [],
  ordersMax: 0,
};

/** Whether times and amounts can be computed with, and what they let in can be settled in time. */
export function areRulesValid(rules: ExchangeRules): boolean {
  const { settleSeconds, roundSeconds, fills, orderSecondsMax, lockSecondsMax, withdrawalFees, noteMins, ordersMax } =
    rules;
  const isTime = (seconds: number) => Number.isSafeInteger(seconds) && seconds >= 1 && seconds <= Number(TIME_MAX) / 4;
  const areTimes = [settleSeconds, roundSeconds, orderSecondsMax, lockSecondsMax].every(isTime);
  // A deposit's keys are kept until its lock ends, and what the registry believes takes longer to change than any lock lasts.
  const isLockBound = lockSecondsMax <= Number(LOCK_SECONDS_MAX);
  const areAmounts = [...withdrawalFees, ...noteMins].every(([, amount]) => amount >= 0n && amount <= AMOUNT_MAX);
  const isSize = Number.isInteger(fills) && fills >= 2 && fills <= SETTLEMENT_FILLS_MAX;
  const isCount = Number.isSafeInteger(ordersMax) && ordersMax > 0;
  // A note is in one fill of a settlement, so the orders that it pays for are settled one after another.
  return areTimes && isLockBound && areAmounts && isSize && isCount && ordersMax <= roundsOf(rules);
}

/** So many signed orders with trades, and as many withdrawals, may wait at most; each settlement takes some of either. */
export function capacityOf(rules: ExchangeRules): number {
  return roundsOf(rules) * rules.fills;
}

/** Settlements that come, one after another, in the time that a match has. */
function roundsOf({ settleSeconds, roundSeconds }: ExchangeRules): number {
  return Math.floor((settleSeconds - BATCH_SECONDS) / roundSeconds);
}

/** Whether amounts can be computed with, and a batch of trades leaves nothing but fees. */
export function areTermsValid(terms: MarketTerms, number: number): boolean {
  const { market, base, quote, lotBase, tickQuote, makerFee, takerFee } = terms;
  const isFee = (fee: number) => Number.isSafeInteger(fee) && fee >= 0 && fee <= BASIS_POINTS;
  const areAmounts = lotBase > 0n && tickQuote > 0n && lotBase <= AMOUNT_MAX && tickQuote <= AMOUNT_MAX;
  return market === number && base !== quote && areAmounts && isFee(makerFee) && isFee(takerFee);
}

import { SELF_TRADES, type Reason, type SelfTrade } from '@bitcloak/protocol/orders';

/** A word of the API as the command line has it: cancel-newest for cancelNewest. */
export function typedWord(word: string): string {
  return word.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

export const SELF_TRADE_WORDS: readonly string[] = SELF_TRADES.map(typedWord);

/** @param typed one of SELF_TRADE_WORDS. */
export function selfTradeOf(typed: string): SelfTrade {
  return SELF_TRADES[SELF_TRADE_WORDS.indexOf(typed)] as SelfTrade;
}

const REASON_WORDS: Readonly<Record<Reason, string>> = {
  requested: 'this account asked for it',
  expired: 'its time ran out',
  immediate: 'there was nothing to trade with at its price',
  minimum: 'there was less to trade with than it wants at once',
  selfTrade: 'it met an order of your own',
  funds: 'its notes went away, or will be gone too soon',
  takenBack: 'it is taken back on the chain',
  unsettleable: 'nothing of it can be settled',
  fillsMax: 'it has as many fills as are looked after',
  matchesMax: 'it met as many others at once as one order may',
};

/** Why an order was cancelled, for people. */
export function reasonText(reason: Reason | undefined): string {
  return reason === undefined ? 'no reason given' : REASON_WORDS[reason];
}

/** What is kept of some kinds, of all owners together. */
export type ExchangeLimits = {
  /** Signed orders to trade that are open or unsettled. */
  readonly tickets: number;
  /** Matches that wait to be settled, and as many withdrawals. An order that is let in, or a reference, may bring as many more as may meet by it. */
  readonly matches: number;
  /** Signed orders that are remembered until they expire. */
  readonly remembered: number;
  /** Records of orders, fills and withdrawals. */
  readonly records: number;
  readonly reports: number;
};

/** With all of it at its largest a state takes 740 MB, of the 1 GiB that a snapshot may have: notes and owners, which cost gas, have the rest. */
export const EXCHANGE_LIMITS: ExchangeLimits = {
  tickets: 100_000,
  matches: 20_000,
  remembered: 1_000_000,
  records: 700_000,
  reports: 200_000,
};

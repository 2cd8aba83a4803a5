/** As a query has them: the number that a page begins after, and how many records it has at most. */
export type PageQuery = { readonly after?: string; readonly limit?: string };

/** Records in one reply where it is not said how many. */
const AT_ONCE = 100;

/** @param records the oldest first, and so is the page. */
export function pageOf<R extends { readonly id: number }>(records: readonly R[], { after, limit }: PageQuery): R[] {
  const [last, count] = [Number(after ?? 0), Number(limit ?? AT_ONCE)];
  return records.filter(({ id }) => id > last).slice(0, count);
}

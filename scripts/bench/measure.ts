/** What some work took: the clock on the wall, and the time that all threads of this process computed. */
export type Cost = { readonly wallMs: number; readonly cpuMs: number };

export function startCost(): () => Cost {
  const [wall, cpu] = [performance.now(), process.cpuUsage()];
  return () => {
    const { user, system } = process.cpuUsage(cpu);
    return { wallMs: performance.now() - wall, cpuMs: (user + system) / 1000 };
  };
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((left, right) => left - right);
  const middle = sorted.length / 2;
  const [low, high] = [sorted[Math.ceil(middle) - 1], sorted[Math.floor(middle)]];
  if (low === undefined || high === undefined) throw new RangeError('there is no median of nothing');
  return (low + high) / 2;
}

export function medianCost(costs: readonly Cost[]): Cost {
  return { wallMs: median(costs.map(({ wallMs }) => wallMs)), cpuMs: median(costs.map(({ cpuMs }) => cpuMs)) };
}

/** Rounds what is written down to four digits: what follows them is noise. */
export function rounded(value: number): number {
  return Number(value.toPrecision(4));
}

/** `value` with separators, such as 12,345. */
export function grouped(value: number): string {
  return value.toLocaleString('en', { maximumFractionDigits: 0 });
}

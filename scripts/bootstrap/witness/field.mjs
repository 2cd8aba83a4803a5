/**
 * @param {bigint} value
 * @param {bigint} modulus
 */
export function reduce(value, modulus) {
  const rest = value % modulus;
  return rest < 0n ? rest + modulus : rest;
}

/**
 * 1/value, where value is not 0.
 * @param {bigint} value
 * @param {bigint} modulus
 */
export function invert(value, modulus) {
  let [high, low, atHigh, atLow] = [modulus, reduce(value, modulus), 0n, 1n];
  while (low !== 0n) [high, low, atHigh, atLow] = [low, high % low, atLow, atHigh - (high / low) * atLow];
  return reduce(atHigh, modulus);
}

import { isError, type Signer, type TransactionRequest, type TransactionResponse } from 'ethers';
import { gasLimitFor } from './gas.ts';
import { PERCENT_MAX, RAISE } from './offer.ts';

/**
 * Sends a call in the place of whatever the signer's account has waiting. One that paid too little would keep all later ones waiting, and nobody else
 * sends from that account. Each time that it has to be sent again it pays an eighth more.
 *
 * Throws what ethers does; `REPLACEMENT_UNDERPRICED` where what waits pays more than four times what the chain asks.
 */
export async function sendReplacing(signer: Signer, call: TransactionRequest): Promise<TransactionResponse> {
  const { provider } = signer;
  if (provider === null) throw new Error('the signer has no endpoint');
  const [nonce, estimate, asked] = await Promise.all([
    signer.getNonce('latest'),
    signer.estimateGas(call),
    provider.getFeeData(),
  ]);
  const gasLimit = gasLimitFor(estimate);
  for (let percent = 100n; ; percent = (percent * RAISE.times) / RAISE.over) {
    const raised = (fee: bigint) => (fee * percent) / 100n;
    const { gasPrice, maxFeePerGas, maxPriorityFeePerGas } = asked;
    const fees =
      maxFeePerGas === null || maxPriorityFeePerGas === null
        ? { gasPrice: raised(gasPrice ?? 0n) }
        : { maxFeePerGas: raised(maxFeePerGas), maxPriorityFeePerGas: raised(maxPriorityFeePerGas) };
    try {
      return await signer.sendTransaction({ ...call, nonce, gasLimit, ...fees });
    } catch (error) {
      if (!isError(error, 'REPLACEMENT_UNDERPRICED') || percent > PERCENT_MAX) throw error;
    }
  }
}

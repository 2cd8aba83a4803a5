/** A quote as the platform gives it, with what its RTMRs were made of where the platform knows. */
export type Quoted = {
  readonly quote: Uint8Array;
  /** JSON text of the event log; undefined where there is none. */
  readonly eventLog: string | undefined;
};

/** Bytes that an enclave has quoted: what fits into the report data of a TDX report. */
export const REPORT_DATA_BYTES = 64;

/** What an enclave has from the machine that it runs on. */
export interface TeeProvider {
  /**
   * 32 bytes that nobody outside has.
   *
   * @param path names the key: another path gives a key that tells nothing of this one.
   */
  key(path: string): Promise<Uint8Array>;
  /** @param reportData 64 bytes. */
  quote(reportData: Uint8Array): Promise<Quoted>;
}

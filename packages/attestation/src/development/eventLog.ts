import { sha384 } from '@noble/hashes/sha2.js';
import { bytesOfHex, concat, hexOf } from '../bytes.ts';
import { preimageAsBytes, replay, RUNTIME_EVENT_TYPE } from '../eventLog.ts';

/** What a simulated machine says that it booted. Hex. */
export type DevelopmentBoot = {
  /** 20 bytes. */
  readonly appId: string;
  /** 32 bytes. */
  readonly composeHash: string;
  /** 20 bytes. */
  readonly instanceId: string;
  /** 32 bytes. */
  readonly osImageHash: string;
  readonly keyProvider: string;
};

/** One event as dstack writes it. */
export type WrittenEvent = {
  readonly imr: number;
  readonly event_type: number;
  readonly digest: string;
  readonly event: string;
  readonly event_payload: string;
};

/** An event of RTMR3. */
export function runtimeEvent(name: string, payload: Uint8Array): WrittenEvent {
  const digest = hexOf(sha384(preimageAsBytes(name, payload)));
  return { imr: 3, event_type: RUNTIME_EVENT_TYPE, digest, event: name, event_payload: hexOf(payload) };
}

/** The events of a boot, with the digests of an imagined firmware and kernel. */
export function developmentEvents(boot: DevelopmentBoot): WrittenEvent[] {
  const text = (value: string) => new TextEncoder().encode(value);
  const measured = ['firmware', 'kernel', 'command line'].map((name, imr) => ({
    imr,
    event_type: 4,
    digest: hexOf(sha384(text(`bitcloak development ${name}`))),
    event: '',
    event_payload: '',
  }));
  const none = new Uint8Array(0);
  return [
    ...measured,
    runtimeEvent('system-preparing', none),
    runtimeEvent('app-id', bytesOfHex(boot.appId, 'appId', 20)),
    runtimeEvent('compose-hash', bytesOfHex(boot.composeHash, 'composeHash', 32)),
    runtimeEvent('instance-id', bytesOfHex(boot.instanceId, 'instanceId', 20)),
    runtimeEvent('boot-mr-done', none),
    runtimeEvent('os-image-hash', bytesOfHex(boot.osImageHash, 'osImageHash', 32)),
    runtimeEvent('key-provider', text(boot.keyProvider)),
    runtimeEvent('system-ready', none),
  ];
}

/** The registers after these events. */
export function rtmrsAfter(events: readonly WrittenEvent[]): [Uint8Array, Uint8Array, Uint8Array, Uint8Array] {
  return replay(
    events.map(({ imr, event_type: type, digest, event: name, event_payload: payload }) => ({
      rtmr: imr,
      type,
      name,
      digest: bytesOfHex(digest, 'digest', 48),
      payload: bytesOfHex(payload, 'payload'),
    })),
  );
}

/** MRCONFIGID of a machine that was started with this compose file. */
export function configIdOf(composeHash: string): Uint8Array {
  return concat(Uint8Array.of(1), bytesOfHex(composeHash, 'composeHash', 32), new Uint8Array(15));
}

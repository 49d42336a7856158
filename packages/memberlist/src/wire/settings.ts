/**
 * settings.ts: what a member decides once about everything it writes and reads.
 *
 * Lives here: the settings shared by packets and streams, and what follows from them (which key, which version, how many
 * bytes they add). Must not live here: the layers themselves. memberlist config.go, security.go.
 */
import { type EncryptionVersion, encryptOverheadBytes } from './encrypt.ts';
import type { AesKey, Keyring } from './keyring.ts';
import { labelBytesOf, labelOverheadBytes } from './label.ts';

export interface WireOptions {
  /** Absent or empty: nothing is encrypted. May change while in use. */
  readonly keyring?: Keyring | undefined;
  /** At most 255 bytes; absent or '': none. */
  readonly label?: string | undefined;
  /** Refuse what is not encrypted, once there are keys. Default true. */
  readonly verifyIncoming?: boolean | undefined;
  /** Encrypt what we send, once there are keys. Default true. */
  readonly verifyOutgoing?: boolean | undefined;
  /** Something in front of us removes label headers: one that still arrives is refused. Default false. */
  readonly skipInboundLabelCheck?: boolean | undefined;
  /** Default true. */
  readonly compress?: boolean | undefined;
  /** The protocol version we speak; 1 means encryption version 0. Default 2. */
  readonly protocolVersion?: number | undefined;
  /** Unguessable, for nonces; called with 12. */
  readonly randomBytes: (n: number) => Uint8Array;
}

export class WireSettings {
  readonly labelBytes: Uint8Array;
  readonly labelOverhead: number;
  readonly verifyIncoming: boolean;
  readonly verifyOutgoing: boolean;
  readonly skipInboundLabelCheck: boolean;
  readonly compress: boolean;
  readonly encryptionVersion: EncryptionVersion;
  readonly randomBytes: (n: number) => Uint8Array;
  readonly #keyring: Keyring | undefined;

  /** @throws WireUsageError label_too_long */
  constructor(o: WireOptions) {
    this.labelBytes = labelBytesOf(o.label ?? '');
    this.labelOverhead = labelOverheadBytes(this.labelBytes);
    this.verifyIncoming = o.verifyIncoming ?? true;
    this.verifyOutgoing = o.verifyOutgoing ?? true;
    this.skipInboundLabelCheck = o.skipInboundLabelCheck ?? false;
    this.compress = o.compress ?? true;
    this.encryptionVersion = o.protocolVersion === 1 ? 0 : 1;
    this.randomBytes = o.randomBytes;
    this.#keyring = o.keyring;
  }

  /** Primary first; empty while encryption is off. */
  get keys(): readonly AesKey[] {
    return this.#keyring?.ring ?? [];
  }

  /** The key that what we send is encrypted with, if it is. */
  get outgoingKey(): AesKey | undefined {
    return this.verifyOutgoing ? this.keys[0] : undefined;
  }

  /** Bytes the encryption in use may add to a packet. */
  get encryptOverhead(): number {
    return encryptOverheadBytes(this.encryptionVersion);
  }
}

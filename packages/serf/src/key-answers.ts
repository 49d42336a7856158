/**
 * key-answers.ts: does what a key query asks, keeps the ring's file in step, and says how it went.
 *
 * serf internal_query.go. Lives here: ring, file, then answer. Must not live here: what each operation does (core/keys.ts).
 */
import { answerKeyQuery, fitKeyList, type KeyOperation, type Ring } from './core/keys.ts';
import { writeKeyringFile } from './keyring-file.ts';
import { encodeMessage } from './wire/encode.ts';

/** The payload of the answer; undefined when not even an empty key list fits. */
export async function answerKeys(o: {
  readonly operation: KeyOperation;
  readonly payload: Uint8Array;
  readonly ring: Ring | undefined;
  readonly keyringPath: string | undefined;
  /** What an answer with this payload takes on the wire, and may take. */
  readonly sizeOf: (payload: Uint8Array) => number;
  readonly bytesMax: number;
}): Promise<Uint8Array | undefined> {
  const { answer, changed } = answerKeyQuery(o.operation, o.payload, o.ring);
  if (o.operation === 'list-keys') return fitKeyList(answer, o.sizeOf, o.bytesMax);
  if (changed && o.ring !== undefined && o.keyringPath !== undefined)
    try {
      await writeKeyringFile(o.keyringPath, o.ring.keys());
    } catch (cause) {
      const message = `the key was changed in memory, the keyring file was not written: ${String(cause)}`;
      return encodeMessage({ ...answer, result: false, message });
    }
  return encodeMessage(answer);
}

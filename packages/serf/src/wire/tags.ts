/**
 * tags.ts: a member's tags inside its memberlist meta: the byte ff, then a msgpack map of text to text.
 *
 * Meta without the ff is from the days of one single tag: it is the role. serf serf.go, `encodeTags`, `decodeTags`.
 * Keys are written sorted (I4), so that equal tags are equal bytes: peers compare meta bytewise and would report updates.
 * Lives here: tags to meta and back. Must not live here: when tags change (serf.ts).
 */
import { Reader, Writer } from '@fed/msgpack';
import { SerfError } from '../errors.ts';
import { readTags } from './decode.ts';

export type Tags = Readonly<Record<string, string>>;

/** memberlist's limit on meta, the ff included. */
export const metaBytesMax = 512;

const tagMagic = 0xff;
/** Serf protocol below which there is only a role. */
const tagsSince = 3;

/** Throws SerfError 'tags_too_large'. */
export function encodeTags(tags: Tags, protocolVersion: number): Uint8Array {
  const meta = protocolVersion < tagsSince ? Buffer.from(tags['role'] ?? '') : encodeMap(tags);
  if (meta.length > metaBytesMax)
    throw new SerfError(
      'tags_too_large',
      `the tags take ${meta.length} bytes of the ${metaBytesMax} there are: shorten or drop some`,
    );
  return meta;
}

/** Never throws: what cannot be read is no tags. */
export function decodeTags(meta: Uint8Array): Tags {
  const tags = Object.create(null) as Record<string, string>;
  if (meta[0] !== tagMagic) {
    tags['role'] = Buffer.from(meta.buffer, meta.byteOffset, meta.length).toString();
    return tags;
  }
  try {
    return readTags(new Reader(meta, 1)) ?? tags;
  } catch {
    return tags;
  }
}

function encodeMap(tags: Tags): Uint8Array {
  const names = Object.keys(tags).sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  const w = new Writer(metaBytesMax).u8(tagMagic).map(names.length);
  for (const name of names) w.str(name).str(tags[name] ?? '');
  return w.take();
}

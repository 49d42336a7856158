/**
 * tar.ts: the few pages of the tar format that a snapshot archive needs: plain files, one after another.
 *
 * Source: POSIX.1-1988 ustar; what Go's archive/tar reads and writes.
 */

const blockBytes = 512;

export interface TarFile {
  readonly name: string;
  readonly bytes: Uint8Array;
}

export class TarError extends Error {
  override readonly name = 'TarError';
  readonly code = 'bad_tar';
}

export function writeTar(files: readonly TarFile[], unixSeconds: number): Buffer {
  const parts: Uint8Array[] = [];
  for (const { name, bytes } of files) {
    parts.push(header(name, bytes.length, unixSeconds), bytes);
    const rest = bytes.length % blockBytes;
    if (rest > 0) parts.push(Buffer.alloc(blockBytes - rest));
  }
  parts.push(Buffer.alloc(2 * blockBytes));
  return Buffer.concat(parts);
}

/** Throws TarError. Files are views into `archive`. */
export function readTar(archive: Buffer): readonly TarFile[] {
  const files: TarFile[] = [];
  for (let at = 0; ; ) {
    if (at + blockBytes > archive.length) throw new TarError('unexpected EOF');
    const head = archive.subarray(at, at + blockBytes);
    if (head.every((byte) => byte === 0)) return files;
    const size = octal(head, 124, 12);
    if (octal(head, 148, 8) !== checksum(head)) throw new TarError('invalid tar header');
    if (at + blockBytes + size > archive.length) throw new TarError('unexpected EOF');
    const bytes = archive.subarray(at + blockBytes, at + blockBytes + size);
    const type = head[156];
    // What is neither a plain file nor one in the old notation (an extended header, a folder) holds nothing for us.
    if (type === 0x30 || type === 0) files.push({ name: text(head, 0, 100), bytes });
    at += blockBytes + Math.ceil(size / blockBytes) * blockBytes;
  }
}

function header(name: string, size: number, unixSeconds: number): Buffer {
  const head = Buffer.alloc(blockBytes);
  head.write(name, 0, 100, 'latin1');
  const put = (value: number, at: number, digits: number): void =>
    void head.write(`${value.toString(8).padStart(digits, '0')}\0`, at, 'latin1');
  put(0o600, 100, 7);
  put(0, 108, 7);
  put(0, 116, 7);
  put(size, 124, 11);
  put(unixSeconds, 136, 11);
  head.write('0', 156, 'latin1');
  head.write('ustar\x0000', 257, 'latin1');
  head.write(`${checksum(head).toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return head;
}

/** The sum of all bytes, with blanks where the sum itself stands. */
function checksum(head: Buffer): number {
  let sum = 0;
  for (let at = 0; at < blockBytes; at++) sum += at >= 148 && at < 156 ? 0x20 : (head[at] as number);
  return sum;
}

function octal(head: Buffer, at: number, length: number): number {
  const digits = text(head, at, length).trim();
  if (!/^[0-7]+$/.test(digits)) throw new TarError('invalid tar header');
  return Number.parseInt(digits, 8);
}

function text(head: Buffer, at: number, length: number): string {
  const field = head.subarray(at, at + length);
  const end = field.indexOf(0);
  return field.subarray(0, end < 0 ? length : end).toString('latin1');
}

/**
 * memory-files.ts: files that exist in a test only.
 *
 * Lives here: a TlsFiles over a Map, failing as node:fs does. Must not live here: what a test asserts.
 */
import type { TlsFiles } from '../src/ports.ts';

export class MemoryFiles implements TlsFiles {
  readonly texts: Map<string, string> = new Map();
  readonly modes: Map<string, number> = new Map();

  exists(path: string): boolean {
    return this.texts.has(path);
  }

  read(path: string): string {
    const text = this.texts.get(path);
    if (text === undefined) throw Object.assign(new Error(`ENOENT: ${path}`), { code: 'ENOENT' });
    return text;
  }

  write(path: string, text: string, mode: number): void {
    if (this.texts.has(path)) throw Object.assign(new Error(`EEXIST: ${path}`), { code: 'EEXIST' });
    this.texts.set(path, text);
    this.modes.set(path, mode);
  }
}

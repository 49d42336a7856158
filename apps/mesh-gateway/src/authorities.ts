/**
 * authorities.ts: whose certificates the xDS server may show: a file, or all files of a folder.
 *
 * Lives here: reading and checking them, at the start and again when told. Must not live here: connections.
 */
import { X509Certificate } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type GatewayConfig, UsageError } from './config.ts';

/** PEM, all of them; undefined if none are named. Throws a UsageError for what cannot be used. */
export function readAuthorities(c: Pick<GatewayConfig, 'grpcCaFile' | 'grpcCaPath'>): string | undefined {
  const texts = [
    ...(c.grpcCaFile === undefined ? [] : [read('grpc-ca-file', c.grpcCaFile)]),
    ...(c.grpcCaPath === undefined ? [] : filesOf(c.grpcCaPath).map((path) => read('grpc-ca-path', path))),
  ];
  return texts.length === 0 ? undefined : texts.join('\n');
}

/** What is read is what the next stream is opened with. */
export class Authorities {
  readonly #files: Parameters<typeof readAuthorities>[0];
  #pem: string | undefined;

  /** Throws a UsageError. */
  constructor(files: Parameters<typeof readAuthorities>[0]) {
    this.#files = files;
    this.#pem = readAuthorities(files);
  }

  get pem(): string | undefined {
    return this.#pem;
  }

  /** Throws a UsageError, and then those that were known stay. */
  readAgain(): void {
    this.#pem = readAuthorities(this.#files);
  }
}

function filesOf(folder: string): readonly string[] {
  try {
    const files = readdirSync(folder, { withFileTypes: true }).filter((entry) => !entry.isDirectory());
    if (files.length > 0) return files.map((entry) => join(folder, entry.name)).sort();
  } catch (cause) {
    throw unusable('grpc-ca-path', `${folder}: ${(cause as Error).message}`);
  }
  throw unusable('grpc-ca-path', `${folder} holds no files: put the authority's certificate there, as PEM`);
}

function read(flag: string, path: string): string {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw unusable(flag, (cause as Error).message);
  }
  try {
    new X509Certificate(text);
  } catch {
    throw unusable(flag, `${path} is no certificate in PEM`);
  }
  return text;
}

const unusable = (flag: string, detail: string): UsageError => new UsageError('ca_unusable', flag, detail);

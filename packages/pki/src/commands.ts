/**
 * commands.ts: `tls ca create` and `tls cert create`, all but the parsing of flags.
 *
 * Lives here: the order of checks, and every line they print. Must not live here: the process, certificates.
 * Sources: Consul command/tls/ca/create/tls_ca_create.go, command/tls/cert/create/tls_cert_create.go.
 */
import { SniError } from '@fed/alpn-mux';
import { type CaOptions, type CertificateKind, createCa, createCertificate } from './create.ts';
import { PkiError } from './errors.ts';
import { caFileNames, certificateFileNames } from './file-names.ts';
import type { Maker, TlsFiles } from './ports.ts';
import { systemFiles, systemMaker } from './system.ts';

export type CaCreateFlags = CaOptions;

export interface CertCreateFlags {
  readonly server?: boolean;
  readonly client?: boolean;
  readonly cli?: boolean;
  readonly node?: string;
  readonly dc?: string;
  readonly domain?: string;
  readonly days?: number;
  /** Paths; "#DOMAIN#" stands for the domain. */
  readonly ca?: string;
  readonly key?: string;
  readonly additionalDnsNames?: readonly string[];
  readonly additionalIpAddresses?: readonly string[];
}

/** Lines without their ends. */
export interface CommandOutcome {
  readonly stdout: readonly string[];
  readonly stderr: readonly string[];
  readonly exitCode: number;
}

/** Anybody may read a certificate, as far as the umask allows. */
const certificateMode = 0o666;
const keyMode = 0o600;

const serverWarning = [
  '==> WARNING: Server Certificates grants authority to become a',
  '    server and access all state in the cluster including root keys',
  '    and all ACL tokens. Do not distribute them to production hosts',
  '    that are not server nodes. Store them as securely as CA keys.',
];

export async function caCreate(
  flags: CaCreateFlags = {},
  files: TlsFiles = systemFiles,
  maker: Maker = systemMaker,
): Promise<CommandOutcome> {
  const stdout: string[] = [];
  return await reported(stdout, async () => {
    const names = caFileNames(flags.domain ?? 'consul');
    for (const name of [names.certificate, names.key])
      if (files.exists(name)) throw new Refusal(`${name} already exists.`);
    const ca = await createCa(flags, maker);
    save(files, stdout, names.certificate, ca.certificate, certificateMode);
    save(files, stdout, names.key, ca.key, keyMode);
  });
}

export async function certCreate(
  flags: CertCreateFlags,
  files: TlsFiles = systemFiles,
  maker: Maker = systemMaker,
): Promise<CommandOutcome> {
  const stdout: string[] = [];
  return await reported(stdout, async () => {
    const domain = flags.domain ?? 'consul';
    const datacenter = flags.dc ?? 'dc1';
    const caFlag = flags.ca ?? '#DOMAIN#-agent-ca.pem';
    const keyFlag = flags.key ?? '#DOMAIN#-agent-ca-key.pem';
    if (caFlag === '') throw new Refusal('Please provide the ca');
    if (keyFlag === '') throw new Refusal('Please provide the key');
    const kind = kindOf(flags);
    if ((flags.node ?? '') !== '' && kind !== 'server') throw new Refusal('-node requires -server');
    const names = certificateFileNames({ kind, datacenter, domain }, (path) => files.exists(path));
    if (names === undefined) throw new Refusal("Could not find a filename that doesn't already exist");
    const caFile = caFlag.replace('#DOMAIN#', domain);
    const keyFile = keyFlag.replace('#DOMAIN#', domain);
    const ca = {
      certificate: readOr(files, caFile, 'Error reading CA'),
      key: readOr(files, keyFile, 'Error reading CA key'),
    };
    if (kind === 'server') stdout.push(...serverWarning);
    stdout.push(`==> Using ${caFile} and ${keyFile}`);
    const created = await createCertificate({ ...flags, kind, datacenter, domain }, ca, maker);
    save(files, stdout, names.certificate, created.certificate, certificateMode);
    save(files, stdout, names.key, created.key, keyMode);
  });
}

/** The command stops here, with this text. */
class Refusal extends Error {
  override readonly name = 'Refusal';
}

async function reported(stdout: readonly string[], run: () => Promise<void>): Promise<CommandOutcome> {
  try {
    await run();
    return { stdout, stderr: [], exitCode: 0 };
  } catch (error) {
    if (error instanceof Refusal || error instanceof PkiError || error instanceof SniError)
      return { stdout, stderr: [error.message], exitCode: 1 };
    throw error;
  }
}

function kindOf(flags: CertCreateFlags): CertificateKind {
  const chosen = (['server', 'client', 'cli'] as const).filter((kind) => flags[kind] === true);
  if (chosen.length !== 1) throw new Refusal('Please provide either -server, -client, or -cli');
  return chosen[0]!;
}

function readOr(files: TlsFiles, path: string, what: string): string {
  try {
    return files.read(path);
  } catch (error) {
    throw new Refusal(`${what}: ${goText('open', path, error)}`, { cause: error });
  }
}

function save(files: TlsFiles, stdout: string[], path: string, text: string, mode: number): void {
  try {
    files.write(path, text, mode);
  } catch (error) {
    throw new Refusal(goText('open', path, error), { cause: error });
  }
  stdout.push(`==> Saved ${path}`);
}

/** How Go words the failure of a system call. */
function goText(call: string, path: string, error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  switch (code) {
    case 'ENOENT':
      return `${call} ${path}: no such file or directory`;
    case 'EACCES':
      return `${call} ${path}: permission denied`;
    case 'EISDIR':
      return `read ${path}: is a directory`;
    case 'EEXIST':
      return `${call} ${path}: file exists`;
    default:
      return `${call} ${path}: ${message}`;
  }
}

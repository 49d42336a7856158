/** What `consul tls` was recorded making and saying, made and said again. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import {
  type CaCreateFlags,
  type CertCreateFlags,
  type CommandOutcome,
  caCreate,
  certCreate,
  createCa,
  createCertificate,
  type Maker,
} from '../src/index.ts';
import { MemoryFiles } from './memory-files.ts';

interface RecordedCertificate {
  readonly command: string;
  readonly file: string;
  readonly pem: string;
  readonly keyPem: string;
  readonly serialHex: string;
  readonly validityDays: number;
  readonly sha256OfSpkiDer: string;
  readonly extensions: Record<string, { value: string } | null> & { nameConstraints: string[] | null };
}
interface Recorded {
  readonly certificates: readonly RecordedCertificate[];
  readonly sanOrder: readonly {
    readonly from: string;
    readonly subjectAltName: { readonly value: string };
  }[];
  readonly cliRuns: readonly {
    readonly args: string;
    readonly exit: number;
    readonly stdout: string;
    readonly stderr: string;
  }[];
}
const recorded: Recorded = JSON.parse(readFileSync(new URL('vectors/tls-cli.json', import.meta.url), 'utf8'));
const recordedCa = recorded.certificates[0]!;

describe('certificates, byte for byte but for the signature', () => {
  for (const original of recorded.certificates)
    test(`${original.command} (${original.file})`, async () => {
      const maker = makerOf(original);
      const { pem, key } = await remade(original.command, maker);
      expect(key).toBe(original.keyPem);
      expect(signedPart(pem)).toBe(signedPart(original.pem));
      const authority = new X509Certificate(
        original.command.startsWith('tls ca') ? original.pem : recordedCa.pem,
      );
      expect(new X509Certificate(pem).verify(authority.publicKey)).toBe(true);
    });

  test('the recorded key ids are the SHA-256 of the public key, in ours as well', async () => {
    for (const original of recorded.certificates) {
      const { pem } = await remade(original.command, makerOf(original));
      const bytes = original.sha256OfSpkiDer.replaceAll(':', '').toLowerCase();
      expect(new X509Certificate(pem).raw.toString('hex')).toContain(`0420${bytes}`);
    }
  });
});

describe('names, in order', () => {
  for (const { from, subjectAltName } of recorded.sanOrder)
    test(from, async () => {
      const { pem } = await remade(`tls ${from}`, fresh);
      expect(new X509Certificate(pem).subjectAltName).toBe(subjectAltName.value);
    });
});

/** Runs that only the parser of flags can answer: it is the command line's, not this package's. */
const ofTheFlagParser = /-bogus/;

describe('command line', () => {
  const files = new MemoryFiles();
  for (const [index, run] of recorded.cliRuns.entries()) {
    if (ofTheFlagParser.test(run.args)) continue;
    test(`run ${index + 1}: ${run.args} exits ${run.exit}`, async () => {
      const outcome = await command(run.args, files);
      expect(printed(outcome.stdout)).toBe(run.stdout);
      expect(printed(outcome.stderr)).toBe(run.stderr);
      expect(outcome.exitCode).toBe(run.exit);
    });
  }

  test('keys are for their owner only', () => {
    expect([...files.modes].filter(([path]) => path.endsWith('-key.pem')).map(([, mode]) => mode)).toEqual(
      Array(5).fill(0o600),
    );
  });
});

/** Draws the recorded numbers again: the serial (16 bytes) and the private key (32 bytes). */
function makerOf(original: RecordedCertificate): Maker {
  const serial = Buffer.from(original.serialHex.padStart(32, '0'), 'hex');
  const scalar = Buffer.from(
    String(createPrivateKey(original.keyPem).export({ format: 'jwk' }).d),
    'base64url',
  );
  const now = new X509Certificate(original.pem).validFromDate.getTime();
  return { randomBytes: (size) => (size === 16 ? serial : scalar), now: () => now };
}

const fresh: Maker = {
  randomBytes: (size) => crypto.getRandomValues(new Uint8Array(size)),
  now: () => new X509Certificate(recordedCa.pem).validFromDate.getTime() + 1_000,
};

async function remade(line: string, maker: Maker): Promise<{ pem: string; key: string }> {
  const flags = parsed(line);
  const created = line.startsWith('tls ca')
    ? await createCa(caFlags(flags), maker)
    : await createCertificate(
        {
          ...certFlags(flags),
          kind: (['server', 'client', 'cli'] as const).find((kind) => flags.has(kind))!,
          datacenter: flags.get('dc')?.[0] ?? 'dc1',
        },
        { certificate: recordedCa.pem, key: recordedCa.keyPem },
        maker,
      );
  return { pem: created.certificate, key: created.key };
}

async function command(line: string, files: MemoryFiles): Promise<CommandOutcome> {
  const flags = parsed(line);
  return line.startsWith('tls ca')
    ? await caCreate(caFlags(flags), files, fresh)
    : await certCreate(certFlags(flags), files, fresh);
}

/** "-flag value" and "-flag", as the recording writes them; two spaces stand around an empty value. */
function parsed(line: string): Map<string, string[]> {
  const words = line.split(' ');
  const flags = new Map<string, string[]>();
  words.forEach((word, at) => {
    if (!word.startsWith('-')) return;
    const next = words[at + 1];
    const values = next === undefined || next.startsWith('-') ? [] : [next];
    flags.set(word.slice(1), [...(flags.get(word.slice(1)) ?? []), ...values]);
  });
  return flags;
}

function caFlags(flags: Map<string, string[]>): CaCreateFlags {
  return {
    domain: flags.get('domain')?.[0] ?? 'consul',
    nameConstraint: flags.has('name-constraint'),
    additionalNameConstraints: flags.get('additional-name-constraint') ?? [],
    clusterId: flags.get('cluster-id')?.[0] ?? '',
  };
}

function certFlags(flags: Map<string, string[]>): CertCreateFlags {
  const optional = <K extends string>(flag: string, key: K): { [key in K]?: string } => {
    const value = flags.get(flag)?.[0];
    return value === undefined ? {} : ({ [key]: value } as { [key in K]?: string });
  };
  return {
    server: flags.has('server'),
    client: flags.has('client'),
    cli: flags.has('cli'),
    ...optional('node', 'node'),
    ...optional('dc', 'dc'),
    ...optional('domain', 'domain'),
    ...optional('ca', 'ca'),
    ...optional('key', 'key'),
    additionalDnsNames: flags.get('additional-dnsname') ?? [],
    additionalIpAddresses: flags.get('additional-ipaddress') ?? [],
  };
}

/** TBSCertificate: all of a certificate that is signed. ECDSA signatures differ from time to time. */
function signedPart(pem: string): string {
  const { raw } = new X509Certificate(pem);
  return raw.subarray(4, 8 + raw.readUInt16BE(6)).toString('hex'); // both lengths have two bytes here
}

function printed(lines: readonly string[]): string {
  return lines.map((line) => `${line}\n`).join('');
}

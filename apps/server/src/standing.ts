/**
 * standing.ts: the configuration this server runs on at this moment, and what a reload does to it.
 *
 * Whole or not at all: files, rules between keys and certificates are checked first, and nothing is touched when one of them is
 * wrong. Then whoever follows is told, in the order in which they came. Open connections go on as they began.
 * Lives here: the one place where the running configuration changes. Must not live here: which keys a reload takes over
 * (config/reloadable.ts), what they mean to each room.
 */
import { TlsIdentity, TlsMaterialError } from '@fed/alpn-mux';
import { type Config, ConfigError } from './config/config.ts';
import { type Changes, changesBetween } from './config/reloadable.ts';
import type { Log } from './log.ts';
import type { Machine } from './machine.ts';

export type ReloadReport = Pick<Changes, 'taken' | 'waiting'>;

export class Standing {
  readonly tls: TlsIdentity;
  #config: Config;
  #certificateExpiresAtMs: number;
  readonly #followers: ((config: Config) => void)[] = [];
  readonly #machine: Pick<Machine, 'readIdentity' | 'readConfig'>;
  readonly #wallMs: () => number;
  readonly #log: Log;

  /** Throws ConfigError for certificates that peers would refuse. */
  constructor(
    config: Config,
    o: {
      readonly machine: Pick<Machine, 'readIdentity' | 'readConfig'>;
      readonly wallMs: () => number;
      readonly log: Log;
    },
  ) {
    this.#config = config;
    this.#machine = o.machine;
    this.#wallMs = o.wallMs;
    this.#log = o.log;
    const { material, expiresAtMs } = this.#machine.readIdentity(config, this.#wallMs());
    this.#certificateExpiresAtMs = expiresAtMs;
    this.tls = new TlsIdentity(material);
  }

  get config(): Config {
    return this.#config;
  }

  get certificateExpiresAtMs(): number {
    return this.#certificateExpiresAtMs;
  }

  /** Called after each reload. A follower must not throw: what can be wrong was found before. */
  follow(take: (config: Config) => void): void {
    this.#followers.push(take);
  }

  /** Certificates are read again in any case. Throws ConfigError, and then everything is as it was. */
  reload(): ReloadReport {
    const { config: wanted, warnings } = this.#machine.readConfig(this.#config);
    const { config, taken, waiting } = changesBetween(this.#config, wanted);
    const { material, expiresAtMs } = this.#machine.readIdentity(config, this.#wallMs());
    replaced(this.tls, material, config);
    this.#certificateExpiresAtMs = expiresAtMs;
    this.#config = config;
    for (const take of this.#followers) take(config);
    for (const text of warnings) this.#log.warn({ room: 'config' }, text);
    for (const key of waiting)
      this.#log.warn(
        { room: 'config', key },
        `${key}: changed, and not taken over by a reload; restart this server for it`,
      );
    this.#log.info({ room: 'config', taken, waiting }, 'configuration and certificates read again');
    return { taken, waiting };
  }
}

function replaced(tls: TlsIdentity, material: TlsIdentity['material'], { tls: files }: Config): void {
  try {
    tls.replace(material);
  } catch (error) {
    if (!(error instanceof TlsMaterialError)) throw error;
    throw new ConfigError([`ca_file ${files.caFile}, cert_file ${files.certFile}: ${error.message}`]);
  }
}
